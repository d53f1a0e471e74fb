/**
 * What a relation or a query looks like: columns, types, rights. Works for tables, views and materialized
 * views.
 */

/**
 * `$1`: the name as SQL writes it. No row is an unknown name. Cells: oid, quoted name, kind, may be read,
 * quoted schema.
 */
export const FIND_RELATION = `
  SELECT c.oid::text,
         quote_ident(s.nspname) || '.' || quote_ident(c.relname),
         CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                        WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' ELSE 'relation' END,
         (has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT'))::text,
         quote_ident(s.nspname)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
   WHERE c.oid = to_regclass($1)`;

/** Names near which an unknown relation may have been meant. */
export const LIST_RELATIONS = `
  SELECT CASE WHEN pg_table_is_visible(c.oid) THEN quote_ident(c.relname)
              ELSE quote_ident(s.nspname) || '.' || quote_ident(c.relname) END
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p')
     AND s.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
   LIMIT 1000`;

/** `$1`: the relation's oid. Cells: name, base type, type as shown, may be read. */
export const LIST_COLUMNS = `
  SELECT a.attname,
         base.typname,
         format_type(a.atttypid, a.atttypmod),
         has_column_privilege(a.attrelid, a.attnum, 'SELECT')::text
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_type declared ON declared.oid = a.atttypid
    JOIN pg_catalog.pg_type base
      ON base.oid = CASE declared.typtype WHEN 'd' THEN declared.typbasetype ELSE declared.oid END
   WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped`;

/**
 * `$1`: type oids, as the description of a query's result gives them. Cells: oid, base type, type as shown.
 */
export const LIST_TYPES = `
  SELECT declared.oid::text, base.typname, format_type(declared.oid, NULL)
    FROM pg_catalog.pg_type declared
    JOIN pg_catalog.pg_type base
      ON base.oid = CASE declared.typtype WHEN 'd' THEN declared.typbasetype ELSE declared.oid END
   WHERE declared.oid = ANY ($1::oid[])`;

/** The shape of a replaced query without a row of it. */
export function describeQuery(relation: string): string {
  return `SELECT * FROM ${relation} LIMIT 0`;
}

/**
 * A semicolon at the end, with nothing but comments after it. No quote in them: it may be a text that goes
 * on.
 */
const LAST_SEMICOLON = /;(\s|--[^\n']*(\n|$))*$/;

/** A whole query as a relation. The line break ends a comment on its last line. */
export function queryRelation(query: string): string {
  return `(${query.replace(LAST_SEMICOLON, '')}\n) AS n`;
}

export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** The text of a column that a relation does not have. */
export const NO_TEXT = 'NULL::text';
