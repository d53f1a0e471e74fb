/**
 * The cache as programs use it: `openCache` on the thread that owns it (and its loader thread), `attachCache`
 * on any other thread of the process, from a handle. Both read the same slots; neither waits for the other.
 */
import { randomFillSync } from 'node:crypto';
import { threadId, type Worker } from 'node:worker_threads';
import { slotCountFor } from '../../native-layout/control-block.ts';
import { CacheError, errorFromData } from '../engine/errors.ts';
import type { KernelKind } from '../engine/kernel/kernel.ts';
import { openKernel } from '../engine/kernel/open-kernel.ts';
import { placementPlan } from '../engine/placement/placement-plan.ts';
import type { RingMemory } from '../engine/prepared/ring.ts';
import { Lease, sharedControlWords } from '../engine/publication.ts';
import { Reader } from '../engine/reader.ts';
import { KEY_WORDS } from '../engine/selection/random.ts';
import type { Selection } from '../engine/selection/selection-result.ts';
import type {
  EncodedFormat,
  EncodedSelection,
  LookupResult,
  NodeId,
  NodeIds,
  SelectionRequest,
} from '../engine/selection/selection-types.ts';
import { reserveMemory, type SlotMemory, slotBuffer, slotLayout } from '../engine/shared-memory.ts';
import type { CacheOptions } from './cache-options.ts';
import type { Cache, CacheHandle, CacheReader } from './cache-types.ts';
import { monotonicMs } from './clock.ts';
import type { FleetView } from './fleet-link.ts';
import { checkFleet } from './fleet-link.ts';
import type { GuardStatus } from './guard/data-guard.ts';
import type { ValidatorName } from './guard/validators.ts';
import { compiledKernel } from './kernel-module.ts';
import { Loader } from './loader.ts';
import type { LoaderAnswer, LoaderStatus, RefreshResult } from './messages.ts';
import { HOLD_DEFAULT_MS, HOLD_MAX_MS, packedIds, type RevokeResult } from './revocations.ts';
import { type KeptSeats, keepSeats, leaveSeats, watchWorker } from './seat-keeper.ts';
import { checkCacheOptions, loadSettings, readerSettings } from './settings.ts';
import { openSource, type SourceOptions } from './source/open-source.ts';

const HANDLE_KIND = 'sortition-cache';
const DEFAULT_READY_TIMEOUT_MS = 60_000;
const DEFAULT_REQUEST: SelectionRequest = {};

/**
 * Reserves the memory, starts the loader thread, and resolves when the first generation is there (at once
 * with `waitForFirstLoad: false`; then see `ready`). The loader keeps the process alive until `close`. Throws
 * CONFIG_INVALID with the key at fault, CAPACITY_EXCEEDED; SNAPSHOT_NOT_READY after `readyTimeoutMs`, and
 * then everything is closed again.
 */
export async function openCache(options: CacheOptions): Promise<Cache> {
  checkCacheOptions(options);
  const reader = readerSettings(options);
  const load = loadSettings(options);
  const plan = placementPlan(reader);
  const description = await describeSource(options.source);
  if (load.fleet !== undefined) await checkFleet(load.fleet, options.source);
  const { module } = compiledKernel();
  const memory = reserveMemory(slotLayout(reader.nodes, plan), reader.readers, module !== undefined);
  const handle: CacheHandle = { kind: HANDLE_KIND, ...memory, kernel: module, settings: reader };
  const loader = new Loader(
    { control: memory.control, slots: memory.slots.map(slotBuffer), reader, load, source: options.source },
    description,
  );
  const cache = new OwnedCache(handle, loader);
  if (options.waitForFirstLoad !== false) await cache.firstLoad(options.readyTimeoutMs);
  return cache;
}

/** Checks the options of the source. Throws CONFIG_INVALID with the key at fault below `source`. */
async function describeSource(options: SourceOptions): Promise<string> {
  try {
    const source = openSource(options);
    await source.close();
    return source.description;
  } catch (cause) {
    if (!(cause instanceof CacheError) || cause.field === undefined || cause.field === 'source') throw cause;
    throw new CacheError(cause.code, `source.${cause.message}`, { cause, field: `source.${cause.field}` });
  }
}

/**
 * A reader for the calling thread, on a cache opened by another thread of the process. It takes one of the
 * seats of `capacity.readers` until it is closed, or its thread ends. Throws LAYOUT_MISMATCH,
 * SNAPSHOT_CORRUPT, SEATS_EXHAUSTED.
 */
export function attachCache(handle: CacheHandle): CacheReader {
  return new AttachedCache(handle);
}

class AttachedCache implements CacheReader {
  readonly kernel: KernelKind;
  readonly #reader: Reader;
  readonly #seat: KeptSeats;
  #closed = false;

