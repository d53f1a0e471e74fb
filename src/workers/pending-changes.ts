/**
 * What the source has that is not served yet: nodes it has told of, nodes whose contact has grown too old
 * since they were read, and whatever needs a whole load. Those that are out leave selections at once; the
 * others wait here for the next delta. Loader thread; while it reads the source by itself.
 */
import { ID_BYTES, ID_WORDS } from '../../native-layout/snapshot-row.ts';
import { bytesOf } from '../engine/snapshot/node-id.ts';
import { ChangeWatch } from './change-watch.ts';
import { monotonicMs, TIMER_MS_MAX } from './clock.ts';
import { servedOf } from './guard/validators.ts';
import { currentSnapshot, type LoadContext, nodeCounts } from './load-cycle.ts';
import type { RevocationDesk } from './revocation-desk.ts';
import { HOLD_DEFAULT_MS } from './revocations.ts';
import type { ChangeStatus, NodeChange } from './source/node-changes.ts';
import { StaleNodes } from './stale-nodes.ts';

/** What the loader hears; synchronous. */
export interface PendingListener {
  /** Nodes wait for a delta. */
  readonly onStale: () => void;
  /** The source has something that no delta brings. */
  readonly onLoadNeeded: () => void;
  /** So many nodes left selections at once, because the source said so. `ids`: all that it named, packed. */
  readonly onTakenOut: (ids: Uint8Array, count: number) => void;
  /** The source has answered, and `syncedMs` may be later than before. */
  readonly onAlive: () => void;
  readonly onStatus: () => void;
  readonly onFailure: (error: Error) => void;
}

export class PendingChanges {
  readonly #context: LoadContext;
  readonly #desk: RevocationDesk;
  readonly #listener: PendingListener;
  readonly #stale = new StaleNodes();
  #watch: ChangeWatch | undefined;
  #expiryTimer: NodeJS.Timeout | undefined;
  #rehearsed = false;

  constructor(context: LoadContext, desk: RevocationDesk, listener: PendingListener) {
    this.#context = context;
    this.#desk = desk;
    this.#listener = listener;
  }

  /** Listens until `signal` aborts. Resolves when changes come in, or will not, or that takes too long. */
  async begin(signal: AbortSignal): Promise<void> {
    const { onAlive, onFailure, onLoadNeeded, onStatus } = this.#listener;
    this.#watch = new ChangeWatch(this.#context.source, {
      onNodes: change => this.#changed(change),
      onMissed: onLoadNeeded,
      onAlive,
      onStatus,
      onFailure: error => onFailure(error as Error),
    });
    this.#watch.start(this.#context.plan.attributes, signal);
    await this.#watch.settled();
  }

  /** Somebody else reads the source from now on. */
  end(): void {
    this.#watch = undefined;
    this.#stale.clear();
    this.stop();
  }

  stop(): void {
    clearTimeout(this.#expiryTimer);
  }

  /** Absent while the source has said nothing, or cannot. */
  get status(): ChangeStatus | undefined {
    return this.#watch?.status;
  }

  /** Nodes that wait for a delta. */
  get staleCount(): number {
    return this.#stale.size;
  }

  /** Until when, monotonic, all that has changed was told, also what time alone has changed. */
  get syncedMs(): number | undefined {
    const syncedMs = this.#watch?.syncedMs;
    const settledMs = this.#context.expiry?.settledMs() ?? Number.POSITIVE_INFINITY;
    return syncedMs === undefined ? undefined : Math.min(syncedMs, settledMs);
  }

  /**
   * Has the source asked about a node that has not changed, once: the session for that is open then, and what
   * makes deltas is compiled, before the first change comes. Nothing is published by it.
   */
  rehearse(): void {
    const current = currentSnapshot(this.#context);
    if (this.#rehearsed || current === undefined || current.rowCount === 0) return;
    if (this.#watch?.status?.connected !== true || this.#watch.status.mode === 'none') return;
    this.#rehearsed = true;
    this.#stale.add(new Uint8Array(bytesOf(current.views.rowWords.slice(0, ID_WORDS))));
  }

  /** Takes out the ids that wait, and when the earliest of their changes was written. */
  take(): { readonly ids: Uint8Array; readonly earliestUnixMs: number | undefined } {
    const { earliestUnixMs } = this.#stale;
    return { ids: this.#stale.take(), earliestUnixMs };
  }

  /** Waits for the next node to leave by the passing of time; then the source is asked about it. */
  watchExpiry(): void {
    clearTimeout(this.#expiryTimer);
    const { expiry } = this.#context;
    if (expiry === undefined) return;
    const ms = expiry.nextMs() - monotonicMs();
    if (ms > TIMER_MS_MAX) return;
    this.#expiryTimer = setTimeout(
      () => {
        const fits = this.#stale.add(expiry.takeOver(monotonicMs()));
        this.watchExpiry();
        if (fits) this.#listener.onStale();
        else this.#listener.onLoadNeeded();
      },
      Math.max(0, ms),
    );
  }

  #changed({ ids, out, writtenAtUnixMs }: Extract<NodeChange, { kind: 'nodes' }>): void {
    const gone = idsWhere(ids, out);
    if (gone.length > 0) {
      if (!this.#mayLeave(gone.length / ID_BYTES)) {
        // So many at once is for the guard to judge, which looks at whole loads.
        this.#listener.onLoadNeeded();
        return;
      }
      const { revoked } = this.#desk.revokeAsFits(gone, {
        origin: 'source',
        holdMs: HOLD_DEFAULT_MS,
      });
      this.#listener.onTakenOut(gone, revoked);
    }
    if (this.#stale.add(ids, writtenAtUnixMs)) this.#listener.onStale();
    else this.#listener.onLoadNeeded();
  }

  /** Whether so many nodes can leave ahead of a load without being a drop that the guard would refuse. */
  #mayLeave(count: number): boolean {
    const current = currentSnapshot(this.#context);
    if (current === undefined) return true;
    const { guard, revocations } = this.#context;
    const { eligible } = servedOf(nodeCounts(current));
    return guard.mayFall(eligible - revocations.countIn(current) - count);
  }
}

/** Those of `ids`, 32 bytes each, whose byte in `marks` is not zero. */
function idsWhere(ids: Uint8Array, marks: Uint8Array): Uint8Array {
  const found = new Uint8Array(ids.length);
  let to = 0;
  for (let i = 0; i < marks.length; i++) {
    if (marks[i] === 0) continue;
    found.set(ids.subarray(i * ID_BYTES, (i + 1) * ID_BYTES), to);
    to += ID_BYTES;
  }
  return found.subarray(0, to);
}
