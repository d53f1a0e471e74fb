/**
 * The kernel's plain twin: the same answers from the same randomness, in TypeScript over typed arrays. The
 * oracle of the kernel's tests, and what serves where shared WebAssembly memory is not to be had.
 */
import { ID_BYTES, ID_WORDS } from '../../../native-layout/snapshot-row.ts';
import { assert } from '../assert.ts';
import { encoderOf } from '../encoding/encode.ts';
import { encodeRecords } from '../encoding/encode-records.ts';
import { IdDigits } from '../selection/id-digits.ts';
import type { Random } from '../selection/random.ts';
import { type Draw, Selector } from '../selection/selection.ts';
import type { SelectionLimits } from '../selection/selection-request.ts';
import type { EncodedFormat, NodeIds } from '../selection/selection-types.ts';
import { findRow, NO_ROW } from '../snapshot/id-index.ts';
import { bytesOf, nodeIdText, parseNodeId } from '../snapshot/node-id.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { ALL_TAKEN, type Kernel, type Outcome } from './kernel.ts';

export class TwinKernel implements Kernel {
  readonly kind = 'typescript';
  readonly #selector: Selector;
  readonly #idWords: Uint32Array;
  readonly #idBytes: Buffer<ArrayBufferLike>;
  /** Rows of known ids, the excluded ones first. */
  readonly #knownRows: Uint32Array;
  readonly #row = new Uint32Array(1);
  #snapshot: Snapshot | undefined;
  #excludedKnown = 0;
  #heldKnown = 0;

  constructor(random: Random, { countMax, idsMax }: SelectionLimits) {
    this.#selector = new Selector(random, countMax, idsMax);
    this.#idWords = new Uint32Array(ID_WORDS * idsMax);
    this.#idBytes = bytesOf(this.#idWords);
    this.#knownRows = new Uint32Array(idsMax);
  }

  open(_slot: number, snapshot: Snapshot): void {
    this.#snapshot = snapshot;
  }

  takeIds(first: number, ids: NodeIds): number {
    if (ids instanceof Uint8Array) {
      this.#idBytes.set(ids, first * ID_BYTES);
      return ALL_TAKEN;
    }
    for (let i = 0; i < ids.length; i++) {
      const id = ids instanceof IdDigits ? ids.text(i) : ids[i];
      if (!parseNodeId(id, this.#idBytes, (first + i) * ID_BYTES)) return i;
    }
    return ALL_TAKEN;
  }

  idText(index: number): string {
    return nodeIdText(this.#idWords, index * ID_WORDS);
  }

  select(draw: Draw, excludedIds: number, heldIds: number): number {
    this.#excludedKnown = this.#lookUpKnown(0, excludedIds, 0);
    this.#heldKnown = this.#lookUpKnown(excludedIds, heldIds, this.#excludedKnown);
    this.#selector.select(this.#current(), draw, this.#knownRows, this.#excludedKnown, this.#heldKnown);
    return this.#selector.pickCount;
  }

  newFound(): number {
    return this.#selector.newPicked;
  }

  outcome(): Outcome {
    const { pickCount, newPicked, newWanted, vettedWanted } = this.#selector;
    return {
      found: pickCount,
      newFound: newPicked,
      newWanted,
      vettedWanted,
      excludedKnown: this.#excludedKnown,
      heldKnown: this.#heldKnown,
    };
  }

  encode(format: EncodedFormat, ageMs: number, target: Uint8Array): number {
    const { picks, pickCount } = this.#selector;
    return encoderOf(format)(this.#current(), picks, pickCount, ageMs, target);
  }

  records(target: Uint8Array, at: number): void {
    const { picks, pickCount } = this.#selector;
    encodeRecords(this.#current(), picks, pickCount, target, at);
  }

  rows(target: Uint8Array, at: number): void {
    const { picks, pickCount } = this.#selector;
    target.set(new Uint8Array(picks.buffer, picks.byteOffset, 4 * pickCount), at);
  }

  lookup(count: number): void {
    for (let i = 0; i < count; i++) this.#knownRows[i] = this.#find(i) + 1;
  }

  foundRow(index: number): number {
    return this.#knownRows[index]! - 1;
  }

  record(row: number, target: Uint8Array): void {
    this.#row[0] = row;
    encodeRecords(this.#current(), this.#row, 1, target, 0);
  }

  /** Writes the rows of the known ones of `count` ids to `#knownRows` from `to` on; returns how many. */
  #lookUpKnown(from: number, count: number, to: number): number {
    let known = 0;
    for (let i = from; i < from + count; i++) {
      const row = this.#find(i);
      if (row !== NO_ROW) this.#knownRows[to + known++] = row;
    }
    return known;
  }

  #find(index: number): number {
    const { views, indexEntries, indexKeys } = this.#current();
    return findRow(views.idIndex, indexEntries, indexKeys, views.rowWords, this.#idWords, index * ID_WORDS);
  }

  #current(): Snapshot {
    assert(this.#snapshot !== undefined, 'a snapshot is opened before it is worked on');
    return this.#snapshot;
  }
}
