// @hotpath
/**
 * The nodes of one generation as objects, each made when it is first looked at and then handed out again:
 * making them anew takes eight times as long as the selection. Frozen, because many selections share them.
 * Belongs to one reader.
 */
import { nodeOfRecord } from './node-of-record.ts';
import type { PickedNode } from './selection-types.ts';

/**
 * Of a larger population few nodes come twice, and their objects would take more memory than the snapshot.
 */
const SHARED_NODES_MAX = 65_536;

export class NodeObjects {
  readonly #nodes: (PickedNode | undefined)[];

  private constructor(rows: number) {
    this.#nodes = new Array<PickedNode | undefined>(rows).fill(undefined);
  }

  /** For a generation of `rows` rows; `undefined` when that is too many. */
  static forRows(rows: number): NodeObjects | undefined {
    return rows <= SHARED_NODES_MAX ? new NodeObjects(rows) : undefined;
  }

  /** The node of `row`, whose record is at byte `at` of `records`. It can be picked. */
  node(row: number, records: Buffer, at: number): PickedNode {
    const known = this.#nodes[row];
    if (known !== undefined) return known;
    const node = Object.freeze(nodeOfRecord(records, at)) as PickedNode;
    this.#nodes[row] = node;
    return node;
  }
}
