/** The step of `sortition check` that says how changes will become known, and how to know them sooner. */
import { CacheError } from '../../../../engine/errors.ts';
import type { ChangeMode } from '../../node-changes.ts';
import type { CheckStep, ReadRequest } from '../../row-source.ts';
import { FIND_INDEX } from '../../sql/updated-nodes.ts';
import type { ResolvedPostgres } from '../options.ts';
import { PostgresSession } from '../session.ts';
import { FEED_TIMES } from './change-feed.ts';
import { columnName, type FoundMode, findMode } from './find-mode.ts';
import { Listening } from './listening.ts';

const NAME = 'changes';
const INDEXED_KINDS = ['table', 'materialized view'];

/** Fails only where a mode is wanted that cannot be had. */
export async function changesStep(options: ResolvedPostgres, request: ReadRequest): Promise<CheckStep> {
  if (options.changes === 'none' || options.query !== undefined) {
    const why = options.query === undefined ? 'as configured' : 'a query is only read as a whole';
    return { name: NAME, ok: true, detail: `known at full loads only: ${why}` };
  }
  try {
    const detail = await withSession(options, request, session => describe(session, options, request));
    return { name: NAME, ok: true, detail };
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    const hint = `do that, or leave "changes" at auto: then the best way that works is taken`;
    return { name: NAME, ok: false, detail: error.message, hint };
  }
}

async function withSession<T>(
  options: ResolvedPostgres,
  { signal }: ReadRequest,
  work: (session: PostgresSession) => Promise<T>,
): Promise<T> {
  const session = await PostgresSession.open(options, signal);
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

async function describe(
  session: PostgresSession,
  options: ResolvedPostgres,
  { attributes, signal }: ReadRequest,
): Promise<string> {
  const refused = new Map<ChangeMode, string>();
  for (;;) {
    const found = await findMode(session, options, { attributes, refused });
    if (found.triggers === undefined) {
      const declined = found.declined.map(({ mode, reason }) => `. ${mode}: ${reason}`).join('');
      return `${await withoutTriggers(session, options, found)}${declined}`;
    }
    const { triggers } = found;
    const listening = await Listening.open(options, { triggers, times: FEED_TIMES }, session, signal);
    if (typeof listening !== 'string') {
      await listening.close();
      return `known at once, by triggers, over the channel ${triggers.channels.join(', ')}`;
    }
    refused.set('triggers', listening);
  }
}

async function withoutTriggers(
  session: PostgresSession,
  options: ResolvedPostgres,
  { mode, relation, updatedAt }: FoundMode,
): Promise<string> {
  if (mode === 'none' || updatedAt === undefined) return 'known at full loads only';
  const name = options.columns.updatedAt;
  // What lies under a view is not looked at.
  const indexed =
    !INDEXED_KINDS.includes(relation.kind) ||
    (await session.query(FIND_INDEX, [relation.oid, name])).rows.length > 0;
  const polled = `known within ${options.pollMs} ms, by polling "${name}"; of deleted rows at full loads`;
  const advice = 'no index begins with it, so each poll reads the whole table: CREATE INDEX CONCURRENTLY ON';
  return indexed ? polled : `${polled}; ${advice} ${relation.sql} (${columnName(updatedAt)})`;
}
