/**
 * The cache as programs use it: `openCache` on the thread that owns it (and its loader thread), `attachCache` on any
 * other thread of the process, from a handle. Both read the same slots; neither waits for the other.
 */
import { randomFillSync } from 'node:crypto';
import { threadId, type Worker } from 'node:worker_threads';
import { CacheError } from '../engine/errors.ts';
import { placementPlan } from '../engine/placement-plan.ts';
import { type ControlWords, Lease, reapSeats, sharedControlWords } from '../engine/publication.ts';
import { KEY_WORDS, Random } from '../engine/random.ts';
import { Reader } from '../engine/reader.ts';
import type { Selection } from '../engine/selection-result.ts';
import type {
  EncodedFormat,
  EncodedSelection,
  LookupResult,
  NodeId,
  SelectionRequest,
} from '../engine/selection-types.ts';
import { reserveMemory, slotLayout } from '../engine/shared-memory.ts';
import type { Cache, CacheHandle, CacheOptions, CacheReader } from './cache-types.ts';
import { monotonicMs } from './clock.ts';
import { Loader } from './loader.ts';
import type { LoaderStatus, RefreshResult } from './messages.ts';
import { loadSettings, type ReaderSettings, readerSettings } from './settings.ts';
import { openSource } from './source/open-source.ts';

const HANDLE_KIND = 'sortition-cache';
const DEFAULT_READY_TIMEOUT_MS = 60_000;
const DEFAULT_REQUEST: SelectionRequest = {};

/**
 * Reserves the memory, starts the loader thread, and resolves at once: the first load runs meanwhile, see `ready`. The
 * loader keeps the process alive until `close`. Throws CONFIG_INVALID with the key at fault, CAPACITY_EXCEEDED.
 */
export async function openCache(options: CacheOptions): Promise<Cache> {
  const reader = readerSettings(options);
  const load = loadSettings(options);
  const plan = placementPlan(reader);
  const source = openSource(options.source);
  const { description } = source;
  await source.close();
  const memory = reserveMemory(slotLayout(reader.nodes, plan), reader.readers);
  const handle: CacheHandle = { kind: HANDLE_KIND, ...memory, settings: reader };
  const loader = new Loader({ ...memory, reader, load, source: options.source }, description);
  return new OwnedCache(handle, loader);
}

/**
 * A reader for the calling thread, on a cache opened by another thread of the process. It takes one of the seats of
 * `capacity.readers` until it is closed, or its thread ends. Throws LAYOUT_MISMATCH, SNAPSHOT_CORRUPT, SEATS_EXHAUSTED.
 */
export function attachCache(handle: CacheHandle): CacheReader {
  return new AttachedCache(handle);
}

class AttachedCache implements CacheReader {
  readonly #reader: Reader;
  readonly #release: () => void;
  #closed = false;

  constructor(handle: CacheHandle) {
    if (handle?.kind !== HANDLE_KIND) {
      throw new CacheError('LAYOUT_MISMATCH', 'attachCache takes what handle() of an open cache returned');
    }
    const settings = handle.settings as ReaderSettings;
    const { words, seats } = sharedControlWords(handle.control);
    const plan = placementPlan(settings);
    const layout = slotLayout(settings.nodes, plan);
    this.#reader = new Reader({
      lease: Lease.claim(words, seats, threadId),
      slots: handle.slots,
      layout,
      plan,
      limits: settings.limits,
      random: new Random(randomFillSync(new Uint32Array(KEY_WORDS))),
      now: monotonicMs,
    });
    // A thread that ends in an orderly way gives its seat back itself; see `SeatKeeper` for the others.
    this.#release = () => this.#reader.release();
    process.once('exit', this.#release);
    try {
      this.#reader.verify();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  select(request: SelectionRequest = DEFAULT_REQUEST): Selection {
    return this.#open().select(request);
  }

  selectEncoded(format: EncodedFormat, request: SelectionRequest, target: Uint8Array): EncodedSelection {
    return this.#open().selectEncoded(format, request, target);
  }

  selectRecords(request: SelectionRequest, target: Uint8Array): EncodedSelection {
    return this.#open().selectRecords(request, target);
  }

  lookup(ids: readonly NodeId[]): LookupResult {
    return this.#open().lookup(ids);
  }

  generation(): number {
    return this.#open().generation();
  }

  ageMs(): number {
    return this.#open().ageMs();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    process.off('exit', this.#release);
    this.#reader.release();
  }

  #open(): Reader {
    if (this.#closed) throw new CacheError('CACHE_CLOSED');
    return this.#reader;
  }
}

/** Frees the seats of threads that end without giving them back: terminated, or out of memory. */
class SeatKeeper {
  readonly #words: ControlWords;
  readonly #seats: number;

  constructor(control: SharedArrayBuffer) {
    const { words, seats } = sharedControlWords(control);
    this.#words = words;
    this.#seats = seats;
    process.on('worker', this.adopt);
  }

  /** Watches a worker; those that this thread starts from now on are watched without being asked. */
  readonly adopt = (worker: Worker): void => {
    // Kept from now: a thread that has ended answers -1.
    const id = worker.threadId;
    worker.once('exit', () => reapSeats(this.#words, this.#seats, id));
  };

  stop(): void {
    process.off('worker', this.adopt);
  }
}

class OwnedCache extends AttachedCache implements Cache {
  readonly #handle: CacheHandle;
  readonly #loader: Loader;
  readonly #seatKeeper: SeatKeeper;
  #closing: Promise<void> | undefined;

  constructor(handle: CacheHandle, loader: Loader) {
    super(handle);
    this.#handle = handle;
    this.#loader = loader;
    this.#seatKeeper = new SeatKeeper(handle.control);
    loader.run();
  }

  handle(): CacheHandle {
    return this.#handle;
  }

  adopt(worker: Worker): void {
    this.#seatKeeper.adopt(worker);
  }

  status(): LoaderStatus {
    return this.#loader.status();
  }

  onStatus(listener: (status: LoaderStatus) => void): () => void {
    return this.#loader.onStatus(listener);
  }

  refresh(options: { acceptDrop?: boolean } = {}): Promise<RefreshResult> {
    return this.#loader.refresh(options.acceptDrop === true);
  }

  async ready(options: { timeoutMs?: number } = {}): Promise<number> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_READY_TIMEOUT_MS;
    let timer: NodeJS.Timeout | undefined;
    let stopListening: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const look = (status: LoaderStatus) => {
          if (status.state === 'stopped') reject(new CacheError('CACHE_CLOSED'));
          else if (this.generation() > 0) resolve();
        };
        timer = setTimeout(() => reject(this.#notReady(timeoutMs)), timeoutMs);
        stopListening = this.onStatus(look);
        look(this.status());
      });
    } finally {
      clearTimeout(timer);
      stopListening?.();
    }
    return this.generation();
  }

  override close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    await this.#loader.stop();
    this.#seatKeeper.stop();
    super.close();
  }

  #notReady(timeoutMs: number): CacheError {
    const { lastError } = this.status();
    const reason =
      lastError === undefined ? 'the first load is still running' : `${lastError.code}: ${lastError.message}`;
    return new CacheError('SNAPSHOT_NOT_READY', `no generation within ${timeoutMs} ms; ${reason}`);
  }
}
