/**
 * Private buffers that answers are encoded into, used again and again: fresh memory for each answer costs
 * more than the selection itself. HTTP thread only. Invariant I6: a buffer comes back only when the bytes in
 * it have left for good.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { CacheError } from '../../engine/errors.ts';

/** Sizes are powers of two, so that a few lists hold all; the smallest takes 110 nodes as JSON. */
const SIZE_MIN_BITS = 15;
/** Free buffers that are kept of each size: more than one is in use only while readers are slow. */
const FREE_MAX = 64;

export class AnswerBuffers {
  readonly #free: Buffer[][] = [];
  readonly #bytesMax: number;
  #waitingBytes = 0;
  /**
   * Answers under way, by connection: one that waits behind another hears nothing when its connection ends.
   */
  readonly #underWay = new WeakMap<Socket, Map<ServerResponse, Buffer>>();

  /** `bytesMax`: bytes that may wait for slow readers at once. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes of buffers whose answers have not been taken by the system yet. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /**
   * A buffer of at least `bytes`, with anything in it. Throws OVERLOADED while too much waits for slow
   * readers.
   */
  take(bytes: number): Buffer {
    if (this.#waitingBytes + bytes > this.#bytesMax) {
      throw new CacheError('OVERLOADED', `${this.#waitingBytes} bytes of answers wait for slow readers`);
    }
    const bits = sizeBits(bytes);
    return this.#free[bits]?.pop() ?? Buffer.allocUnsafeSlow(2 ** bits);
  }

  /** Takes back a buffer of which nothing is on its way. */
  giveBack(buffer: Buffer): void {
    const bits = sizeBits(buffer.length);
    this.#free[bits] ??= [];
    const free = this.#free[bits];
    if (free.length < FREE_MAX) free.push(buffer);
  }

  /** Ends the answer with the first `bytes` of `buffer`, and takes it back when they have left. */
  end(raw: ServerResponse, buffer: Buffer, bytes: number): void {
    raw.end(buffer.subarray(0, bytes));
    // Nothing waits: the system has taken all bytes during `end` (always, unless the reader is slow or
    // pipelines).
    if (raw.writableLength === 0) {
      this.giveBack(buffer);
      return;
    }
    this.#waitingBytes += buffer.length;
    this.#underWayOn(raw.req.socket).set(raw, buffer);
    // `close` comes after the last byte was taken, or when the connection is gone and nothing will be read
    // any more.
    raw.once('close', () => this.#release(raw.req.socket, raw));
  }

  #underWayOn(socket: Socket): Map<ServerResponse, Buffer> {
    let answers = this.#underWay.get(socket);
    if (answers === undefined) {
      answers = new Map();
      this.#underWay.set(socket, answers);
      socket.once('close', () => {
        for (const raw of this.#underWayOn(socket).keys()) this.#release(socket, raw);
      });
    }
    return answers;
  }

  #release(socket: Socket, raw: ServerResponse): void {
    const answers = this.#underWayOn(socket);
    const buffer = answers.get(raw);
    if (buffer === undefined) return;
    answers.delete(raw);
    this.#waitingBytes -= buffer.length;
    this.giveBack(buffer);
  }
}

function sizeBits(bytes: number): number {
  return Math.max(SIZE_MIN_BITS, 32 - Math.clz32(bytes - 1));
}
