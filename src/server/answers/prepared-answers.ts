/**
 * Answers that the selection workers have prepared, as one HTTP thread uses them: it owns a few rings, gives
 * them to the requests that are asked for most, has them kept full by the workers, and takes answers out to
 * send them. Where there is none, whatever the reason, the caller answers in place at once. HTTP threads
 * only.
 */
import { assert } from '../../engine/assert.ts';
import { ANSWER_HEAD_BYTES_MAX, writeAnswerHead } from '../../engine/encoding/answer-head.ts';
import { encodedBytesMax } from '../../engine/encoding/encode.ts';
import { NO_ANSWER, type RingMemory, sharedRingWords, Taker } from '../../engine/prepared/ring.ts';
import { type RingShape, ROOM_BYTES, slotByteOffset } from '../../engine/prepared/ring-layout.ts';
import { DEFAULT_COUNT } from '../../engine/selection/selection-request.ts';
import type { EncodedFormat, SelectionRequest } from '../../engine/selection/selection-types.ts';
import type { CacheReader } from '../../workers/cache-types.ts';
import type { RingTenant } from '../../workers/messages.ts';
import { HEAD_ROOM_BYTES } from './answer-sender.ts';
import type { Lent } from './departures.ts';
import { type HotShape, HotShapes, newShape } from './hot-shapes.ts';

assert(
  HEAD_ROOM_BYTES + ANSWER_HEAD_BYTES_MAX <= ROOM_BYTES,
  'both heads fit into the room in front of an answer',
);

/** A slot of a ring, with an answer in it that is this thread's. */
export class PreparedSlot implements Lent {
  /** The slot's memory is reserved whether it waits or not. */
  readonly heldBytes = 0;
  readonly bytes: Buffer<SharedArrayBuffer>;
  readonly #taker: Taker;
  readonly #slot: number;

  constructor(bytes: Buffer<SharedArrayBuffer>, taker: Taker, slot: number) {
    this.bytes = bytes;
    this.#taker = taker;
    this.#slot = slot;
  }

  /** Where the part of the answer begins that does not change; the age is in front of it. */
  get restStart(): number {
    return this.#taker.start(this.#slot);
  }

  get end(): number {
    return this.#taker.end(this.#slot);
  }

  giveBack(): void {
    this.#taker.release(this.#slot);
  }
}

/** A ring of this thread, and what is known of it between its words. */
class OwnRing {
  readonly number: number;
  readonly taker: Taker;
  readonly #memory: RingMemory;
  readonly #shape: RingShape;
  readonly #slots: (PreparedSlot | undefined)[] = [];
  /** Absent: nobody has the ring. */
  shape: HotShape<OwnRing> | undefined;

  constructor(memory: RingMemory, shape: RingShape, number: number, taker: Taker) {
    this.#memory = memory;
    this.#shape = shape;
    this.number = number;
    this.taker = taker;
  }

  slot(slot: number): PreparedSlot {
    this.#slots[slot] ??= new PreparedSlot(
      Buffer.from(
        this.#memory.answers,
        slotByteOffset(this.#shape, this.number, slot),
        this.#shape.slotBytes,
      ),
      this.taker,
      slot,
    );
    return this.#slots[slot];
  }
}

export interface PreparedOptions {
  readonly memory: RingMemory;
  /** The rings of this thread. */
  readonly firstRing: number;
  readonly rings: number;
  readonly threadId: number;
  readonly cache: Pick<CacheReader, 'generation' | 'ageMs'>;
  /** Has the workers keep a ring full for its tenant; undefined: not any more. */
  readonly tend: (ring: number, tenant: RingTenant | undefined) => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export interface PreparedCounts {
  /** Answers thrown away unused: of an older generation, older than a revocation, or for another request. */
  readonly drops: { readonly generation: number; readonly revoked: number; readonly tenancy: number };
  /** Rings, those in use, and answers that wait in them. */
  readonly rings: number;
  readonly ringsUsed: number;
  readonly ready: number;
  readonly slots: number;
}

/** A request whose answers may be prepared. */
export type PreparedShape = HotShape<OwnRing>;

export class PreparedAnswers {
  readonly #options: PreparedOptions;
  readonly #shape: RingShape;
  readonly #rings: OwnRing[];
  readonly #shapes: HotShapes<OwnRing>;
  readonly #generation: () => number;
  #reviewedAtMs: number;
  /** The generation that `#readAtMs` belongs to. */
  #agedGeneration = 0;
  /** When the read of that generation began, by `now`; not earlier than it did. */
  #readAtMs = 0;

