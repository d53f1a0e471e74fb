/** What the answer's bytes alone cost: no choice, no text, only memory. */
import { RECORD_BYTES, RECORD_WORDS } from '../../native-layout/node-record.ts';
import { mulberry32 } from '../harness/population.ts';

/** Prepared row lists, used in turn, so that the branch predictor and the caches cannot learn one. */
const LISTS = 256;

/** Copies `count` records at random places of a shared table of `rows` records to private memory. */
export function copyRecords(rows: number, count: number): () => number {
  const table = new Uint32Array(new SharedArrayBuffer(rows * RECORD_BYTES)).fill(0x5eed5eed);
  const target = new Uint32Array(count * RECORD_WORDS);
  const random = mulberry32(1);
  const lists = Array.from({ length: LISTS }, () =>
    Uint32Array.from({ length: count }, () => random() % rows),
  );
  let turn = 0;
  return () => {
    turn = (turn + 1) % LISTS;
    return copyList(table, lists[turn]!, target);
  };
}

/** Unrolled as the engine's own copy is: a floor with a slow loop would flatter. */
function copyList(table: Uint32Array, rows: Uint32Array, target: Uint32Array): number {
  let to = 0;
  for (let i = 0; i < rows.length; i++, to += RECORD_WORDS) {
    const at = rows[i]! * RECORD_WORDS;
    target[to] = table[at]!;
    target[to + 1] = table[at + 1]!;
    target[to + 2] = table[at + 2]!;
    target[to + 3] = table[at + 3]!;
    target[to + 4] = table[at + 4]!;
    target[to + 5] = table[at + 5]!;
    target[to + 6] = table[at + 6]!;
    target[to + 7] = table[at + 7]!;
    target[to + 8] = table[at + 8]!;
    target[to + 9] = table[at + 9]!;
    target[to + 10] = table[at + 10]!;
    target[to + 11] = table[at + 11]!;
    target[to + 12] = table[at + 12]!;
  }
  return target[0]!;
}

/** Copies `bytes` bytes from one private buffer to another. */
export function copyBytes(bytes: number): () => number {
  const source = new Uint8Array(bytes).fill(7);
  const target = new Uint8Array(bytes);
  return () => {
    target.set(source);
    return target[bytes - 1]!;
  };
}
