// @hotpath
/**
 * Hands out private memory for selections from larger pieces: an allocation of a few kilobytes a call costs
 * more than the selection. A piece is given back by the garbage collector when its last selection is gone.
 */

/** Below glibc's mmap threshold, so that freed pieces are used again without new page faults. */
const SLAB_BYTES = 64 * 1024;
/**
 * What is smaller comes from Node's own pieces of 8 KiB: a few picks that are kept must not keep a large one.
 */
const LARGE_PIECE_BYTES_MIN = 2 * 1024;

export class RecordSlab {
  /** Where the bytes of the last `take` are. Not zeroed: what is given out is written before it is read. */
  memory = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #shared = this.memory;
  #next = 0;

  /** The first of `bytes` bytes in `memory` that nobody else has; their content is whatever was there. */
  take(bytes: number): number {
    if (bytes < LARGE_PIECE_BYTES_MIN || bytes > SLAB_BYTES) {
      this.memory = Buffer.allocUnsafe(bytes);
      return 0;
    }
    if (this.#next + bytes > SLAB_BYTES) {
      this.#shared = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#next = 0;
    }
    const start = this.#next;
    this.#next += bytes;
    this.memory = this.#shared;
    return start;
  }
}
