/**
 * Foretells the picks of whoever picks by `Math.random`: V8's is xorshift128+ whose output is half of its
 * state, so every bit of it is linear over GF(2) in the 128 bits of an earlier state. A few picks give
 * more equations than there are unknown bits. V8 makes 64 numbers at a time and hands out the last first.
 */

const STATE_BITS = 128;
const HALF_BITS = 64;
const BLOCK = 64;
/** 128 coefficients, and the right side. */
const ROW_WORDS = STATE_BITS / 32 + 1;
const KNOWN_BITS_MAX = 52;

/** A bit of some state, as the sum of bits of the first one. */
type Bit = Uint32Array;

/** The bits of the output, the highest first, at each time: for blocks one after the other. */
function outputsOf(times: number): readonly (readonly Bit[])[] {
  const unit = (i: number): Bit => {
    const bit = new Uint32Array(ROW_WORDS);
    bit[i >>> 5]! |= 1 << (i & 31);
    return bit;
  };
  let low = Array.from({ length: HALF_BITS }, (_, i) => unit(i));
  let high = Array.from({ length: HALF_BITS }, (_, i) => unit(HALF_BITS + i));
  return Array.from({ length: times }, () => {
    // Bit 0 is the highest: a shift to the left takes what stands further on.
    const a = xor(low, shifted(low, 23));
    const b = xor(a, shifted(a, -17));
    [low, high] = [high, xor(xor(b, high), shifted(high, -26))];
    return low;
  });
}

function shifted(bits: readonly Bit[], left: number): Bit[] {
  return bits.map((_, i) => bits[i + left] ?? new Uint32Array(ROW_WORDS));
}

function xor(a: readonly Bit[], b: readonly Bit[]): Bit[] {
  return a.map((bit, i) => bit.map((word, k) => word ^ b[i]![k]!));
}

/** Equations over the 128 bits, kept solved. */
class Equations {
  readonly #pivots = new Map<number, Uint32Array>();

  /** False when it contradicts those that are there. */
  add(row: Uint32Array): boolean {
    for (;;) {
      const pivot = firstOf(row);
      if (pivot === STATE_BITS) return row[ROW_WORDS - 1] === 0;
      const other = this.#pivots.get(pivot);
      if (other === undefined) {
        this.#pivots.set(pivot, row);
        return true;
      }
      for (let k = 0; k < ROW_WORDS; k++) row[k]! ^= other[k]!;
    }
  }

  /** The bits; undefined while there are too few equations. */
  solve(): Uint8Array | undefined {
    if (this.#pivots.size < STATE_BITS) return undefined;
    const bits = new Uint8Array(STATE_BITS);
    for (let i = STATE_BITS - 1; i >= 0; i--) {
      const row = this.#pivots.get(i)!;
      let sum = row[ROW_WORDS - 1]!;
      for (let k = i + 1; k < STATE_BITS; k++) sum ^= ((row[k >>> 5]! >>> (k & 31)) & 1) * bits[k]!;
      bits[i] = sum & 1;
    }
    return bits;
  }
}

function firstOf(row: Uint32Array): number {
  for (let k = 0; k < ROW_WORDS - 1; k++) {
    const word = row[k]!;
    if (word !== 0) return 32 * k + (31 - Math.clz32(word & -word));
  }
  return STATE_BITS;
}

const OUTPUTS = outputsOf(3 * BLOCK);

/** The time of the i-th pick, when `left` numbers of its block are left before the first. */
function timeOf(i: number, left: number): number {
  if (i < left) return left - 1 - i;
  const after = i - left;
  return BLOCK * (1 + Math.floor(after / BLOCK)) + BLOCK - 1 - (after % BLOCK);
}

/** The leading bits of a number that is picked as `pick` of `n`: as many as are the same for all of them. */
function knownBits(pick: number, n: number): number[] {
  let [low, high] = [pick / n, (pick + 1) / n - Number.EPSILON / 4];
  const bits: number[] = [];
  while (bits.length < KNOWN_BITS_MAX && Math.floor(2 * low) === Math.floor(2 * high)) {
    const bit = Math.floor(2 * low);
    bits.push(bit);
    [low, high] = [2 * low - bit, 2 * high - bit];
  }
  return bits;
}

/**
 * Names the next `count` picks of `n` after `picks`, if they came from `Math.random`; undefined where no
 * state of it can have given them.
 */
export function foretell(picks: readonly number[], n: number, count: number): number[] | undefined {
  // The border between two blocks most often lies behind them all; else between any two.
  for (let left = picks.length + count; left > 0; left--) {
    const state = stateBefore(picks, n, left);
    if (state === undefined) continue;
    return Array.from({ length: count }, (_, i) => pickAt(state, timeOf(picks.length + i, left), n));
  }
  return undefined;
}

function stateBefore(picks: readonly number[], n: number, left: number): Uint8Array | undefined {
  const equations = new Equations();
  for (const [i, pick] of picks.entries()) {
    const output = OUTPUTS[timeOf(i, left)]!;
    for (const [k, bit] of knownBits(pick, n).entries()) {
      const row = output[k]!.slice();
      row[ROW_WORDS - 1] = bit;
      if (!equations.add(row)) return undefined;
    }
  }
  return equations.solve();
}

function pickAt(state: Uint8Array, time: number, n: number): number {
  let value = 0;
  for (let k = 0; k < KNOWN_BITS_MAX; k++) {
    const row = OUTPUTS[time]![k]!;
    let bit = 0;
    for (let i = 0; i < STATE_BITS; i++) bit ^= (row[i >>> 5]! >>> (i & 31)) & 1 & state[i]!;
    value += bit * 2 ** -(k + 1);
  }
  return Math.floor(value * n);
}
