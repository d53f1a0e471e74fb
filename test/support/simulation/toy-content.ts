/**
 * The toy table of simulations: numbers with values. Its digest is a sum of a hash of each row, as the real
 * one; snapshots and deltas are words. A first word says the layout, so that versions can differ.
 */

export type Rows = ReadonlyMap<number, number>;

const LANES = 4;

export class ToyDigest {
  readonly #lanes = new Uint32Array(LANES);

  static of(rows: Rows): ToyDigest {
    const digest = new ToyDigest();
    for (const [id, value] of rows) digest.add(id, value);
    return digest;
  }

  add(id: number, value: number): void {
    this.#change(id, value, 1);
  }

  remove(id: number, value: number): void {
    this.#change(id, value, -1);
  }

  get text(): string {
    return Array.from(this.#lanes, lane => lane.toString(16).padStart(8, '0')).join('');
  }

  #change(id: number, value: number, factor: number): void {
    let hash = Math.imul(id + 1, 0x9e3779b1) ^ Math.imul(value + 1, 0x85ebca77);
    for (let lane = 0; lane < LANES; lane++) {
      hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35) + lane;
      hash ^= hash >>> 13;
      this.#lanes[lane] = this.#lanes[lane]! + factor * hash;
    }
  }
}

export function packRows(rows: Rows, layout: number): Uint8Array {
  const words = new Uint32Array(2 + 2 * rows.size);
  words[0] = layout;
  words[1] = rows.size;
  let at = 2;
  for (const [id, value] of rows) {
    words[at++] = id;
    words[at++] = value;
  }
  return new Uint8Array(words.buffer);
}

/** Undefined for bytes that are no rows. */
export function unpackRows(bytes: Uint8Array): { layout: number; rows: Map<number, number> } | undefined {
  const words = wordsOf(bytes);
  if (words === undefined || words.length < 2 || words.length !== 2 + 2 * words[1]!) return undefined;
  const rows = new Map<number, number>();
  for (let at = 2; at < words.length; at += 2) rows.set(words[at]!, words[at + 1]!);
  return { layout: words[0]!, rows };
}

/** The changes from `from` to `to`. */
export function packDelta(from: Rows, to: Rows): Uint8Array {
  const removed = [...from.keys()].filter(id => !to.has(id));
  const set = [...to].filter(([id, value]) => from.get(id) !== value).flat();
  return new Uint8Array(Uint32Array.from([removed.length, ...removed, ...set]).buffer);
}

/** Undefined for bytes that are no changes. */
export function applyDelta(rows: Rows, bytes: Uint8Array): Map<number, number> | undefined {
  const words = wordsOf(bytes);
  const removedCount = words?.[0];
  if (words === undefined || removedCount === undefined) return undefined;
  const setWords = words.length - 1 - removedCount;
  if (setWords < 0 || setWords % 2 !== 0) return undefined;
  const result = new Map(rows);
  for (let at = 1; at <= removedCount; at++) result.delete(words[at]!);
  for (let at = 1 + removedCount; at < words.length; at += 2) result.set(words[at]!, words[at + 1]!);
  return result;
}

function wordsOf(bytes: Uint8Array): Uint32Array | undefined {
  if (bytes.byteLength % 4 !== 0) return undefined;
  return new Uint32Array(bytes.slice().buffer);
}
