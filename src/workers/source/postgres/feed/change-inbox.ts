/**
 * Where changes wait until the loader takes them. What comes while it is busy gathers: one node waits once,
 * with its newest mark, and what is too much becomes one `missed`. Runs on the loader thread.
 */
import { ID_BYTES } from '../../../../../native-layout/snapshot-row.ts';
import type { NodeChange, SourceAlive } from '../../node-changes.ts';

/** After a change, time in which the next one is waited for: statements come in transactions. */
const QUIET_MS = 1;
/** The longest that a change waits for others. */
const GATHER_MS = 5;

export interface InboxOptions {
  /** Nodes that may wait; more are `missed`. */
  readonly nodesMax: number;
  now(): number;
}

export class ChangeInbox {
  readonly #options: InboxOptions;
  /** Id, as a text of its bytes → mark. */
  readonly #nodes = new Map<string, number>();
  #writtenAtUnixMs: number | undefined;
  #firstMs = 0;
  #lastMs = 0;
  /** A node that is out is not kept waiting for others. */
  #urgent = false;
  #missed: string | undefined;
  #alive: SourceAlive | undefined;
  #failure: Error | undefined;
  #wake: () => void = () => undefined;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  /** Ids of 32 bytes, and a mark each. */
  addNodes(ids: Uint8Array, out: Uint8Array, writtenAtUnixMs: number | undefined): void {
    // What is to be loaded anyway need not be named.
    if (this.#missed !== undefined) return;
    this.#lastMs = this.#options.now();
    if (this.#nodes.size === 0) this.#firstMs = this.#lastMs;
    const text = Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength).toString('latin1');
    for (let node = 0; node < out.length; node++) {
      this.#nodes.set(text.slice(node * ID_BYTES, (node + 1) * ID_BYTES), out[node]!);
      if (out[node] === 1) this.#urgent = true;
    }
    this.#writtenAtUnixMs = earliest(this.#writtenAtUnixMs, writtenAtUnixMs);
    if (this.#nodes.size > this.#options.nodesMax) {
      this.miss(`more than ${this.#options.nodesMax} nodes changed before the loader could take them`);
    }
    this.#wake();
  }

  miss(reason: string): void {
    this.#missed ??= reason;
    this.#forgetNodes();
    this.#wake();
  }

  alive(answer: Omit<SourceAlive, 'kind'>): void {
    this.#alive = { kind: 'alive', ...answer };
    this.#wake();
  }

  /** What has come is still taken; then `take` throws this. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }

  /** The next change, when there is one. Throws what `fail` was given. One taker at a time. */
  async take(): Promise<NodeChange> {
    for (;;) {
      const waitMs = this.#waitMs();
      if (waitMs === 0) return this.#takeNow();
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = waitMs === undefined ? undefined : setTimeout(resolve, waitMs);
      await promise;
      clearTimeout(timer);
    }
  }

  /** 0: something can be taken now. Undefined: until something comes. */
  #waitMs(): number | undefined {
    const settled = this.#missed !== undefined || this.#failure !== undefined || this.#urgent;
    if (settled) return 0;
    if (this.#nodes.size === 0) return this.#alive === undefined ? undefined : 0;
    const due = Math.min(this.#firstMs + GATHER_MS, this.#lastMs + QUIET_MS);
    return Math.max(0, Math.ceil(due - this.#options.now()));
  }

  #takeNow(): NodeChange {
    if (this.#missed !== undefined) {
      const reason = this.#missed;
      this.#missed = undefined;
      return { kind: 'missed', reason };
    }
    if (this.#nodes.size > 0) return this.#takeNodes();
    if (this.#failure !== undefined) throw this.#failure;
    const alive = this.#alive!;
    this.#alive = undefined;
    return alive;
  }

  #takeNodes(): NodeChange {
    const ids = new Uint8Array(Buffer.from([...this.#nodes.keys()].join(''), 'latin1'));
    const out = Uint8Array.from(this.#nodes.values());
    const written = this.#writtenAtUnixMs;
    this.#forgetNodes();
    return { kind: 'nodes', ids, out, ...(written === undefined ? {} : { writtenAtUnixMs: written }) };
  }

  #forgetNodes(): void {
    this.#nodes.clear();
    this.#writtenAtUnixMs = undefined;
    this.#urgent = false;
  }
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
