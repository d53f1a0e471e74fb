/** What there is of our triggers: on the table, its partitions, and those who inherit from it. */
import { relationFingerprint } from './given-nodes.ts';
import { quoteText } from './introspect.ts';
import { CLOCK_MICROS } from './transaction.ts';
import { TRIGGER_EVENTS, triggerName } from './trigger-function.ts';

const NAMES = TRIGGER_EVENTS.map(event => quoteText(triggerName(event))).join(', ');

/** A statement may name a table, any of its partitions, or one that inherits from it. */
function tableTree(root: string): string {
  return `WITH RECURSIVE tree AS (
    SELECT ${root} AS oid
    UNION
    SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.oid)`;
}

/**
 * `$1`: oid of the table. Cells: oid, quoted name, kind, whether we may make triggers on it, whether we own
 * it, whether logical replication writes to it.
 */
export const LIST_TABLES = `${tableTree('$1::oid')}
  SELECT c.oid::text, quote_ident(s.nspname) || '.' || quote_ident(c.relname), c.relkind::text,
         has_table_privilege(c.oid, 'TRIGGER')::text, pg_has_role(c.relowner, 'USAGE')::text,
         EXISTS (SELECT 1 FROM pg_catalog.pg_subscription_rel r WHERE r.srrelid = c.oid)::text
    FROM tree
    JOIN pg_catalog.pg_class c ON c.oid = tree.oid
    JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
   ORDER BY c.oid = $1::oid DESC, 2`;

/**
 * `$1`: oid of the table. Cells: oid of the table it is on, its quoted name, name, enabled, type, names of
 * the old and the new rows, its function as a procedure, quoted and qualified, comment of that.
 */
export const LIST_TRIGGERS = `${tableTree('$1::oid')}
  SELECT t.tgrelid::text, quote_ident(cs.nspname) || '.' || quote_ident(c.relname),
         t.tgname, t.tgenabled::text, t.tgtype::text,
         COALESCE(t.tgoldtable, ''), COALESCE(t.tgnewtable, ''),
         quote_ident(ps.nspname) || '.' || quote_ident(p.proname),
         COALESCE(obj_description(p.oid, 'pg_proc'), '')
    FROM tree
    JOIN pg_catalog.pg_trigger t ON t.tgrelid = tree.oid AND t.tgname IN (${NAMES})
    JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace cs ON cs.oid = c.relnamespace
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    JOIN pg_catalog.pg_namespace ps ON ps.oid = p.pronamespace`;

/**
 * `$1`: oid of the table, `$2`: its schema. Cells: whether the server is a standby, the table that this one
 * is a partition of or '', whether we may make functions in the schema, how many transactions may be
 * prepared at once.
 */
export const DESCRIBE_TABLE = `
  SELECT pg_is_in_recovery()::text,
         COALESCE((SELECT i.inhparent::regclass::text FROM pg_catalog.pg_inherits i
                    WHERE i.inhrelid = $1::oid LIMIT 1), ''),
         has_schema_privilege(to_regnamespace($2)::oid, 'CREATE')::text,
         current_setting('max_prepared_transactions')`;

/** `$1`: a function, quoted and qualified, with `()`. Cells: exists, we own it, its comment. */
export const FIND_FUNCTION = `
  SELECT true::text, pg_has_role(p.proowner, 'USAGE')::text, COALESCE(obj_description(p.oid, 'pg_proc'), '')
    FROM pg_catalog.pg_proc p WHERE p.oid = to_regprocedure($1)::oid`;

/**
 * Cells: the clock, how full the queue of notifications is, and a text that is another when a column, a
 * partition, a trigger or its function is, or was for a moment.
 */
export function lookAtTable(relation: string): string {
  const root = `to_regclass(${quoteText(relation)})::oid`;
  return `${tableTree(root)}
  SELECT ${CLOCK_MICROS}, pg_notification_queue_usage(),
         concat(${relationFingerprint(relation)}, ' ', (
           SELECT md5(string_agg(concat_ws(' ', tree.oid, t.oid, t.xmin, t.tgenabled, p.xmin), ','
                                 ORDER BY tree.oid, t.tgname))
             FROM tree
             LEFT JOIN pg_catalog.pg_trigger t ON t.tgrelid = tree.oid AND t.tgname IN (${NAMES})
             LEFT JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid))`;
}
