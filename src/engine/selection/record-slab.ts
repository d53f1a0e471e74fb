// @hotpath
/**
 * Hands out private memory for selections from larger pieces: an allocation of a few kilobytes a call costs
 * more than the selection. A piece is given back by the garbage collector when its last selection is gone.
 */

/** Below glibc's mmap threshold, so that freed pieces are used again without new page faults. */
const SLAB_BYTES = 64 * 1024;
/** What is smaller gets memory of its own: a few picks that are kept must not keep a whole piece. */
const SHARED_BYTES_MIN = 2 * 1024;

/** A piece of private memory, and both ways to reach it. */
export interface RecordMemory {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly view: DataView;
}

export class RecordSlab {
  /** Where the bytes of the last `take` are. */
  memory = recordMemory(SLAB_BYTES);
  #shared = this.memory;
  #next = 0;

  /** The first of `bytes` bytes in `memory` that nobody else has; their content is whatever was there. */
  take(bytes: number): number {
    if (bytes < SHARED_BYTES_MIN || bytes > SLAB_BYTES) {
      this.memory = recordMemory(bytes);
      return 0;
    }
    if (this.#next + bytes > SLAB_BYTES) {
      this.#shared = recordMemory(SLAB_BYTES);
      this.#next = 0;
    }
    const start = this.#next;
    this.#next += bytes;
    this.memory = this.#shared;
    return start;
  }
}

/** Not zeroed: every byte that is given out is written before it is read. */
export function recordMemory(bytes: number): RecordMemory {
  const memory = Buffer.allocUnsafeSlow(bytes);
  return { bytes: memory, view: new DataView(memory.buffer) };
}
