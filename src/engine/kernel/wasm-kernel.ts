// @hotpath
/**
 * The kernel in WebAssembly (native-layout/kernel): one instance a slot, over the slot's memory and the
 * private memory of this reader, in which ids, picks and answers stand and the randomness lives (I9).
 */
import {
  FLAG_CAP_NEW,
  FLAG_FILL_WITH_NEW,
  FLAG_VETTED_FIRST,
  KERNEL_WORD,
  planKernelMemory,
  RANDOM_OUTPUT_BYTES,
} from '../../../native-layout/kernel-memory.ts';
import { RECORD_BYTES } from '../../../native-layout/node-record.ts';
import type { SnapshotLayout } from '../../../native-layout/snapshot-layout.ts';
import { ID_BYTES } from '../../../native-layout/snapshot-row.ts';
import { encodedBytesMax } from '../encoding/encode.ts';
import { IdDigits } from '../selection/id-digits.ts';
import type { Draw } from '../selection/selection.ts';
import type { SelectionLimits } from '../selection/selection-request.ts';
import type { EncodedFormat, NodeId, NodeIds } from '../selection/selection-types.ts';
import { PAGE_BYTES } from '../shared-memory.ts';
import { ID_DIGITS, parseNodeId } from '../snapshot/node-id.ts';
import { ALL_TAKEN, type Kernel, type Outcome } from './kernel.ts';

/** Slots that are made ready at once: the writer prefers the lowest, and two or three are ever used. */
const SLOTS_READY = 3;
/** Fewer are taken one by one. */
const TEXTS_TOGETHER_MIN = 3;
const ENCODER = new TextEncoder();

/** The exports of native-layout/kernel/kernel.ts. Places are bytes of the private memory. */
interface KernelExports {
  select(
    count: number,
    newFraction: number,
    flags: number,
    distinct: number,
    set: number,
    attribute: number,
    excludedIds: number,
    heldIds: number,
  ): number;
  encodeJson(target: number, ageMs: number): number;
  encodeMessagePack(target: number, ageMs: number): number;
  encodeRecords(list: number, count: number, target: number): void;
  lookup(count: number): void;
  decodeIds(first: number, count: number, stride: number): number;
}

export interface WasmKernelOptions {
  readonly module: WebAssembly.Module;
  /** Memory of each slot. */
  readonly slots: readonly WebAssembly.Memory[];
  readonly layout: SnapshotLayout;
  readonly limits: SelectionLimits;
  /** Eight words from the operating system's generator; copied, and cleared in place. */
  readonly key: Uint32Array;
}

export class WasmKernel implements Kernel {
  readonly kind = 'wasm';
  readonly #module: WebAssembly.Module;
  readonly #slots: readonly WebAssembly.Memory[];
  readonly #instances: (KernelExports | undefined)[];
  readonly #memory: WebAssembly.Memory;
  readonly #bytes: Buffer<ArrayBuffer>;
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #ids: number;
  readonly #idText: number;
  readonly #idTextArea: Uint8Array<ArrayBuffer>;
  readonly #picks: number;
  readonly #output: number;
  readonly #rows: number;
  #kernel: KernelExports;
  #found = 0;
  /** The last `select` did not come to its end: a caller deep in a recursion may have run out of stack. */
  #interrupted = false;

  constructor({ module, slots, layout, limits, key }: WasmKernelOptions) {
    const { countMax, idsMax } = limits;
    const outputBytes = Math.max(
      encodedBytesMax('json', countMax),
      encodedBytesMax('messagepack', countMax),
      countMax * RECORD_BYTES,
    );
    const { start, byteLength } = planKernelMemory({ layout, countMax, idsMax, outputBytes });
    const pages = Math.ceil(byteLength / PAGE_BYTES);
    this.#module = module;
    this.#slots = slots;
    this.#memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const buffer = this.#memory.buffer as ArrayBuffer;
    this.#bytes = Buffer.from(buffer);
    this.#words = new Uint32Array(buffer);
    this.#words.set(start);
    this.#words.set(key, (start[KERNEL_WORD.RANDOM]! + RANDOM_OUTPUT_BYTES) / 4);
    key.fill(0);
    this.#ids = start[KERNEL_WORD.IDS]!;
    this.#idText = start[KERNEL_WORD.ID_TEXT]!;
    this.#idTextArea = new Uint8Array(buffer, this.#idText, idsMax * ID_DIGITS);
    this.#picks = start[KERNEL_WORD.PICKS]!;
    this.#output = start[KERNEL_WORD.OUTPUT]!;
    this.#rows = start[KERNEL_WORD.BLOCKED_ROWS]! / 4;
    this.#instances = slots.map((_, slot) => (slot < SLOTS_READY ? this.#instantiate(slot) : undefined));
    this.#kernel = this.#instances[0]!;
  }

  open(slot: number): void {
    this.#instances[slot] ??= this.#instantiate(slot);
    this.#kernel = this.#instances[slot];
  }