  constructor(handle: CacheHandle) {
    if (handle?.kind !== HANDLE_KIND || handle.settings === undefined || handle.control === undefined) {
      throw new CacheError('LAYOUT_MISMATCH', 'attachCache takes what handle() of an open cache returned');
    }
    const { settings } = handle;
    const { words, seats } = sharedControlWords(handle.control);
    const plan = placementPlan(settings);
    const layout = slotLayout(settings.nodes, plan);
    const slots = checkedSlots(handle, slotCountFor(seats), layout.byteLength);
    const { limits } = settings;
    const key = randomFillSync(new Uint32Array(KEY_WORDS));
    const module = handle.kernel as WebAssembly.Module | undefined;
    const kernel = openKernel({ module, slots, layout, limits, key });
    this.kernel = kernel.kind;
    const lease = Lease.claim(words, seats, threadId);
    this.#reader = new Reader({
      lease,
      slots: slots.map(slotBuffer),
      layout,
      plan,
      limits,
      kernel,
      now: monotonicMs,
    });
    this.#seat = { words, seats, release: () => this.#release() };
    keepSeats(this.#seat);
    try {
      this.#reader.verify();
    } catch (error) {
      this.#release();
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

  lookup(ids: NodeIds): LookupResult {
    return this.#open().lookup(ids);
  }

  generation(): number {
    return this.#open().generation();
  }

  ageMs(): number {
    return this.#open().ageMs();
  }

  adopt(worker: Worker): void {
    this.#open();
    watchWorker(worker, this.#seat);
  }

  close(): void {
    this.#release();
  }

  [Symbol.dispose](): void {
    void this.close();
  }

  #release(): void {
    if (this.#closed) return;
    this.#closed = true;
    leaveSeats(this.#seat);
    this.#reader.release();
  }

  #open(): Reader {
    if (this.#closed) throw new CacheError('CACHE_CLOSED');
    return this.#reader;
  }
}

/** The slots of a handle. Throws LAYOUT_MISMATCH unless there are `count`, laid out in `bytes` bytes. */
function checkedSlots(handle: CacheHandle, count: number, bytes: number): readonly SlotMemory[] {
  const { slots, slotBytes } = handle;
  const memories = slots.filter(
    slot => slot instanceof SharedArrayBuffer || slot instanceof WebAssembly.Memory,
  );
  const large = memories.every(slot => slotBuffer(slot).byteLength >= bytes);
  if (slotBytes === bytes && memories.length === count && large) return memories;
  throw new CacheError('LAYOUT_MISMATCH', `the handle does not have ${count} slots of ${bytes} bytes`);
}

function answered<T>(answer: LoaderAnswer<T>): T {
  if (!answer.ok) throw errorFromData(answer.error);
  return answer.value;
}

class OwnedCache extends AttachedCache implements Cache {
  readonly #handle: CacheHandle;
  readonly #loader: Loader;
  #closing: Promise<void> | undefined;

  constructor(handle: CacheHandle, loader: Loader) {
    super(handle);
    this.#handle = handle;
    this.#loader = loader;
    loader.run();
  }

  handle(): CacheHandle {
    return this.#handle;
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

  async revoke(ids: readonly NodeId[], options: { holdMs?: number } = {}): Promise<RevokeResult> {
    const holdMs = options.holdMs ?? HOLD_DEFAULT_MS;
    if (!Number.isInteger(holdMs) || holdMs < 1 || holdMs > HOLD_MAX_MS) {
      const detail = `holdMs is a whole number from 1 to ${HOLD_MAX_MS}, not ${holdMs}`;
      throw new CacheError('REQUEST_INVALID', detail, { field: 'holdMs' });
    }
    return answered(await this.#loader.ask('revoke', { ids: packedIds(ids), holdMs }));
  }

  async restore(ids: readonly NodeId[]): Promise<number> {
    return answered(await this.#loader.ask('restore', { ids: packedIds(ids) }));
  }

  async override(validators: readonly ValidatorName[], forMs: number): Promise<GuardStatus> {
    return answered(await this.#loader.ask('override', { validators, forMs }));
  }

  async fleet(): Promise<FleetView | undefined> {
    return answered(await this.#loader.ask('fleet', {}));
  }

  addRings(memory: RingMemory): void {
    this.#loader.addRings(memory);
  }

  async ready(options: { timeoutMs?: number } = {}): Promise<number> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_READY_TIMEOUT_MS;
    let timer: NodeJS.Timeout | undefined;
    let stopListening: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const look = (status: LoaderStatus) => {
          if (status.state === 'stopped') reject(new CacheError('CACHE_CLOSED'));
          // The generation is seen at once; what is said of it comes later, unless its loader has died.
          else if (this.generation() > 0 && (status.nodes !== undefined || status.restarts > 0)) resolve();
        };
        timer = setTimeout(() => reject(this.#notReady(`no generation within ${timeoutMs} ms`)), timeoutMs);
        stopListening = this.onStatus(look);
        look(this.status());
      });
    } finally {
      clearTimeout(timer);
      stopListening?.();
    }
    return this.generation();
  }

  /** As `ready`; but when the generation does not come, everything is closed. Throws SNAPSHOT_NOT_READY. */
  async firstLoad(timeoutMs = DEFAULT_READY_TIMEOUT_MS): Promise<void> {
    try {
      await this.ready({ timeoutMs });
    } catch (error) {
      const failure =
        error instanceof CacheError && error.code === 'SNAPSHOT_NOT_READY'
          ? error
          : this.#notReady('the cache was closed before the first generation');
      await this.close();
      throw failure;
    }
  }

  override close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #closeAll(): Promise<void> {
    await this.#loader.stop();
    super.close();
  }

  #notReady(what: string): CacheError {
    const { lastError } = this.status();
    const reason =
      lastError === undefined ? 'the first load is still running' : `${lastError.code}: ${lastError.message}`;
    return new CacheError('SNAPSHOT_NOT_READY', `${what}; ${reason}`);
  }
}
