/**
 * Codes of attribute values in the next snapshot: those of the current one, and new ones behind them. What is
 * new belongs to one delta, until its snapshot is current (`accept`) or given up (`begin`).
 */
import { ATTRIBUTE_VALUES_MAX } from '../../../native-layout/snapshot-header.ts';
import { ValueHashes } from '../snapshot/content-digest.ts';

interface Attribute {
  readonly name: string;
  /** Text of each code, from code 1 on; and the code of each text. */
  readonly texts: string[];
  readonly codes: Map<string, number>;
  readonly hashes: ValueHashes;
  /** Codes of the current snapshot. */
  count: number;
}

export class ValueCodes {
  #attributes: Attribute[] = [];

  /** Texts of the codes of each attribute, and their hashes. */
  get texts(): readonly (readonly string[])[] {
    return this.#attributes.map(({ texts }) => texts);
  }

  get hashes(): readonly ValueHashes[] {
    return this.#attributes.map(({ hashes }) => hashes);
  }

  /** Takes the values of the current snapshot. */
  take(attributes: readonly { readonly name: string; readonly values: readonly string[] }[]): void {
    this.#attributes = attributes.map(({ name, values }) => {
      const codes = new Map<string, number>();
      // Bytes that are no UTF-8 may have become the same text: the first code stands for it.
      values.forEach((text, i) => {
        if (!codes.has(text)) codes.set(text, i + 1);
      });
      return { name, texts: [...values], codes, hashes: ValueHashes.of(values), count: values.length };
    });
  }

  begin(): void {
    for (const { texts, codes, hashes, count } of this.#attributes) {
      for (const text of texts.splice(count)) codes.delete(text);
      hashes.truncate(count);
    }
  }

  accept(): void {
    for (const attribute of this.#attributes) attribute.count = attribute.texts.length;
  }

  /**
   * For each attribute the code of each text in `values`, at its index plus one; code 0 is 0. Returns the
   * name of an attribute that has more values than there are codes, where there is one.
   */
  codesOf(values: readonly (readonly string[])[]): Uint16Array[] | string {
    const all: Uint16Array[] = [];
    for (const [i, attribute] of this.#attributes.entries()) {
      const codes = new Uint16Array(values[i]!.length + 1);
      for (const [index, text] of values[i]!.entries()) {
        const code = attribute.codes.get(text) ?? append(attribute, text);
        if (code > ATTRIBUTE_VALUES_MAX) return attribute.name;
        codes[index + 1] = code;
      }
      all.push(codes);
    }
    return all;
  }
}

function append({ texts, codes, hashes }: Attribute, text: string): number {
  const code = texts.push(text);
  codes.set(text, code);
  hashes.append(text);
  return code;
}
