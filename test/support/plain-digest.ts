/**
 * The digest of a snapshot over bytes, written from its description with big integers: slow, and sharing
 * nothing with the engine.
 */

const BITS = 32n;
const MASK = (1n << BITS) - 1n;
/** Factors of a step, as xxHash32 has them: of the word, and of the lane after it. */
const WORD_FACTOR = 2_246_822_519n;
const LANE_FACTOR = 2_654_435_761n;
const TURN = 13n;
/** The lanes of xxHash32 for seed 0; the third one is the seed itself. */
const FIRST = [WORD_FACTOR + LANE_FACTOR, WORD_FACTOR, 0n, -LANE_FACTOR] as const;

const word = (x: bigint) => BigInt.asUintN(Number(BITS), x);
const turned = (x: bigint) => word((x << TURN) | (x >> (BITS - TURN)));

/** MurmurHash3's final mix of 32 bits. */
function finalMix(h: bigint): bigint {
  let x = word((h ^ (h >> 16n)) * 0x85ebca6bn);
  x = word((x ^ (x >> 13n)) * 0xc2b2ae35n);
  return x ^ (x >> 16n);
}

/** Four 32-bit words; `bytes` are a multiple of sixteen. `length` is what is mixed in as theirs. */
export function plainDigest(bytes: Uint8Array, length = bytes.length): number[] {
  const lanes = FIRST.map(word);
  for (let at = 0; at < bytes.length; at += 16) {
    const before = [...lanes];
    for (let lane = 0; lane < 4; lane++) {
      const value = BigInt(Buffer.from(bytes.subarray(at + 4 * lane, at + 4 * lane + 4)).readUInt32LE());
      const stepped = turned(word(before[lane]! + value * WORD_FACTOR));
      lanes[lane] = ((stepped + before[(lane + 1) % 4]!) * LANE_FACTOR) & MASK;
    }
  }
  const spread = () => {
    lanes[0] = word(lanes.reduce((sum, lane) => sum + lane));
    for (let i = 1; i < 4; i++) lanes[i] = word(lanes[i]! + lanes[0]);
  };
  for (let i = 0; i < 4; i++) lanes[i]! ^= BigInt(length);
  spread();
  for (let i = 0; i < 4; i++) lanes[i] = finalMix(lanes[i]!);
  spread();
  return lanes.map(Number);
}
