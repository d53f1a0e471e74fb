// @hotpath
/**
 * SHA-256 (FIPS 180-4), for the names of networks: their keys are to be the same on every machine and never
 * of two names, also where somebody chooses names to that end. Once a name, so it need not be fast.
 */

const BLOCK_BYTES = 64;
const BLOCK_WORDS = BLOCK_BYTES / 4;
const ROUNDS = 64;
/** What follows the message at least: a bit, and its length in eight bytes. */
const CLOSING_BYTES = 9;
export const SHA256_WORDS = 8;

const FIRST = new Int32Array(SHA256_WORDS);
const ROUND_CONSTANTS = new Int32Array(ROUNDS);
{
  // The first 32 bits of the fractions of square and cube roots of the first primes.
  const primes: number[] = [];
  for (let n = 2; primes.length < ROUNDS; n++) if (primes.every(prime => n % prime !== 0)) primes.push(n);
  const fraction = (x: number) => (x - Math.floor(x)) * 2 ** 32;
  primes.forEach((prime, i) => {
    if (i < SHA256_WORDS) FIRST[i] = fraction(Math.sqrt(prime));
    ROUND_CONSTANTS[i] = fraction(Math.cbrt(prime));
  });
}

const schedule = new Int32Array(ROUNDS);

/** The hash of `bytes` as eight words, each to be written big-endian. */
export function sha256(bytes: Uint8Array): Int32Array {
  const { length } = bytes;
  const padded = new Uint8Array(Math.ceil((length + CLOSING_BYTES) / BLOCK_BYTES) * BLOCK_BYTES);
  padded.set(bytes);
  padded[length] = 0x80;
  const view = new DataView(padded.buffer);
  // In two words: the length is in bits.
  view.setUint32(padded.length - 8, Math.floor(length / 2 ** 29));
  view.setUint32(padded.length - 4, (length << 3) >>> 0);
  const state = FIRST.slice();
  for (let at = 0; at < padded.length; at += BLOCK_BYTES) step(state, view, at);
  return state;
}

function step(state: Int32Array, view: DataView, at: number): void {
  const w = schedule;
  for (let i = 0; i < BLOCK_WORDS; i++) w[i] = view.getInt32(at + 4 * i);
  for (let i = BLOCK_WORDS; i < ROUNDS; i++) {
    const early = w[i - 15]!;
    const late = w[i - 2]!;
    const low = turn(early, 7) ^ turn(early, 18) ^ (early >>> 3);
    const high = turn(late, 17) ^ turn(late, 19) ^ (late >>> 10);
    w[i] = w[i - 16]! + low + w[i - 7]! + high;
  }
  let a = state[0]!;
  let b = state[1]!;
  let c = state[2]!;
  let d = state[3]!;
  let e = state[4]!;
  let f = state[5]!;
  let g = state[6]!;
  let h = state[7]!;
  for (let i = 0; i < ROUNDS; i++) {
    const choice = (e & f) ^ (~e & g);
    const majority = (a & b) ^ (a & c) ^ (b & c);
    const first = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + choice + ROUND_CONSTANTS[i]! + w[i]!;
    const second = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + majority;
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + second) | 0;
  }
  state[0]! += a;
  state[1]! += b;
  state[2]! += c;
  state[3]! += d;
  state[4]! += e;
  state[5]! += f;
  state[6]! += g;
  state[7]! += h;
}

function turn(x: number, by: number): number {
  return (x >>> by) | (x << (32 - by));
}
