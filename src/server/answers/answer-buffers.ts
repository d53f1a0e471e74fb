/**
 * Private buffers that answers are encoded into, used again and again: fresh memory for each answer costs
 * more than the selection itself. HTTP threads only.
 */
import { CacheError } from '../../engine/errors.ts';
import { HEAD_ROOM_BYTES } from './answer-sender.ts';
import type { Departures, Lent } from './departures.ts';

/** Sizes are powers of two, so that a few lists hold all; the smallest takes 110 nodes as JSON. */
const SIZE_MIN_BITS = 15;
/** Free buffers that are kept of each size: more than one is in use only while readers are slow. */
const FREE_MAX = 64;

/** Room for one answer: its head, and its body from HEAD_ROOM_BYTES on. */
export interface AnswerBuffer extends Lent {
  readonly bytes: Buffer;
  /** The part for the body. */
  readonly body: Uint8Array;
}

export class AnswerBuffers {
  readonly #free: AnswerBuffer[][] = [];
  readonly #bytesMax: number;
  readonly #departures: Departures;

  /** `bytesMax`: bytes that may wait for slow readers at once, or one answer where it is larger. */
  constructor(bytesMax: number, departures: Departures) {
    this.#bytesMax = bytesMax;
    this.#departures = departures;
  }

  /**
   * A buffer for a body of at least `bytes`, with anything in it. Throws OVERLOADED while too much waits for
   * slow readers.
   */
  take(bytes: number): AnswerBuffer {
    const { waitingBytes } = this.#departures;
    // One answer is always taken: a limit that is smaller, as divided among threads, would refuse for ever.
    if (waitingBytes > 0 && waitingBytes + bytes > this.#bytesMax) {
      throw new CacheError('OVERLOADED', `${waitingBytes} bytes of answers wait for slow readers`);
    }
    const bits = Math.max(SIZE_MIN_BITS, 32 - Math.clz32(bytes - 1));
    this.#free[bits] ??= [];
    const free = this.#free[bits];
    return free.pop() ?? newBuffer(bits, free);
  }
}

function newBuffer(bits: number, free: AnswerBuffer[]): AnswerBuffer {
  const bytes = Buffer.allocUnsafeSlow(HEAD_ROOM_BYTES + 2 ** bits);
  const buffer: AnswerBuffer = {
    bytes,
    body: bytes.subarray(HEAD_ROOM_BYTES),
    heldBytes: 2 ** bits,
    giveBack: () => {
      if (free.length < FREE_MAX) free.push(buffer);
    },
  };
  return buffer;
}
