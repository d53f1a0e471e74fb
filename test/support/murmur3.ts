/**
 * MurmurHash3 x86 128 over any bytes, written from the description of the algorithm with big integers: slow,
 * and sharing nothing with the engine. It proves itself by smhasher's verification value.
 */

const MASK = 0xffff_ffffn;
const C = [0x239b961bn, 0xab0e9789n, 0x38b34ae5n, 0xa1e38b93n] as const;
/** For each lane: rotation of the key, rotation of the state, and what is added to it. */
const KEY_ROTATION = [15n, 16n, 17n, 18n] as const;
const STATE_ROTATION = [19n, 17n, 15n, 13n] as const;
const ADDEND = [0x561ccd1bn, 0x0bcaa747n, 0x96cd1c35n, 0x32ac3b17n] as const;

const rotate = (x: bigint, by: bigint) => ((x << by) | (x >> (32n - by))) & MASK;
const multiply = (a: bigint, b: bigint) => (a * b) & MASK;

function mixedKey(key: bigint, lane: number): bigint {
  return multiply(rotate(multiply(key, C[lane]!), KEY_ROTATION[lane]!), C[(lane + 1) % 4]!);
}

function finalMix(h: bigint): bigint {
  let x = multiply(h ^ (h >> 16n), 0x85ebca6bn);
  x = multiply(x ^ (x >> 13n), 0xc2b2ae35n);
  return x ^ (x >> 16n);
}

/** Four 32-bit words. */
export function murmur3(bytes: Uint8Array, seed: number): number[] {
  const h = Array<bigint>(4).fill(BigInt(seed >>> 0));
  const whole = bytes.length - (bytes.length % 16);
  const wordAt = (at: number, end: number) => {
    let word = 0n;
    for (let i = 0; i < 4 && at + i < end; i++) word |= BigInt(bytes[at + i]!) << BigInt(8 * i);
    return word;
  };
  for (let at = 0; at < whole; at += 16) {
    for (let lane = 0; lane < 4; lane++) {
      const mixed = h[lane]! ^ mixedKey(wordAt(at + 4 * lane, whole), lane);
      const sum = rotate(mixed, STATE_ROTATION[lane]!) + h[(lane + 1) % 4]!;
      h[lane] = (sum * 5n + ADDEND[lane]!) & MASK;
    }
  }
  for (let lane = 0; lane < 4; lane++) {
    h[lane]! ^= mixedKey(wordAt(whole + 4 * lane, bytes.length), lane);
    h[lane]! ^= BigInt(bytes.length);
  }
  const spread = () => {
    h[0] = (h[0]! + h[1]! + h[2]! + h[3]!) & MASK;
    for (let lane = 1; lane < 4; lane++) h[lane] = (h[lane]! + h[0]) & MASK;
  };
  spread();
  for (let lane = 0; lane < 4; lane++) h[lane] = finalMix(h[lane]!);
  spread();
  return h.map(Number);
}
