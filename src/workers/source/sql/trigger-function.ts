/**
 * The triggers and their function, as SQL. After each statement the function compares what it wrote, row by
 * row, with what was there, in every value that a row of ours is read from, and notifies the ids of those
 * that differ. It writes nothing, and whatever happens in it never fails the statement.
 */
import { ID_BYTES } from '../../../../native-layout/snapshot-row.ts';
import { assert } from '../../../engine/assert.ts';
import type { FieldFormat } from '../../../engine/snapshot/field-rows.ts';
import { quoteText } from './introspect.ts';

/** Stands at the head of every payload, and in the comment of the function. */
export const TRIGGER_VERSION = 1;
/** What a payload is about: nodes, everything, or nothing but whether it arrives. */
export const PAYLOAD = { nodes: 'n', everything: 'a', probe: 'p' } as const;

/** The server takes payloads of fewer bytes than this. */
const PAYLOAD_BYTES_LIMIT = 8_000;
const PAYLOAD_HEAD_BYTES_MAX = 32;
/** Id and mark. */
export const NOTIFIED_NODE_BYTES = ID_BYTES + 1;
const NODES_PER_PAYLOAD = 170;
/** The server breaks a line of base64 after this many characters. */
const BASE64_LINE = 76;
const base64Bytes = 4 * Math.ceil((NODES_PER_PAYLOAD * NOTIFIED_NODE_BYTES) / 3);
assert(
  PAYLOAD_HEAD_BYTES_MAX + base64Bytes + Math.ceil(base64Bytes / BASE64_LINE) < PAYLOAD_BYTES_LIMIT,
  'a payload of that many nodes is too long',
);
const ERROR_CHARACTERS_MAX = 200;
/**
 * How full the server's queue of notifications may be for us to add to it: a full queue fails every
 * transaction that notifies. It is 8 GB, so only a session that listens and hangs can fill it.
 */
export const QUEUE_USAGE_MAX = 0.5;

export const TRIGGER_NAME_PREFIX = 'sortition_';
const OLD_ROWS = 'sortition_old';
const NEW_ROWS = 'sortition_new';

/** The events, as the catalog numbers them for triggers that run once after a statement. */
export const TRIGGER_EVENTS = [
  { event: 'INSERT', type: 4, old: '', new: NEW_ROWS },
  { event: 'UPDATE', type: 16, old: OLD_ROWS, new: NEW_ROWS },
  { event: 'DELETE', type: 8, old: OLD_ROWS, new: '' },
  { event: 'TRUNCATE', type: 32, old: '', new: '' },
] as const;

export type TriggerEvent = (typeof TRIGGER_EVENTS)[number];

export function triggerName({ event }: TriggerEvent): string {
  return `${TRIGGER_NAME_PREFIX}${event.toLowerCase()}`;
}

/** A row before or after the statement, as expressions. */
export interface JudgedRow {
  readonly id: string;
  /** All that a row of ours is made from. */
  readonly watched: readonly string[];
  /** Boolean: the node is in no selection. */
  readonly out: string;
}

export interface TriggerFunction {
  /** Quoted and qualified. */
  readonly sql: string;
  readonly channel: string;
  readonly idFormat: FieldFormat['id'];
  /** The last contact is a time without a zone. */
  readonly hasZonelessTimes: boolean;
  /** Over the aliases `o` and `n`. */
  readonly old: JudgedRow;
  readonly new: JudgedRow;
  readonly nodesMax: number;
}

export function createFunction(made: TriggerFunction): string {
  const body = functionBody(made);
  const quote = quoteFor(body);
  // Times without a zone compare as they do in a read. To set it takes a fifth of the time of a call.
  const zone = made.hasZonelessTimes ? "\n  SET timezone = 'UTC'" : '';
  // No name in the body can be given another meaning by whoever writes.
  return `CREATE OR REPLACE FUNCTION ${made.sql}() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp${zone}
AS ${quote}
${body}
${quote}`;
}

export function createTrigger(functionSql: string, table: string, event: TriggerEvent): string {
  const rows = [event.old && `OLD TABLE AS ${event.old}`, event.new && `NEW TABLE AS ${event.new}`];
  const named = rows.filter(Boolean).join(' ');
  const referencing = named === '' ? '' : `\n  REFERENCING ${named}`;
  return `CREATE TRIGGER ${triggerName(event)} AFTER ${event.event} ON ${table}${referencing}
  FOR EACH STATEMENT EXECUTE FUNCTION ${functionSql}()`;
}

export function dropTrigger(name: string, table: string): string {
  return `DROP TRIGGER IF EXISTS ${name} ON ${table}`;
}

export function dropFunction(functionSql: string): string {
  return `DROP FUNCTION IF EXISTS ${functionSql}()`;
}

export function commentFunction(functionSql: string, comment: string): string {
  return `COMMENT ON FUNCTION ${functionSql}() IS ${quoteText(comment)}`;
}

