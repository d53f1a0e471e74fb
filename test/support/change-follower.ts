/** Follows the changes of a source, as the loader does, and keeps what it hears. */
import { setTimeout as delay } from 'node:timers/promises';
import { ID_BYTES } from '../../native-layout/snapshot-row.ts';
import { CacheError } from '../../src/engine/errors.ts';
import type { ChangeStatus, NodeChange } from '../../src/workers/source/node-changes.ts';
import type { ReadRequest, RowBatch, RowSource } from '../../src/workers/source/row-source.ts';
import { rowsOf } from './field-rows.ts';
import { until } from './until.ts';

const RETRY_MS = 20;

export type NodesChange = Extract<NodeChange, { kind: 'nodes' }>;

export class ChangeFollower {
  readonly changes: NodeChange[] = [];
  readonly statuses: ChangeStatus[] = [];
  readonly #stopping = new AbortController();
  readonly #ended: Promise<void>;

  /** `react`: what is done about a change before the next one is taken. */
  constructor(
    feed: (
      request: { readonly signal: AbortSignal } & { readonly onStatus: (status: ChangeStatus) => void },
    ) => AsyncGenerator<NodeChange, void>,
    react: (change: NodeChange, signal: AbortSignal) => Promise<void> | void = () => undefined,
  ) {
    const { signal } = this.#stopping;
    const follow = async () => {
      for await (const change of feed({ signal, onStatus: status => this.statuses.push(status) })) {
        this.changes.push(change);
        await react(change, signal);
      }
    };
    this.#ended = follow();
    // Whoever stops the follower hears of it.
    this.#ended.catch(() => undefined);
  }

  get status(): ChangeStatus | undefined {
    return this.statuses.at(-1);
  }

  of<K extends NodeChange['kind']>(kind: K): Extract<NodeChange, { kind: K }>[] {
    return this.changes.filter((change): change is Extract<NodeChange, { kind: K }> => change.kind === kind);
  }

  /** Waits until so many changes of that kind have come. */
  async heard(kind: NodeChange['kind'], count: number, timeoutMs?: number): Promise<void> {
    await until(`${count} changes of kind ${kind}`, () => this.of(kind).length >= count, timeoutMs);
  }

  /** Id in digits → mark, over all changes so far: the newest mark counts. */
  marks(): Map<string, number> {
    return new Map(this.of('nodes').flatMap(marksOf));
  }

  /** Throws what the feed threw. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#ended;
  }
}

export function idsOf({ ids }: NodesChange): string[] {
  const digits = Buffer.from(ids).toString('hex');
  return Array.from({ length: ids.length / ID_BYTES }, (_, node) =>
    digits.slice(2 * ID_BYTES * node, 2 * ID_BYTES * (node + 1)),
  );
}

function marksOf(change: NodesChange): [id: string, mark: number][] {
  return idsOf(change).map((id, node) => [id, change.out[node]!]);
}

/**
 * What a loader would know: the rows of each id, as texts, kept up to date by the feed alone once everything
 * has been read.
 */
export class KnownNodes {
  rows = new Map<string, string[]>();
  readonly #source: RowSource;
  readonly #attributes: readonly string[];

  constructor(source: RowSource, attributes: readonly string[]) {
    this.#source = source;
    this.#attributes = attributes;
  }

  /** A read that fails is made up for by a full one, again and again. */
  async apply(change: NodeChange, signal: AbortSignal): Promise<void> {
    let next = change;
    while (!signal.aborted) {
      try {
        await this.#read(next, { attributes: this.#attributes, signal });
        return;
      } catch (error) {
        if (!(error instanceof CacheError)) throw error;
        next = { kind: 'missed', reason: error.message };
        await delay(RETRY_MS);
      }
    }
  }

  async #read(change: NodeChange, request: ReadRequest): Promise<void> {
    if (change.kind === 'missed') {
      this.rows = await collect(this.#source.read(request));
    } else if (change.kind === 'nodes') {
      const found = await collect(this.#source.readNodes!(change.ids, request));
      for (const id of idsOf(change)) this.rows.delete(id);
      for (const [id, rows] of found) this.rows.set(id, rows);
    }
  }

  /** What the source holds now. */
  async truth(): Promise<Map<string, string[]>> {
    const signal = AbortSignal.timeout(20_000);
    return collect(this.#source.read({ attributes: this.#attributes, signal }));
  }
}

async function collect(batches: AsyncIterable<RowBatch>): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for await (const batch of batches) {
    for (const row of rowsOf(batch)) {
      const id = String(row.id).toLowerCase();
      const rows = [...(found.get(id) ?? []), JSON.stringify(row)];
      found.set(id, rows.sort());
    }
  }
  return found;
}
