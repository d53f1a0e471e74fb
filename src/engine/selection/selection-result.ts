/**
 * A selection as the library gives it: its picks as private records, made into objects when they are looked
 * at. A copy: nothing a caller does to it reaches the cache.
 */
import { RECORD_BYTES } from '../../../native-layout/node-record.ts';
import type { NodeObjects } from './node-objects.ts';
import { nodeOfRecord } from './node-of-record.ts';
import type { PickedNode, Shortage } from './selection-types.ts';

/** Bytes of a selection's memory for each pick: its record, and its row. */
export const PICK_BYTES = RECORD_BYTES + 4;

/** Where the picks of a selection are: their records, then their rows. The bytes belong to the selection. */
export interface PickMemory {
  readonly bytes: Buffer;
  readonly start: number;
  /** What their generation shares, where it is small enough. */
  readonly objects: NodeObjects | undefined;
}

export class Selection implements Iterable<PickedNode> {
  readonly generation: number;
  /** Milliseconds since the read of the generation began. */
  readonly ageMs: number;
  /** Present when fewer nodes than asked for were found; those that were are here all the same. */
  readonly shortage: Shortage | undefined;
  /** Picks found. */
  readonly length: number;
  /** Until the objects are made: then the memory, which many selections share, is let go. */
  #picks: PickMemory | undefined;
  #nodes: readonly PickedNode[] | undefined;

  constructor(
    { generation, ageMs, shortage }: Pick<Selection, 'generation' | 'ageMs' | 'shortage'>,
    picks: PickMemory,
    length: number,
  ) {
    this.generation = generation;
    this.ageMs = ageMs;
    this.shortage = shortage;
    this.length = length;
    this.#picks = picks;
  }

  /** All picks as objects, made on first use. They are frozen where selections share them. */
  get nodes(): readonly PickedNode[] {
    if (this.#picks !== undefined) {
      this.#nodes = pickedNodes(this.#picks, this.length);
      this.#picks = undefined;
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

function pickedNodes({ bytes, start, objects }: PickMemory, length: number): PickedNode[] {
  const nodes = new Array<PickedNode>(length);
  const rows = start + length * RECORD_BYTES;
  for (let i = 0; i < length; i++) {
    const at = start + i * RECORD_BYTES;
    // No pick is ineligible.
    nodes[i] =
      objects?.node(wordAt(bytes, rows + 4 * i), bytes, at) ?? (nodeOfRecord(bytes, at) as PickedNode);
  }
  return nodes;
}

function wordAt(bytes: Buffer, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
