/** What the queries of the peers in Postgres have in common. */
import type { Lot } from './peer.ts';

export interface PeerQuery {
  readonly name: string;
  readonly lot: Lot;
  /** Yields one value: nodes as `packedNode` writes them, the new ones first, with `SEPARATOR` in between. */
  readonly text: string;
  readonly values?: readonly unknown[];
  /** The relation it reads, with its indexes. */
  readonly relation: string;
  readonly staleness: string;
  /** Makes a change of the table visible; absent: it is. */
  readonly refresh?: string;
}

export const SEPARATOR = ',';

/** One value out of the relations `fresh` and `vetted` of a WITH list; `node` is an expression over both. */
export function packedAnswer(relations: string, node: string): string {
  return `WITH ${relations} SELECT string_agg(node, '${SEPARATOR}' ORDER BY pool) FROM (
    SELECT 1 AS pool, ${node} AS node FROM fresh UNION ALL SELECT 2, ${node} FROM vetted) AS answer`;
}
