/**
 * Reads the rows of given nodes over a session that is kept: a change is to be seen within milliseconds,
 * and a connect would take several. One message and its answer; the plan is made once and holds until the
 * relation looks otherwise. Runs on the loader thread.
 */
import { ID_BYTES } from '../../../../native-layout/snapshot-row.ts';
import { assert } from '../../../engine/assert.ts';
import { CacheError } from '../../../engine/errors.ts';
import type { FieldRows } from '../../../engine/snapshot/field-rows.ts';
import { NODES_ASKED_MAX, type NodesSummary, type ReadRequest } from '../row-source.ts';
import { idList, RELATION_CHANGED, readGivenNodes, relationFingerprint } from '../sql/given-nodes.ts';
import type { ReadPlan } from '../sql/nodes.ts';
import { beginRead, COMMIT_READ, ROLLBACK_READ } from '../sql/transaction.ts';
import { CopyRows } from './copy-rows.ts';
import { failureCode } from './failures.ts';
import type { ResolvedPostgres } from './options.ts';
import { throwProblems } from './plan.ts';
import { findRelation, planRead } from './read-plan.ts';
import { PostgresSession } from './session.ts';

/** Longest that one read may take; a session whose other end is gone shows in no other way. */
const READ_TIMEOUT_MS = 5_000;
/** Attempts of one read: a kept session may be found broken, and a kept plan out of date. */
const ATTEMPTS_MAX = 3;

interface KeptPlan {
  readonly plan: ReadPlan;
  readonly relation: string;
  /** Absent: a query, which is planned anew for every read. */
  readonly fingerprint?: string;
  /** The attributes that it was made for. */
  readonly attributes: string;
}

export class NodeReader {
  readonly #options: ResolvedPostgres;
  readonly #closing = new AbortController();
  /** Not in use. A read takes it, and gives it back when all went well. */
  #kept: PostgresSession | undefined;
  #plan: KeptPlan | undefined;

  constructor(options: ResolvedPostgres) {
    this.#options = options;
  }

  /** See `RowSource.readNodes`. */
  async *read(ids: Uint8Array, request: ReadRequest): AsyncGenerator<FieldRows, NodesSummary> {
    const count = ids.length / ID_BYTES;
    assert(Number.isInteger(count) && count > 0, `${ids.length} bytes are no ids`);
    if (count > NODES_ASKED_MAX) {
      const detail = `${count} nodes are asked for at once; the limit is ${NODES_ASKED_MAX}: load everything`;
      throw new CacheError('CAPACITY_EXCEEDED', detail);
    }
    for (let attempt = 1; ; attempt++) {
      const kept = this.#take();
      const session = kept ?? (await PostgresSession.open(this.#options, this.#closing.signal));
      let handedOut = false;
      try {
        const batches = this.#readOnce(session, ids, request);
        for (;;) {
          const step = await batches.next();
          if (step.done === true) {
            this.#give(session);
            return step.value;
          }
          handedOut = true;
          yield step.value;
        }
      } catch (error) {
        const again = attempt < ATTEMPTS_MAX && !handedOut && !request.signal.aborted;
        if (!again || !(await this.#mend(session, error, kept !== undefined))) throw error;
      } finally {
        // Given back, it is the next read's; else it is of no use any more, whatever has happened.
        if (this.#kept !== session) await session.close();
      }
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new CacheError('CACHE_CLOSED', 'the source was closed'));
    await this.#kept?.close();
  }

  #take(): PostgresSession | undefined {
    const kept = this.#kept;
    this.#kept = undefined;
    return kept;
  }

  #give(session: PostgresSession): void {
    if (this.#kept !== undefined || this.#closing.signal.aborted) return;
    this.#kept = session;
    void session.lost.then(() => {
      if (this.#kept === session) this.#kept = undefined;
    });
  }

  /** True when another attempt may go well. */
  async #mend(session: PostgresSession, error: unknown, wasKept: boolean): Promise<boolean> {
    const cause = error instanceof CacheError ? error.cause : undefined;
    const state = failureCode(cause);
    const replan = this.#plan !== undefined && (state === RELATION_CHANGED || state.startsWith('42'));
    if (replan) {
      this.#plan = undefined;
      await session.query(ROLLBACK_READ);
      this.#give(session);
      return true;
    }
    return wasKept && error instanceof CacheError && error.code === 'SOURCE_UNAVAILABLE';
  }

  async *#readOnce(
    session: PostgresSession,
    ids: Uint8Array,
    request: ReadRequest,
  ): AsyncGenerator<FieldRows, NodesSummary> {
    const free = session.obey(request.signal);
    const timeoutMs = Math.min(READ_TIMEOUT_MS, this.#options.statementTimeoutMs);
    const late = setTimeout(() => session.stop(tooLate(ids, timeoutMs)), timeoutMs);
    try {
      const { plan, relation, fingerprint } = await this.#planFor(session, request.attributes);
      const message = readGivenNodes(plan, idList(ids, plan.format.id), {
        relation,
        ...(fingerprint === undefined ? {} : { fingerprint }),
        statementTimeoutMs: timeoutMs,
      });
      const rows = new CopyRows(plan.format, plan.columns, request.attributes.length);
      const results = yield* session.copy(message.select, rows, message);
      return { clockMicros: Number(results.at(-message.clockFromLast)?.rows[0]?.[0]) };
    } finally {
      clearTimeout(late);
      free();
    }
  }

  async #planFor(session: PostgresSession, names: readonly string[]): Promise<KeptPlan> {
    const attributes = JSON.stringify(names);
    if (this.#plan?.attributes === attributes && this.#plan.fingerprint !== undefined) return this.#plan;
    await session.query(beginRead(this.#options.statementTimeoutMs));
    const relation = await findRelation(session, this.#options);
    const { plan, problems } = planRead(this.#options, relation, names);
    throwProblems(problems);
    const [found] = (await session.query(`SELECT ${relationFingerprint(relation.sql)}`)).rows;
    await session.query(COMMIT_READ);
    const fingerprint = relation.kind === 'query' ? undefined : (found?.[0] ?? undefined);
    this.#plan = {
      plan,
      relation: relation.sql,
      ...(fingerprint === undefined ? {} : { fingerprint }),
      attributes,
    };
    return this.#plan;
  }
}

function tooLate(ids: Uint8Array, timeoutMs: number): CacheError {
  const what = `the rows of ${ids.length / ID_BYTES} nodes did not come within ${timeoutMs} ms`;
  return new CacheError('SOURCE_TIMEOUT', what);
}
