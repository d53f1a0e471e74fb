/**
 * ChaCha with any number of rounds, written from RFC 8439 in its plainest form; shares nothing with the
 * engine.
 */

const CONSTANTS = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574];
const QUARTERS = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
] as const;

function rotate(x: number, by: number): number {
  return ((x << by) | (x >>> (32 - by))) >>> 0;
}

/** The 16 words of block `counter` under `key` (8 words) and a zero nonce. */
export function chachaBlock(key: ArrayLike<number>, counter: number, rounds: number): Uint32Array {
  const start = Uint32Array.from([...CONSTANTS, ...Array.from(key), counter, 0, 0, 0]);
  const state = start.slice();
  for (let round = 0; round < rounds; round += 2) {
    for (const [a, b, c, d] of QUARTERS) {
      for (const [to, from, by, rotated] of [
        [a, b, 16, d],
        [c, d, 12, b],
        [a, b, 8, d],
        [c, d, 7, b],
      ] as const) {
        state[to]! += state[from]!;
        state[rotated] = rotate(state[rotated]! ^ state[to]!, by);
      }
    }
  }
  return state.map((word, i) => word + start[i]!);
}
