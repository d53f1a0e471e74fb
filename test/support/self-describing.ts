/**
 * Generations that describe themselves: every byte of every row follows from the generation number and the
 * row's place, so that a reader can tell from any pick alone which generation it belongs to. Pure; any
 * thread.
 */
import { RECORD_ADDRESS_WORD, RECORD_TAIL_WORD, RECORD_WORDS } from '../../native-layout/node-record.ts';
import { ID_WORDS } from '../../native-layout/snapshot-row.ts';
import { formatAddress } from '../../src/engine/address/address.ts';
import { nodeIdText } from '../../src/engine/snapshot/node-id.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';

/** Rows of a generation at the most; generations have from VETTED_MIN to this many. */
export const ROWS_MAX = 7;
const VETTED_MIN = 2;

/** Rows of generation `generation`: sizes change from one to the next, so that stale counts show. */
export function rowsOfGeneration(generation: number): { vetted: number; all: number } {
  const all = VETTED_MIN + (generation % (ROWS_MAX - VETTED_MIN + 1));
  return { vetted: VETTED_MIN, all };
}

/** Word `word` of the id of row `index`: generation, place, then a mix of both. */
function idWord(generation: number, index: number, word: number): number {
  if (word === 0) return generation;
  if (word === 1) return index;
  return Math.imul(generation ^ (index << 24) ^ (word << 16), 0x9e3779b1) >>> 0;
}

/** Address word of row `index`, little-endian: 20.x.y.z to 83.x.y.z, a /24 of its own for each row. */
function addressWord(generation: number, index: number): number {
  const mixed = Math.imul(generation, 0x85ebca6b) >>> 0;
  const first = 20 + (mixed & 63);
  return (first | (index << 8) | (mixed & 0xffff0000)) >>> 0;
}

function portOf(generation: number, index: number): number {
  return 1 + (((generation * 31 + index * 7) >>> 0) % 65_535);
}

export function selfDescribingRows(generation: number): NodeRow[] {
  const { vetted, all } = rowsOfGeneration(generation);
  const id = new Uint32Array(ID_WORDS);
  const address = new Uint8Array(16).fill(0xff, 10, 12);
  return Array.from({ length: all }, (_, index) => {
    for (let word = 0; word < ID_WORDS; word++) id[word] = idWord(generation, index, word);
    new DataView(address.buffer).setUint32(12, addressWord(generation, index), true);
    return {
      id: nodeIdText(id, 0),
      ip: formatAddress(address),
      port: portOf(generation, index),
      vetted: index < vetted,
      attributes: [],
    };
  });
}

/** What is wrong with `count` records that should be of `generation`, or `undefined`. */
export function recordsProblem(records: Uint32Array, count: number, generation: number): string | undefined {
  const { vetted, all } = rowsOfGeneration(generation);
  let seen = 0;
  for (let pick = 0; pick < count; pick++) {
    const at = pick * RECORD_WORDS;
    const index = records[at + 1]!;
    if (index >= all) return `pick ${pick} is row ${index} of ${all}`;
    if ((seen >>> index) & 1) return `row ${index} is picked twice`;
    seen |= 1 << index;
    for (let word = 0; word < ID_WORDS; word++) {
      if (records[at + word] !== idWord(generation, index, word)) {
        return `id word ${word} of row ${index} is ${records[at + word]}: it is of another generation`;
      }
    }
    if (records[at + RECORD_ADDRESS_WORD + 3] !== addressWord(generation, index)) {
      return `the address of row ${index} is ${records[at + RECORD_ADDRESS_WORD + 3]}`;
    }
    const tail = portOf(generation, index) | ((index < vetted ? 1 : 2) << 16);
    if (records[at + RECORD_TAIL_WORD] !== tail)
      return `port and pool of row ${index} are ${records[at + RECORD_TAIL_WORD]}`;
  }
  return undefined;
}