  constructor(options: PreparedOptions) {
    const { memory, firstRing, rings, threadId, now } = options;
    const { words, shape } = sharedRingWords(memory);
    this.#options = options;
    this.#shape = shape;
    this.#generation = () => this.#currentGeneration();
    this.#reviewedAtMs = now();
    this.#rings = Array.from(
      { length: rings },
      (_, i) => new OwnRing(memory, shape, firstRing + i, new Taker(words, shape, firstRing + i, threadId)),
    );
    this.#shapes = new HotShapes({
      open: candidate => this.#open(candidate),
      close: ring => this.#close(ring),
    });
  }

  /** Where the rings are. */
  get memory(): RingMemory {
    return this.#options.memory;
  }

  /**
   * What is to be counted and asked for when `request` comes again; undefined when it cannot be prepared.
   * What no slot is large enough for has no shape, so that it never competes for a ring.
   */
  shapeOf(format: EncodedFormat, request: SelectionRequest): PreparedShape | undefined {
    const bytesMax = encodedBytesMax(format, request.count ?? DEFAULT_COUNT);
    if (bytesMax > this.#shape.slotBytes - ROOM_BYTES) return undefined;
    return newShape(format, request);
  }

  /** Counts the request. */
  hit(shape: PreparedShape): PreparedShape {
    return this.#shapes.hit(shape);
  }

  /**
   * An answer to a request of `shape`, as good as one computed now: to be sent, and then given back.
   * Undefined when there is none.
   */
  take({ ring }: PreparedShape): PreparedSlot | undefined {
    if (ring === undefined) return undefined;
    const slot = ring.taker.take(this.#generation);
    return slot === NO_ANSWER ? undefined : ring.slot(slot);
  }

  /**
   * Writes the beginning of the answer that has just been taken, with the age that it has now; returns where
   * it starts.
   */
  writeHead(format: EncodedFormat, { bytes, restStart }: PreparedSlot): number {
    const ageMs = Math.ceil(this.#options.now() - this.#readAtMs);
    return writeAnswerHead(format, this.#agedGeneration, ageMs, bytes, restStart);
  }

  /** Gives rings to hot requests and takes them from cold ones; to be called a few times a second. */
  review(): void {
    const now = this.#options.now();
    this.#shapes.review(now - this.#reviewedAtMs);
    this.#reviewedAtMs = now;
  }

  /** The workers found no whole answer for the tenant of a ring of this thread. */
  unfit({ ring: number, tenancy }: Pick<RingTenant, 'ring' | 'tenancy'>): void {
    const ring = this.#rings.find(own => own.number === number);
    if (ring?.shape !== undefined && ring.taker.tenancy === tenancy) this.#shapes.bar(ring.shape);
  }

  counts(): PreparedCounts {
    const drops = { generation: 0, revoked: 0, tenancy: 0 };
    for (const { taker } of this.#rings) {
      drops.generation += taker.drops.generation;
      drops.revoked += taker.drops.revoked;
      drops.tenancy += taker.drops.tenancy;
    }
    const used = this.#rings.filter(({ shape }) => shape !== undefined);
    return {
      drops,
      rings: this.#rings.length,
      ringsUsed: used.length,
      ready: used.reduce((sum, { taker }) => sum + taker.readyCount(), 0),
      slots: this.#shape.slots * used.length,
    };
  }

  #open(shape: PreparedShape): OwnRing | undefined {
    const { format, request } = shape;
    const ring = this.#rings.find(candidate => candidate.shape === undefined);
    if (ring === undefined) return undefined;
    const tenancy = ring.taker.adopt();
    ring.shape = shape;
    this.#options.tend(ring.number, { ring: ring.number, tenancy, format, request });
    return ring;
  }

  #close(ring: OwnRing): void {
    ring.shape = undefined;
    this.#options.tend(ring.number, undefined);
  }

  /** What is taken is of this generation, and so is the age that is kept beside it. */
  #currentGeneration(): number {
    const { cache, now } = this.#options;
    while (this.#agedGeneration !== cache.generation()) {
      const generation = cache.generation();
      const readAtMs = now() - cache.ageMs();
      // Both of one generation, unless one was published between them.
      if (cache.generation() !== generation) continue;
      this.#agedGeneration = generation;
      this.#readAtMs = readAtMs;
    }
    return this.#agedGeneration;
  }
}