  takeIds(first: number, ids: NodeIds): number {
    if (ids instanceof Uint8Array) {
      this.#bytes.set(ids, this.#ids + first * ID_BYTES);
      return ALL_TAKEN;
    }
    if (ids instanceof IdDigits) return this.#takeDigits(first, ids);
    if (ids.length >= TEXTS_TOGETHER_MIN && this.#takeTexts(first, ids)) return ALL_TAKEN;
    for (let i = 0; i < ids.length; i++) {
      if (!parseNodeId(ids[i], this.#bytes, this.#ids + (first + i) * ID_BYTES)) return i;
    }
    return ALL_TAKEN;
  }

  /** As many at a time as there is room for; all of them, but for the largest requests. */
  #takeDigits(first: number, { bytes, start, stride, length }: IdDigits): number {
    const together = 1 + Math.floor((this.#idTextArea.length - ID_DIGITS) / stride);
    for (let i = 0; i < length; i += together) {
      const count = Math.min(together, length - i);
      const from = start + i * stride;
      this.#idTextArea.set(bytes.subarray(from, from + (count - 1) * stride + ID_DIGITS));
      const decoded = this.#kernel.decodeIds(first + i, count, stride);
      if (decoded < count) return i + decoded;
    }
    return ALL_TAKEN;
  }

  /**
   * Takes ids that are all text, at once: 17 ns an id against 80 one by one. False when one is no text of 64
   * digits; which one, and whether it is bytes, is for the slow way to say.
   */
  #takeTexts(first: number, ids: readonly NodeId[]): boolean {
    let text = '';
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i];
      if (typeof id !== 'string' || id.length !== ID_DIGITS) return false;
      text += id;
    }
    // Beyond ASCII a character takes more than a byte; where the area ends before, its bytes are no digits.
    const { written } = ENCODER.encodeInto(text, this.#idTextArea);
    if (written !== ids.length * ID_DIGITS) return false;
    return this.#kernel.decodeIds(first, ids.length, ID_DIGITS) === ids.length;
  }

  idText(index: number): string {
    const at = this.#ids + index * ID_BYTES;
    return this.#bytes.toString('hex', at, at + ID_BYTES);
  }

  select(draw: Draw, excludedIds: number, heldIds: number): number {
    const flags =
      (draw.capNewFraction ? FLAG_CAP_NEW : 0) |
      (draw.fillWithNew ? FLAG_FILL_WITH_NEW : 0) |
      (draw.vettedFirst ? FLAG_VETTED_FIRST : 0);
    const { count, newFraction, distinct, set, attribute } = draw;
    if (this.#interrupted) this.#recover();
    this.#interrupted = true;
    this.#found = this.#kernel.select(
      count,
      newFraction,
      flags,
      distinct,
      set,
      attribute,
      excludedIds,
      heldIds,
    );
    this.#interrupted = false;
    return this.#found;
  }

  newFound(): number {
    return this.#words[KERNEL_WORD.NEW_PICKED]!;
  }

  outcome(): Outcome {
    const words = this.#words;
    return {
      found: this.#found,
      newFound: words[KERNEL_WORD.NEW_PICKED]!,
      newWanted: words[KERNEL_WORD.NEW_WANTED]!,
      vettedWanted: words[KERNEL_WORD.VETTED_WANTED]!,
      excludedKnown: words[KERNEL_WORD.EXCLUDED_KNOWN]!,
      heldKnown: words[KERNEL_WORD.HELD_KNOWN]!,
    };
  }

  encode(format: EncodedFormat, ageMs: number, target: Uint8Array): number {
    const output = this.#output;
    const bytes =
      format === 'json'
        ? this.#kernel.encodeJson(output, ageMs)
        : this.#kernel.encodeMessagePack(output, ageMs);
    this.#bytes.copy(target, 0, output, output + bytes);
    return bytes;
  }

  records(target: Uint8Array, at: number): void {
    const output = this.#output;
    this.#kernel.encodeRecords(this.#picks, this.#found, output);
    this.#bytes.copy(target, at, output, output + this.#found * RECORD_BYTES);
  }

  rows(target: Uint8Array, at: number): void {
    this.#bytes.copy(target, at, this.#picks, this.#picks + 4 * this.#found);
  }

  lookup(count: number): void {
    this.#kernel.lookup(count);
  }

  foundRow(index: number): number {
    return this.#words[this.#rows + index]! - 1;
  }

  record(row: number, target: Uint8Array): void {
    this.#words[this.#picks / 4] = row;
    this.#kernel.encodeRecords(this.#picks, 1, this.#output);
    this.#bytes.copy(target, 0, this.#output, this.#output + RECORD_BYTES);
  }

  /** Puts in order what a call leaves in order that comes to its end. Words in use are given up. */
  #recover(): void {
    const words = this.#words;
    const random = words[KERNEL_WORD.RANDOM]!;
    words[KERNEL_WORD.RANDOM_USED] = RANDOM_OUTPUT_BYTES;
    this.#bytes.fill(0, random, random + RANDOM_OUTPUT_BYTES);
    this.#bytes.fill(0, words[KERNEL_WORD.TAKEN]!, words[KERNEL_WORD.IDS]!);
    this.#bytes.fill(0, words[KERNEL_WORD.GROUP_OF]!, words[KERNEL_WORD.ORDER]!);
  }

  #instantiate(slot: number): KernelExports {
    const imports = { env: { memory: this.#memory }, slot: { memory: this.#slots[slot]! } };
    return new WebAssembly.Instance(this.#module, imports).exports as KernelExports;
  }
}