function functionBody(made: TriggerFunction): string {
  const notify = (payload: string) => `PERFORM pg_notify(${quoteText(made.channel)}, ${payload})`;
  const everything = (reason: string) => notify(`${head(PAYLOAD.everything)} || ${reason}`);
  const failure = `'the trigger failed: ' || SQLSTATE || ' ' || left(SQLERRM, ${ERROR_CHARACTERS_MAX})`;
  const nodes = notify(`${head(PAYLOAD.nodes)} || encode(string_agg(part.node, ''::bytea), 'base64')`);
  return `DECLARE
  changed bytea[];
BEGIN
  IF TG_OP = 'UPDATE' THEN
    changed := ${nodesOf(made, changedRows(made))};
  ELSIF TG_OP = 'INSERT' THEN
    changed := ${nodesOf(made, `SELECT ${made.new.id} AS id, ${made.new.out} AS out FROM ${NEW_ROWS} AS n`)};
  ELSIF TG_OP = 'DELETE' THEN
    changed := ${nodesOf(made, `SELECT ${made.old.id} AS id, true AS out FROM ${OLD_ROWS} AS o`)};
  END IF;
  IF cardinality(changed) = 0 THEN
    RETURN NULL;
  END IF;
  IF pg_notification_queue_usage() >= ${QUEUE_USAGE_MAX} THEN
    -- A full queue would fail the transaction. The reader looks at it too.
    RETURN NULL;
  ELSIF changed IS NULL THEN
    ${everything(quoteText('the table was truncated'))};
  ELSIF cardinality(changed) > ${made.nodesMax} THEN
    ${everything(quoteText(`a statement changed more than ${made.nodesMax} nodes`))};
  ELSIF ''::bytea = ANY (changed) THEN
    ${everything(quoteText('an id is in letters of both cases'))};
  ELSE
    ${nodes}
      FROM unnest(changed) WITH ORDINALITY AS part(node, number)
     GROUP BY (part.number - 1) / ${NODES_PER_PAYLOAD};
  END IF;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- What was written stays written: the reader loads everything instead.
  BEGIN
    ${everything(failure)};
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'sortition was not notified: % %', SQLSTATE, SQLERRM;
  END;
  RETURN NULL;
END`;
}

/**
 * A full join: no other kind is there for it but by hash or merge, so a plan made for one row serves any
 * number. Compared as bytes: what two values mean does not count, only whether one would be read for the
 * other.
 */
function changedRows({ old: before, new: after }: TriggerFunction): string {
  const row = ({ watched }: JudgedRow) => `ROW(
            ${watched.join(',\n            ')}
          )::record`;
  return `SELECT COALESCE(${after.id}, ${before.id}) AS id, (${after.id} IS NULL OR ${after.out}) AS out
          FROM ${OLD_ROWS} AS o FULL JOIN ${NEW_ROWS} AS n ON ${after.id} = ${before.id}
         WHERE ${before.id} IS NULL OR ${after.id} IS NULL OR
          ${row(before)} OPERATOR(pg_catalog.*<>) ${row(after)}`;
}

/**
 * Id and mark of each row of `rows`, which yields `id` as the table holds it, and `out`; empty for an id that
 * could not be found again. What is no id of a node is none of ours: a load refuses such a row.
 */
function nodesOf({ idFormat, nodesMax }: TriggerFunction, rows: string): string {
  const digits = 2 * ID_BYTES;
  const mark = `decode(CASE WHEN judged.out THEN '01' ELSE '00' END, 'hex')`;
  const isId =
    idFormat === 'bytes'
      ? `octet_length(judged.id) = ${ID_BYTES}`
      : `judged.id::text ~ '^[0-9a-fA-F]{${digits}}$'`;
  // A text is found again only if it is written in one case or the other, see `idList`.
  const inOneCase = `judged.id::text ~ '^([0-9a-f]{${digits}}|[0-9A-F]{${digits}})$'`;
  const node =
    idFormat === 'bytes'
      ? `judged.id || ${mark}`
      : `CASE WHEN ${inOneCase} THEN decode(judged.id::text, 'hex') || ${mark} ELSE ''::bytea END`;
  return `ARRAY(
      SELECT ${node}
        FROM (
        ${rows}
        ) AS judged
       WHERE ${isId}
       LIMIT ${nodesMax + 1}
    )`;
}

/** Version, kind, and the time: it makes every payload another, and the server sends equal ones only once. */
function head(kind: string): string {
  const micros = '(extract(epoch FROM clock_timestamp()) * 1000000)::bigint';
  return `'${TRIGGER_VERSION}${kind}' || ${micros} || ':'`;
}

/** A dollar quote that the text does not end: names of columns are in it. */
function quoteFor(text: string): string {
  for (let number = 0; ; number++) {
    const quote = `$sortition${number === 0 ? '' : number}$`;
    if (!text.includes(quote)) return quote;
  }
}
