/** Reads what a table, view, materialized view or query looks like, in the transaction that will read it. */
import { CacheError } from '../../../engine/errors.ts';
import { didYouMean } from '../nearest.ts';
import {
  describeQuery,
  FIND_RELATION,
  LIST_COLUMNS,
  LIST_RELATIONS,
  LIST_TYPES,
  queryRelation,
} from '../sql/introspect.ts';
import { type TypeKind, typeKind } from './columns.ts';
import type { PostgresSession } from './session.ts';

export interface RelationColumn {
  readonly name: string;
  /** The base type, as the catalog names it: `timestamptz`. */
  readonly type: string;
  readonly kind: TypeKind;
  readonly typeShown: string;
  readonly readable: boolean;
}

export interface Relation {
  /** Absent: a query, not a relation of the database. */
  readonly oid?: string;
  /** `table`, `view`, `materialized view`, `foreign table`, `query`. */
  readonly kind: string;
  /** Quoted; absent where `oid` is. */
  readonly schema?: string;
  /** As it stands in a statement, quoted and qualified. */
  readonly sql: string;
  /** As it stands in a message: `table public.nodes`. */
  readonly title: string;
  readonly columns: ReadonlyMap<string, RelationColumn>;
}

/** Throws SOURCE_SCHEMA when the table does not exist, SOURCE_DENIED when nothing of it may be read. */
export async function findTable(session: PostgresSession, table: string): Promise<Relation> {
  const found = (await session.query(FIND_RELATION, [table])).rows[0];
  if (found === undefined) {
    const names = (await session.query(LIST_RELATIONS)).rows.map(row => row[0]!);
    const { database } = session.target;
    throw new CacheError(
      'SOURCE_SCHEMA',
      `database "${database}" has no table or view "${table}"${didYouMean(table, names)}`,
      { field: 'table' },
    );
  }
  const [oid, sql, kind, readable, schema] = found as [string, string, string, string, string];
  const title = `${kind} ${sql}`;
  if (readable !== 'true') {
    const { user } = session.target;
    const detail = `user "${user}" may not read ${title}: GRANT SELECT ON ${sql} TO it`;
    throw new CacheError('SOURCE_DENIED', detail, { field: 'table' });
  }
  const { rows } = await session.query(LIST_COLUMNS, [oid]);
  const columns = rows.map(([name, type, typeShown, mayRead]) =>
    relationColumn(name!, type!, typeShown!, mayRead === 'true'),
  );
  return { oid, kind, schema, sql, title, columns: new Map(columns.map(column => [column.name, column])) };
}

/** The shape of a replaced query. Two columns of one name are refused: which is meant cannot be known. */
export async function findQuery(session: PostgresSession, query: string): Promise<Relation> {
  const sql = queryRelation(query);
  const { fields } = await session.query(describeQuery(sql));
  const oids = [...new Set(fields.map(field => field.dataTypeID))];
  const types = new Map((await session.query(LIST_TYPES, [oids])).rows.map(row => [Number(row[0]), row]));
  const columns = new Map<string, RelationColumn>();
  for (const { name, dataTypeID } of fields) {
    if (columns.has(name)) {
      throw new CacheError('SOURCE_SCHEMA', `the query yields two columns "${name}"`, { field: 'query' });
    }
    const [, type, typeShown] = types.get(dataTypeID) ?? [];
    columns.set(name, relationColumn(name, type ?? 'unknown', typeShown ?? `oid ${dataTypeID}`, true));
  }
  return { kind: 'query', sql, title: 'the query', columns };
}

function relationColumn(name: string, type: string, typeShown: string, readable: boolean): RelationColumn {
  return { name, type, kind: typeKind(type), typeShown, readable };
}

const TYPES_SHOWN: Readonly<Record<TypeKind, string>> = {
  bytea: 'bytea',
  text: 'text',
  inet: 'inet',
  integer: 'smallint, integer, bigint',
  number: 'numeric, real, double precision',
  boolean: 'boolean',
  timestamp: 'timestamp with or without time zone',
  other: 'any',
};

/** The types of some kinds, as SQL calls them. */
export function describeTypes(kinds: readonly TypeKind[]): string {
  return kinds.map(kind => TYPES_SHOWN[kind]).join(', ');
}
