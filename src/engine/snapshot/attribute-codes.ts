// @hotpath
/** Codes of attribute values, and which filters let a row with these values pass. */
import { ATTRIBUTE_VALUES_MAX } from '../../../native-layout/snapshot-header.ts';
import { ByteDictionary, FULL } from '../byte-dictionary.ts';
import { CacheError } from '../errors.ts';
import type { PlacementPlan } from '../placement/placement-plan.ts';
import { ABSENT, FIELD, type FieldRows } from './field-rows.ts';

/** The filter that lets all rows pass. */
export const NO_FILTER = 1;

export class AttributeCodes {
  readonly #plan: PlacementPlan;
  readonly #dictionaries: readonly ByteDictionary[];
  /** Text of each code of each attribute; none for code 0. Only what filters are asked about is filled. */
  readonly #values: (string | undefined)[][];
  readonly #rowValues: (string | undefined)[] = [];
  readonly #filtered: boolean;

  constructor(plan: PlacementPlan, seed: number) {
    this.#plan = plan;
    this.#dictionaries = plan.attributes.map(() => new ByteDictionary(seed, ATTRIBUTE_VALUES_MAX));
    this.#values = plan.attributes.map(() => [undefined]);
    this.#filtered = plan.filters.length > 1;
  }

  /** Attributes that rows carry. */
  get attributes(): number {
    return this.#dictionaries.length;
  }

  /** Codes of attribute `number` that have been given out. */
  count(number: number): number {
    return this.#dictionaries[number]!.size;
  }

  /** Values of each attribute in the order of their codes. */
  texts(): string[][] {
    return this.#dictionaries.map(dictionary => dictionary.texts());
  }

  /** The code of a value that is given as text. Throws CAPACITY_EXCEEDED. */
  codeOfText(attribute: number, text: string): number {
    const bytes = Buffer.from(text);
    return this.#code(attribute, bytes, 0, bytes.length);
  }

  /**
   * Writes the codes of the row whose places begin at `at` to `codes` from index `first`. Throws
   * CAPACITY_EXCEEDED when an attribute has more values than there are codes.
   */
  write({ bytes, places }: FieldRows, at: number, codes: Uint16Array, first: number): void {
    for (let i = 0; i < this.#dictionaries.length; i++) {
      const place = at + 2 * (FIELD.attributes + i);
      const from = places[place]!;
      codes[first + i] = from === ABSENT ? 0 : this.#code(i, bytes, from, places[place + 1]!);
    }
  }

  /** Bit f set where filter f lets the row pass whose codes begin at `first`. */
  passes(codes: Uint16Array, first: number): number {
    if (!this.#filtered) return NO_FILTER;
    const values = this.#rowValues;
    for (let i = 0; i < this.#dictionaries.length; i++) values[i] = this.#value(i, codes[first + i]!);
    const { filters } = this.#plan;
    let bits = NO_FILTER;
    for (let i = 1; i < filters.length; i++) if (filters[i]!(values)) bits |= 1 << i;
    return bits;
  }

  #code(attribute: number, bytes: Uint8Array, from: number, to: number): number {
    const dictionary = this.#dictionaries[attribute]!;
    const code = dictionary.codeOf(bytes, from, to);
    if (code !== FULL) return code;
    const name = this.#plan.attributes[attribute];
    throw new CacheError(
      'CAPACITY_EXCEEDED',
      `attribute "${name}" has more than ${ATTRIBUTE_VALUES_MAX} values`,
    );
  }

  #value(attribute: number, code: number): string | undefined {
    const known = this.#values[attribute]!;
    while (known.length <= code) known.push(this.#dictionaries[attribute]!.text(known.length));
    return known[code];
  }
}
