/**
 * Nodes that the source has said something new about, and that have not been read again yet. Each once, in
 * the order in which they came, and not more than can be read at once. Loader thread.
 */
import { ID_BYTES } from '../../native-layout/snapshot-row.ts';
import { NODES_ASKED_MAX } from './source/row-source.ts';

export class StaleNodes {
  /** Ids as one byte a character: the cheapest key there is for bytes. */
  readonly #ids = new Set<string>();
  #earliestMs: number | undefined;

  get size(): number {
    return this.#ids.size;
  }

  /** When the earliest of the writes was made, by the source's wall clock; undefined when it did not say. */
  get earliestUnixMs(): number | undefined {
    return this.#earliestMs;
  }

  /** Adds `ids`, 32 bytes each. False when they are more than can be read at once: then all are forgotten. */
  add(ids: Uint8Array, writtenAtUnixMs?: number): boolean {
    const bytes = Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength);
    for (let at = 0; at + ID_BYTES <= bytes.length; at += ID_BYTES) {
      this.#ids.add(bytes.toString('latin1', at, at + ID_BYTES));
      if (this.#ids.size <= NODES_ASKED_MAX) continue;
      this.clear();
      return false;
    }
    if (writtenAtUnixMs !== undefined) {
      this.#earliestMs = Math.min(this.#earliestMs ?? writtenAtUnixMs, writtenAtUnixMs);
    }
    return true;
  }

  /** Takes all of them out. */
  take(): Uint8Array {
    const ids = Buffer.alloc(this.#ids.size * ID_BYTES);
    let at = 0;
    for (const id of this.#ids) at += ids.write(id, at, 'latin1');
    this.clear();
    return ids;
  }

  clear(): void {
    this.#ids.clear();
    this.#earliestMs = undefined;
  }
}
