/**
 * ChaCha8Rand (https://c2sp.org/chacha8rand) in the private memory: 16 blocks a refill, four side by side in
 * vectors, whose last eight words are the next key. Words are erased in bulk, when a call ends. The plain
 * twin is src/engine/selection/random.ts.
 */
import {
  KERNEL_WORD_RANDOM,
  KERNEL_WORD_RANDOM_USED,
  RANDOM_OUTPUT_BYTES,
  ROTATE_8,
  ROTATE_16,
} from './constants';
import { directory, setDirectory } from './directory';

/** The next 32 random bits. */
export function nextWord(): u32 {
  let used = directory(KERNEL_WORD_RANDOM_USED);
  if (used === RANDOM_OUTPUT_BYTES) {
    refill();
    used = 0;
  }
  setDirectory(KERNEL_WORD_RANDOM_USED, used + 4);
  return load<u32>(directory(KERNEL_WORD_RANDOM) + used);
}

/**
 * An integer below `n`, each equally likely. Lemire, "Fast Random Integer Generation in an Interval" (2019):
 * the high half of a product, and rejection of the few low halves that would favour some result.
 */
export function below(n: u32): u32 {
  const product = <u64>nextWord() * <u64>n;
  return <u32>product >= n ? <u32>(product >> 32) : belowFair(product, n);
}

/** The one case in 2^32 / n that needs care. */
function belowFair(first: u64, n: u32): u32 {
  const threshold = (<u32>0 - n) % n;
  let product = first;
  while (<u32>product < threshold) product = <u64>nextWord() * <u64>n;
  return <u32>(product >> 32);
}

/** True with probability `p`, 0 to 1, to 53 bits. */
export function chance(p: f64): bool {
  if (p <= 0) return false;
  const high = nextWord() >> 5;
  const low = nextWord() >> 6;
  return (<f64>high * 67108864.0 + <f64>low) * (1.0 / 9007199254740992.0) < p;
}

/** Where the words of this call begin that have not been erased. */
let unerased: u32 = 0;

/** Begins a call: what is drawn from now on is erased by `eraseWords`. */
export function markWords(): void {
  unerased = directory(KERNEL_WORD_RANDOM_USED);
}

export function eraseWords(): void {
  memory.fill(directory(KERNEL_WORD_RANDOM) + unerased, 0, directory(KERNEL_WORD_RANDOM_USED) - unerased);
}

/** Makes new words under the key that follows the old ones, all of which it writes over. */
export function refill(): void {
  unerased = 0;
  const random = directory(KERNEL_WORD_RANDOM);
  const key = random + RANDOM_OUTPUT_BYTES;
  const low = v128.load(key);
  const high = v128.load(key, 16);
  fourBlocks(random, 0, low, high);
  fourBlocks(random + 256, 4, low, high);
  fourBlocks(random + 512, 8, low, high);
  fourBlocks(random + 768, 12, low, high);
}

