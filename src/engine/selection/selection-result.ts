/**
 * A selection as the library gives it: its picks as private records, made into objects when they are looked
 * at. A copy: nothing a caller does to it reaches the cache.
 */
import {
  POOL_INELIGIBLE,
  POOL_VETTED,
  RECORD_ADDRESS_WORD,
  RECORD_BYTES,
  RECORD_TAIL_WORD,
} from '../../../native-layout/node-record.ts';
import { ID_BYTES } from '../../../native-layout/snapshot-row.ts';
import { formatAddress } from '../address/address.ts';
import type { FoundNode, PickedNode, Shortage } from './selection-types.ts';

export class Selection implements Iterable<PickedNode> {
  readonly generation: number;
  /** Milliseconds since the read of the generation began. */
  readonly ageMs: number;
  /** Present when fewer nodes than asked for were found; those that were are here all the same. */
  readonly shortage: Shortage | undefined;
  /** Picks found. */
  readonly length: number;
  /** Until the objects are made: then the memory, which many selections share, is let go. */
  #records: Buffer | undefined;
  readonly #start: number;
  #nodes: readonly PickedNode[] | undefined;

  /**
   * The records of the picks stand in `records` from byte `start` on; those bytes belong to the selection.
   */
  constructor(
    { generation, ageMs, shortage }: Pick<Selection, 'generation' | 'ageMs' | 'shortage'>,
    records: Buffer,
    start: number,
    length: number,
  ) {
    this.generation = generation;
    this.ageMs = ageMs;
    this.shortage = shortage;
    this.length = length;
    this.#records = records;
    this.#start = start;
  }

  /** All picks as plain objects, made on first use. */
  get nodes(): readonly PickedNode[] {
    if (this.#records !== undefined) {
      this.#nodes = pickedNodes(this.#records, this.#start, this.length);
      this.#records = undefined;
    }
    return this.#nodes!;
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

function pickedNodes(bytes: Buffer, start: number, length: number): PickedNode[] {
  const nodes: PickedNode[] = [];
  for (let i = 0, at = start; i < length; i++, at += RECORD_BYTES) {
    // No pick is ineligible.
    nodes.push(nodeOfRecord(bytes, at) as PickedNode);
  }
  return nodes;
}

/** The record at byte `at` as an object. */
export function nodeOfRecord(bytes: Buffer, at: number): FoundNode {
  const tail = at + 4 * RECORD_TAIL_WORD;
  const pool = bytes[tail + 2]!;
  return {
    id: bytes.toString('hex', at, at + ID_BYTES),
    ip: formatAddress(bytes, at + 4 * RECORD_ADDRESS_WORD),
    port: bytes[tail]! | (bytes[tail + 1]! << 8),
    pool: pool === POOL_VETTED ? 'vetted' : pool === POOL_INELIGIBLE ? 'ineligible' : 'new',
  };
}
