// @hotpath
/**
 * Hands out private memory for selections from larger pieces: one allocation of a few kilobytes a call costs more than
 * the selection. A piece is given back by the garbage collector when its last selection is gone.
 */

/** Below glibc's mmap threshold, so that freed pieces are used again without new page faults. */
const SLAB_WORDS = 16 * 1024;

export class RecordSlab {
  #slab = new Uint32Array(SLAB_WORDS);
  #next = 0;

  /** `words` words that nobody else has; their content is whatever was there. */
  take(words: number): Uint32Array {
    if (words > SLAB_WORDS) return new Uint32Array(words);
    if (this.#next + words > SLAB_WORDS) {
      this.#slab = new Uint32Array(SLAB_WORDS);
      this.#next = 0;
    }
    const start = this.#next;
    this.#next += words;
    return this.#slab.subarray(start, this.#next);
  }
}