/** Blocks `counter` to `counter + 3`: each vector holds one word of all four. */
// biome-ignore format: four columns, then four diagonals, a quarter round in four lines
function fourBlocks(out: usize, counter: u32, low: v128, high: v128): void {
  const by16 = v128.load(ROTATE_16), by8 = v128.load(ROTATE_8);
  const k0 = i8x16.shuffle(low, low, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
  const k1 = i8x16.shuffle(low, low, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7);
  const k2 = i8x16.shuffle(low, low, 8, 9, 10, 11, 8, 9, 10, 11, 8, 9, 10, 11, 8, 9, 10, 11);
  const k3 = i8x16.shuffle(low, low, 12, 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15);
  const k4 = i8x16.shuffle(high, high, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
  const k5 = i8x16.shuffle(high, high, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7);
  const k6 = i8x16.shuffle(high, high, 8, 9, 10, 11, 8, 9, 10, 11, 8, 9, 10, 11, 8, 9, 10, 11);
  const k7 = i8x16.shuffle(high, high, 12, 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15);
  let a = i32x4.splat(0x61707865), b = i32x4.splat(0x3320646e);
  let c = i32x4.splat(0x79622d32), d = i32x4.splat(0x6b206574);
  let e = k0, f = k1, g = k2, h = k3;
  let i = k4, j = k5, k = k6, l = k7;
  let m = i32x4.add(i32x4.splat(counter), i32x4(0, 1, 2, 3)), n = i32x4.splat(0), o = n, p = n;
  for (let round = 0; round < 8; round += 2) {
    a = i32x4.add(a, e); m = i8x16.relaxed_swizzle(v128.xor(m, a), by16);
    i = i32x4.add(i, m); e = by12(v128.xor(e, i));
    a = i32x4.add(a, e); m = i8x16.relaxed_swizzle(v128.xor(m, a), by8);
    i = i32x4.add(i, m); e = by7(v128.xor(e, i));
    b = i32x4.add(b, f); n = i8x16.relaxed_swizzle(v128.xor(n, b), by16);
    j = i32x4.add(j, n); f = by12(v128.xor(f, j));
    b = i32x4.add(b, f); n = i8x16.relaxed_swizzle(v128.xor(n, b), by8);
    j = i32x4.add(j, n); f = by7(v128.xor(f, j));
    c = i32x4.add(c, g); o = i8x16.relaxed_swizzle(v128.xor(o, c), by16);
    k = i32x4.add(k, o); g = by12(v128.xor(g, k));
    c = i32x4.add(c, g); o = i8x16.relaxed_swizzle(v128.xor(o, c), by8);
    k = i32x4.add(k, o); g = by7(v128.xor(g, k));
    d = i32x4.add(d, h); p = i8x16.relaxed_swizzle(v128.xor(p, d), by16);
    l = i32x4.add(l, p); h = by12(v128.xor(h, l));
    d = i32x4.add(d, h); p = i8x16.relaxed_swizzle(v128.xor(p, d), by8);
    l = i32x4.add(l, p); h = by7(v128.xor(h, l));

    a = i32x4.add(a, f); p = i8x16.relaxed_swizzle(v128.xor(p, a), by16);
    k = i32x4.add(k, p); f = by12(v128.xor(f, k));
    a = i32x4.add(a, f); p = i8x16.relaxed_swizzle(v128.xor(p, a), by8);
    k = i32x4.add(k, p); f = by7(v128.xor(f, k));
    b = i32x4.add(b, g); m = i8x16.relaxed_swizzle(v128.xor(m, b), by16);
    l = i32x4.add(l, m); g = by12(v128.xor(g, l));
    b = i32x4.add(b, g); m = i8x16.relaxed_swizzle(v128.xor(m, b), by8);
    l = i32x4.add(l, m); g = by7(v128.xor(g, l));
    c = i32x4.add(c, h); n = i8x16.relaxed_swizzle(v128.xor(n, c), by16);
    i = i32x4.add(i, n); h = by12(v128.xor(h, i));
    c = i32x4.add(c, h); n = i8x16.relaxed_swizzle(v128.xor(n, c), by8);
    i = i32x4.add(i, n); h = by7(v128.xor(h, i));
    d = i32x4.add(d, e); o = i8x16.relaxed_swizzle(v128.xor(o, d), by16);
    j = i32x4.add(j, o); e = by12(v128.xor(e, j));
    d = i32x4.add(d, e); o = i8x16.relaxed_swizzle(v128.xor(o, d), by8);
    j = i32x4.add(j, o); e = by7(v128.xor(e, j));
  }
  v128.store(out, a, 0); v128.store(out, b, 16); v128.store(out, c, 32); v128.store(out, d, 48);
  v128.store(out, i32x4.add(e, k0), 64); v128.store(out, i32x4.add(f, k1), 80);
  v128.store(out, i32x4.add(g, k2), 96); v128.store(out, i32x4.add(h, k3), 112);
  v128.store(out, i32x4.add(i, k4), 128); v128.store(out, i32x4.add(j, k5), 144);
  v128.store(out, i32x4.add(k, k6), 160); v128.store(out, i32x4.add(l, k7), 176);
  v128.store(out, m, 192); v128.store(out, n, 208); v128.store(out, o, 224); v128.store(out, p, 240);
}

function by12(x: v128): v128 {
  return v128.or(i32x4.shl(x, 12), i32x4.shr_u(x, 20));
}

function by7(x: v128): v128 {
  return v128.or(i32x4.shl(x, 7), i32x4.shr_u(x, 25));
}
