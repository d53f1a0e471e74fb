/**
 * Polls the column that says when a row was written. Deleted rows are in no poll: the next full load finds
 * that they are gone. Runs on the loader thread.
 */
import { ID_BYTES } from '../../../../../native-layout/snapshot-row.ts';
import { assert } from '../../../../engine/assert.ts';
import { CacheError } from '../../../../engine/errors.ts';
import type { NodeChange } from '../../node-changes.ts';
import { NODES_ASKED_MAX } from '../../row-source.ts';
import {
  idColumn,
  newestUpdated,
  POLL_RESULTS,
  POLL_ROWS_MAX,
  pollUpdated,
} from '../../sql/updated-nodes.ts';
import type { ResolvedPostgres } from '../options.ts';
import { type Cell, PostgresSession, type QueryResult } from '../session.ts';
import type { FoundMode } from './find-mode.ts';
import { within } from './pauses.ts';
import { PollPosition, type UpdatedRow } from './poll-position.ts';

const POLL_TIMEOUT_MS = 10_000;
const HEX_ID = new RegExp(`^(?:[0-9a-f]{${2 * ID_BYTES}}|[0-9A-F]{${2 * ID_BYTES}})$`);
const MIXED_HEX_ID = new RegExp(`^[0-9a-fA-F]{${2 * ID_BYTES}}$`);

export interface PollResult {
  /** Absent: nothing was written. */
  readonly change?: NodeChange;
  readonly clockMicros: number;
}

export class Polling {
  readonly #session: PostgresSession;
  readonly #found: FoundMode;
  readonly #position: PollPosition;
  readonly #timeoutMs: number;

  private constructor(session: PostgresSession, found: FoundMode, position: PollPosition, timeoutMs: number) {
    this.#session = session;
    this.#found = found;
    this.#position = position;
    this.#timeoutMs = timeoutMs;
  }

  /** What is written from now on, a later poll reports. Throws `CacheError`. */
  static async open(options: ResolvedPostgres, found: FoundMode, signal: AbortSignal): Promise<Polling> {
    const timeoutMs = Math.min(POLL_TIMEOUT_MS, options.statementTimeoutMs);
    const session = await PostgresSession.open(options, signal);
    try {
      const limits = { overlapMicros: options.pollOverlapMs * 1_000, rowsMax: POLL_ROWS_MAX };
      const text = newestUpdated(found.read.plan, found.updatedAt!, { statementTimeoutMs: timeoutMs });
      const results = await ask(session, text, timeoutMs);
      const [clock, newest] = clockAndRows(results);
      const at = newest[0]?.[0] ?? undefined;
      const position = new PollPosition(limits, at === undefined ? undefined : Number(at), Number(clock[0]));
      const polling = new Polling(session, found, position, timeoutMs);
      // What is there already is no change: it only has to be known again.
      await polling.poll();
      return polling;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  async poll(): Promise<PollResult> {
    const { plan } = this.#found.read;
    const text = pollUpdated(plan, idColumn(plan), this.#found.updatedAt!, {
      bound: this.#position.bound(),
      statementTimeoutMs: this.#timeoutMs,
    });
    const [clock, rows] = clockAndRows(await ask(this.#session, text, this.#timeoutMs));
    const found = rows.map(([id, micros, out]) => ({ id: id!, micros: micros!, out: out === 't' }));
    const fresh = this.#position.take(found, Number(clock[0]));
    const clockMicros = Number(clock[1]);
    if (fresh === undefined || fresh.length > NODES_ASKED_MAX) {
      return {
        clockMicros,
        change: { kind: 'missed', reason: 'more rows were written than a poll reports' },
      };
    }
    return fresh.length === 0 ? { clockMicros } : { clockMicros, ...changeOf(fresh) };
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}

/** Rows whose id is none are not for us: a load refuses them. */
function changeOf(rows: readonly UpdatedRow[]): { readonly change?: NodeChange } {
  const known = rows.filter(({ id }) => HEX_ID.test(id));
  if (known.length < rows.length && rows.some(({ id }) => MIXED_HEX_ID.test(id) && !HEX_ID.test(id))) {
    return { change: { kind: 'missed', reason: 'an id is in letters of both cases' } };
  }
  if (known.length === 0) return {};
  const ids = new Uint8Array(Buffer.from(known.map(({ id }) => id).join(''), 'hex'));
  return { change: { kind: 'nodes', ids, out: Uint8Array.from(known, ({ out }) => (out ? 1 : 0)) } };
}

async function ask(
  session: PostgresSession,
  text: string,
  timeoutMs: number,
): Promise<readonly QueryResult[]> {
  return within(session, session.queries(text), timeoutMs, () => {
    return new CacheError('SOURCE_TIMEOUT', `a poll for changed rows took longer than ${timeoutMs} ms`);
  });
}

function clockAndRows(results: readonly QueryResult[]): [clock: readonly Cell[], rows: readonly Cell[][]] {
  const clock = results.at(-POLL_RESULTS.clock)?.rows[0];
  const rows = results.at(-POLL_RESULTS.rows)?.rows;
  assert(clock !== undefined && rows !== undefined, `a poll has ${results.length} results`);
  return [clock, rows];
}
