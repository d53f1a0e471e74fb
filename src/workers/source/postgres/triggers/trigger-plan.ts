/**
 * What the triggers have to watch, from the same plan as a read: then they and the loader agree on what a
 * change is. The comment of their function says which plan they were made for.
 */
import { createHash } from 'node:crypto';
import { FIELD } from '../../../../engine/snapshot/field-rows.ts';
import { NODES_ASKED_MAX } from '../../row-source.ts';
import { NO_TEXT } from '../../sql/introspect.ts';
import { outOfSelections, type ReadPlan } from '../../sql/nodes.ts';
import {
  createFunction,
  type JudgedRow,
  TRIGGER_VERSION,
  type TriggerFunction,
} from '../../sql/trigger-function.ts';
import type { ResolvedPostgres } from '../options.ts';
import { type ColumnProblem, planTable } from '../plan.ts';
import type { Relation } from '../relation.ts';

export interface TriggerPlan {
  readonly relation: Relation;
  readonly function: TriggerFunction;
  /** The text under which the function says what it was made for. */
  readonly comment: string;
  readonly made: MadeFor;
}

/** What a function was made for. */
export interface MadeFor {
  readonly version: number;
  /** Over the whole text of the function, but for the attributes. */
  readonly plan: string;
  /** Expressions of the attributes: a function that watches more than is needed will do. */
  readonly attributes: readonly string[];
  readonly channel: string;
}

const COMMENT_HEAD = 'Notifies sortition of changed nodes. ';
/**
 * The time when the trigger runs, not when the transaction began: that may be long ago, and the node has been
 * judged by later times since.
 */
const CLOCK = 'clock_timestamp()';
/** An identifier has at most 63 bytes: this, and what is put before and behind it. */
const NAME_CHARACTERS_MAX = 40;
const NAME_HASH_CHARACTERS = 8;
const PLAN_HASH_CHARACTERS = 16;

/** Needs a relation that is a table. */
export function planTriggers(
  options: ResolvedPostgres,
  relation: Relation,
  attributes: readonly string[],
): { readonly plan: TriggerPlan; readonly problems: readonly ColumnProblem[] } {
  const sorted = [...new Set(attributes)].sort();
  const read = (alias: string) => planTable(options, relation, sorted, { alias, clock: CLOCK });
  const before = read('o');
  const after = read('n');
  const name = functionName(relation);
  const contact = relation.columns.get(options.columns.lastContact ?? '');
  const bare: TriggerFunction = {
    sql: `${relation.schema}.${name}`,
    channel: name,
    idFormat: after.plan.format.id,
    hasZonelessTimes: contact !== undefined && contact.type !== 'timestamptz',
    old: judged(before.plan),
    new: judged(after.plan),
    nodesMax: NODES_ASKED_MAX,
  };
  const made: MadeFor = {
    version: TRIGGER_VERSION,
    plan: hash(createFunction(bare)).slice(0, PLAN_HASH_CHARACTERS),
    attributes: attributeExpressions(after.plan),
    channel: name,
  };
  const plan: TriggerPlan = {
    relation,
    made,
    comment: `${COMMENT_HEAD}${JSON.stringify(made)}`,
    function: {
      ...bare,
      old: judged(before.plan, attributeExpressions(before.plan)),
      new: judged(after.plan, attributeExpressions(after.plan)),
    },
  };
  return { plan, problems: after.problems };
}

/** True for the comment of a function of any version of ours. */
export function isOurs(comment: string): boolean {
  return comment.startsWith(COMMENT_HEAD);
}

/** What the comment of a function says, or undefined: it is none of ours, or of another version. */
export function readComment(comment: string): MadeFor | undefined {
  if (!isOurs(comment)) return undefined;
  try {
    const made = JSON.parse(comment.slice(COMMENT_HEAD.length)) as Partial<MadeFor>;
    const texts = Array.isArray(made.attributes) && made.attributes.every(text => typeof text === 'string');
    const whole = texts && typeof made.plan === 'string' && typeof made.channel === 'string';
    return whole && made.version === TRIGGER_VERSION ? (made as MadeFor) : undefined;
  } catch {
    // Somebody has written another comment.
    return undefined;
  }
}

/** True where a function that was made for `made` sends every change that `plan` needs. */
export function covers(made: MadeFor, plan: TriggerPlan): boolean {
  return made.plan === plan.made.plan && plan.made.attributes.every(text => made.attributes.includes(text));
}

function judged(plan: ReadPlan, attributes: readonly string[] = []): JudgedRow {
  const fixed = plan.columns.filter(({ field }) => field < FIELD.attributes);
  const absent = plan.absent === NO_TEXT ? [] : [plan.absent];
  // A later contact changes nothing by itself, but for a node that is nearly offline.
  const unwatched: readonly number[] = [FIELD.id, FIELD.lastContact];
  const watched = fixed.filter(({ field }) => !unwatched.includes(field)).map(({ sql }) => sql);
  return {
    id: fixed.find(({ field }) => field === FIELD.id)?.sql ?? NO_TEXT,
    watched: [...watched, ...absent, plan.nearlyOffline, ...attributes],
    out: outOfSelections(plan),
  };
}

function attributeExpressions(plan: ReadPlan): string[] {
  return plan.columns.filter(({ field }) => field >= FIELD.attributes).map(({ sql }) => sql);
}

/** Function and channel have one name: the table's, and a hash of it, so that no two tables share one. */
function functionName({ sql }: Relation): string {
  const plain = sql.replaceAll(/[^A-Za-z0-9]+/g, '_').toLowerCase();
  const shown = plain.replaceAll(/^_|_$/g, '').slice(0, NAME_CHARACTERS_MAX);
  return `sortition_${shown}_${hash(sql).slice(0, NAME_HASH_CHARACTERS)}`;
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
