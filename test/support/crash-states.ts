/**
 * What a disk may hold when the machine stops in the middle of operations that were recorded. The model is of
 * a file system with a journal, and harsher than any that is in use:
 *
 *   bytes      that were not synced are there, or not, or in part: cut anywhere, blocks of 512 bytes lost,
 *              zeroed or filled with rubbish in any combination, whatever the length says
 *   names      that changed since the folder was synced have changed or not, each for itself, in any order;
 *              a rename may have left both names
 *   the rest   is as it was
 */
import { dataRandom } from './data-random.ts';
import type { DiskOperation } from './recorded-disk.ts';

export type Folder = ReadonlyMap<string, Uint8Array>;

const BLOCK_BYTES = 512;
/** Of the endless ways to lose a file in part, how many are drawn beside those that are gone through. */
const DRAWN_CUTS = 32;
const DRAWN_LOSSES = 96;

/** What is certain to be on disk, and what happened since. */
export class ModelDisk {
  readonly #names = new Map<string, number>();
  readonly #synced = new Map<number, Uint8Array>();
  /** Contents as programs see them. */
  readonly #seen = new Map<number, Uint8Array>();
  #pendingNames: DiskOperation[] = [];
  readonly #draw = dataRandom(1);

  /** The next operation has been done; nothing is certain yet but what a sync says. */
  do(operation: DiskOperation): void {
    switch (operation.kind) {
      case 'sync folder':
        for (const change of this.#pendingNames) applyName(this.#names, change, true);
        this.#pendingNames = [];
        break;
      case 'sync':
        this.#synced.set(operation.file, this.#contents(operation.file));
        break;
      case 'truncate':
        this.#seen.set(operation.file, new Uint8Array(0));
        break;
      case 'write':
        this.#seen.set(operation.file, written(this.#contents(operation.file), operation));
        break;
      default:
        this.#pendingNames.push(operation);
    }
  }

  /** The number of the file that certainly has that name. */
  fileAt(name: string): number | undefined {
    return this.#names.get(name);
  }

  /** All that the folder may hold now. `damaged`: a file that has lost a block besides. */
  *crashes(damaged?: number): Generator<Folder> {
    for (const names of this.#nameStates()) {
      const files = new Set(names.values());
      const contents = new Map([...files].map(file => [file, this.#certain(file, damaged)]));
      const folder = () => new Map([...names].map(([name, file]) => [name, contents.get(file)!]));
      yield folder();
      for (const file of files) {
        const before = contents.get(file)!;
        for (const torn of this.#tornContents(file)) {
          contents.set(file, torn);
          yield folder();
        }
        contents.set(file, before);
      }
    }
  }

  #contents(file: number): Uint8Array {
    return this.#seen.get(file) ?? new Uint8Array(0);
  }

  /** The contents if no byte that was not synced got to the disk. */
  #certain(file: number, damaged: number | undefined): Uint8Array {
    const contents = this.#synced.get(file) ?? new Uint8Array(0);
    if (file !== damaged) return contents;
    const lossy = contents.slice();
    // The last block of a file is that of its last column; the first is the header.
    const block = BLOCK_BYTES * this.#draw(Math.ceil(lossy.length / BLOCK_BYTES));
    for (let at = block; at < Math.min(lossy.length, block + BLOCK_BYTES); at++) lossy[at] = 0x5a;
    return lossy;
  }

  *#nameStates(): Generator<Map<string, number>> {
    const ways = this.#pendingNames.map(({ kind }) => (kind === 'rename' ? 3 : 2));
    const states = ways.reduce((product, count) => product * count, 1);
    for (let state = 0; state < states; state++) {
      const names = new Map(this.#names);
      let rest = state;
      for (const [i, change] of this.#pendingNames.entries()) {
        const way = rest % ways[i]!;
        rest = Math.floor(rest / ways[i]!);
        if (way > 0) applyName(names, change, way === 1);
      }
      yield names;
    }
  }

  *#tornContents(file: number): Generator<Uint8Array> {
    const before = this.#synced.get(file) ?? new Uint8Array(0);
    const after = this.#contents(file);
    if (before === after) return;
    yield after;
    const blocks = Math.ceil(after.length / BLOCK_BYTES);
    for (let block = 0; block <= blocks; block++) {
      yield after.slice(0, block * BLOCK_BYTES);
      yield merged(before, after, at => at === block);
      yield merged(before, after, at => at !== block);
    }
    for (let i = 0; i < DRAWN_CUTS; i++) yield after.slice(0, this.#draw(after.length + 1));
    for (let i = 0; i < DRAWN_LOSSES; i++) {
      const kept = Array.from({ length: blocks }, () => this.#draw(4) > 0);
      yield merged(before, after, at => kept[at]!, i % 2 === 0 ? 0 : 1 + this.#draw(255));
    }
  }
}

/** `isWhole`: a rename takes the old name away. */
function applyName(names: Map<string, number>, operation: DiskOperation, isWhole: boolean): void {
  if (operation.kind === 'remove') names.delete(operation.name);
  else if (operation.kind === 'create' || operation.kind === 'link')
    names.set(operation.name, operation.file);
  else if (operation.kind === 'rename') {
    if (isWhole) names.delete(operation.from);
    names.set(operation.to, operation.file);
  }
}

function written(before: Uint8Array, { at, bytes }: Extract<DiskOperation, { kind: 'write' }>): Uint8Array {
  const after = new Uint8Array(Math.max(before.length, at + bytes.length));
  after.set(before);
  after.set(bytes, at);
  return after;
}

/** As long as `after`; blocks that did not arrive are as before, or `rubbish` where there was nothing. */
function merged(
  before: Uint8Array,
  after: Uint8Array,
  arrived: (block: number) => boolean,
  rubbish = 0,
): Uint8Array {
  const mixed = new Uint8Array(after.length).fill(rubbish);
  mixed.set(before.subarray(0, after.length));
  for (let at = 0; at < after.length; at += BLOCK_BYTES) {
    if (arrived(at / BLOCK_BYTES)) mixed.set(after.subarray(at, at + BLOCK_BYTES), at);
  }
  return mixed;
}
