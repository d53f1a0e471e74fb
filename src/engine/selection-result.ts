/**
 * A selection as the library gives it: its picks as private records, made into objects when they are looked at. A copy:
 * nothing a caller does to it reaches the cache.
 */
import {
  POOL_INELIGIBLE,
  POOL_VETTED,
  RECORD_ADDRESS_WORD,
  RECORD_TAIL_WORD,
  RECORD_WORDS,
} from '../../native-layout/node-record.ts';
import { formatAddress } from './address.ts';
import { nodeIdText } from './node-id.ts';
import type { LookupPool, PickedNode, PoolName, Shortage } from './selection-types.ts';

export class Selection implements Iterable<PickedNode> {
  readonly generation: number;
  /** Milliseconds since the read of the generation began. */
  readonly ageMs: number;
  /** Present when fewer nodes than asked for were found; those that were are here all the same. */
  readonly shortage: Shortage | undefined;
  readonly #records: Uint32Array;
  #nodes: readonly PickedNode[] | undefined;

  /** `records`: RECORD_WORDS words a pick, owned by the selection from here on. */
  constructor(generation: number, ageMs: number, shortage: Shortage | undefined, records: Uint32Array) {
    this.generation = generation;
    this.ageMs = ageMs;
    this.shortage = shortage;
    this.#records = records;
  }

  get length(): number {
    return this.#records.length / RECORD_WORDS;
  }

  /** All picks as plain objects, made on first use. */
  get nodes(): readonly PickedNode[] {
    this.#nodes ??= Array.from({ length: this.length }, (_, i) => pickedNode(this.#records, i));
    return this.#nodes;
  }

  /** The pick at `index`, or `undefined` beyond the end. */
  at(index: number): PickedNode | undefined {
    return this.nodes.at(index);
  }

  [Symbol.iterator](): Iterator<PickedNode> {
    return this.nodes[Symbol.iterator]();
  }

  /** The document of the HTTP answer. */
  toJSON(): { generation: number; ageMs: number; nodes: readonly PickedNode[]; shortage?: Shortage } {
    const { generation, ageMs, nodes, shortage } = this;
    return shortage === undefined ? { generation, ageMs, nodes } : { generation, ageMs, nodes, shortage };
  }
}

function pickedNode(records: Uint32Array, index: number): PickedNode {
  const { id, ip, port, pool } = nodeOfRecord(records, index);
  return { id, ip, port, pool: pool as PoolName };
}

/** The record at `index` as an object. */
export function nodeOfRecord(
  records: Uint32Array,
  index: number,
): { id: string; ip: string; port: number; pool: LookupPool } {
  const at = index * RECORD_WORDS;
  const tail = records[at + RECORD_TAIL_WORD]!;
  const pool = tail >>> 16;
  return {
    id: nodeIdText(records, at),
    ip: addressText(records, at + RECORD_ADDRESS_WORD),
    port: tail & 0xffff,
    pool: pool === POOL_VETTED ? 'vetted' : pool === POOL_INELIGIBLE ? 'ineligible' : 'new',
  };
}

/** ::ffff:0:0/96 as the third little-endian word of an address. */
const MAPPED_WORD = 0xffff_0000;

function addressText(records: Uint32Array, at: number): string {
  if (records[at] === 0 && records[at + 1] === 0 && records[at + 2] === MAPPED_WORD) {
    const value = records[at + 3]!;
    return `${value & 0xff}.${(value >>> 8) & 0xff}.${(value >>> 16) & 0xff}.${value >>> 24}`;
  }
  return formatAddress(new Uint8Array(records.buffer, records.byteOffset + at * 4, 16));
}
