/**
 * The JSON bodies of `POST /v1/selection` as clients write them, parsed and checked in one go. Lists of ids
 * are cut out first and taken from the bytes where they stand (`id-lists.ts`); what is left is short, and
 * mostly the same as in the last request, so that it is compared instead of parsed. A body of 90 ids takes
 * 0.5 µs, against 6 for `JSON.parse` and 38 for looking for keys that are there twice and checking a schema
 * besides. Whatever is not certainly right is left to those, which say what is wrong. The ids are looked at
 * by whoever looks them up. HTTP threads only.
 */
import type { IdDigits } from '../../engine/selection/id-digits.ts';
import type { SelectionRequest } from '../../engine/selection/selection-types.ts';
import type { RequestLimits } from '../config/options.ts';
import { isTextAround, plainIdLists, textAround } from './id-lists.ts';
import { isOrdinaryField } from './ordinary-field.ts';

/** Texts that are known at once, and their longest: clients write few different ones, and short ones. */
export const KNOWN_MAX = 16;
export const KNOWN_BYTES_MAX = 512;

type ListField = 'exclude' | 'held';
type Draft = { -readonly [Field in keyof SelectionRequest]: SelectionRequest[Field] };

/** What a body says without the elements of its first lists. */
interface KnownText {
  readonly text: Buffer;
  readonly request: SelectionRequest;
  /** The fields that have those lists, in their order. */
  readonly listFields: readonly ListField[];
}

export class SelectionBodyReader {
  readonly #limits: RequestLimits;
  readonly #known: KnownText[] = [];
  /** The one that makes room for the next. */
  #oldest = 0;

  constructor(limits: RequestLimits) {
    this.#limits = limits;
  }

  /** Texts that are known. */
  get knownCount(): number {
    return this.#known.length;
  }

  /**
   * The request that `bytes` spell, checked but for its ids; undefined when it is to be read the ordinary
   * way. Its ids may refer to `bytes`.
   */
  read(bytes: Buffer): SelectionRequest | undefined {
    const lists = plainIdLists(bytes);
    const known = this.#find(bytes, lists) ?? this.#readText(bytes, lists);
    if (known === undefined) return undefined;
    const request: Draft = { ...known.request };
    for (let i = 0; i < lists.length; i++) {
      const list = lists[i]!;
      if (list.length > this.#limits.idsMax) return undefined;
      request[known.listFields[i]!] = list;
    }
    return request;
  }

  #find(bytes: Buffer, lists: readonly IdDigits[]): KnownText | undefined {
    for (let i = 0; i < this.#known.length; i++) {
      const known = this.#known[i]!;
      if (known.listFields.length === lists.length && isTextAround(bytes, lists, known.text)) return known;
    }
    return undefined;
  }

  /**
   * Reads what is around the lists, and remembers it. No name and no text of an ordinary request has a
   * bracket in it: so if what is left is one, each bracket in it belongs to the list of a field, and the
   * first of those lists are the ones that were emptied; and what was cut out are texts, if only they turn
   * out to be ids, which hold no sign that means anything in JSON.
   */
  #readText(bytes: Buffer, lists: readonly IdDigits[]): KnownText | undefined {
    const text = textAround(bytes, lists);
    const request = ordinaryRequest(text.toString('latin1'), this.#limits);
    if (request === undefined) return undefined;
    const known = { text, request, listFields: listFields(request).slice(0, lists.length) };
    if (text.length <= KNOWN_BYTES_MAX) {
      this.#known[this.#oldest] = known;
      this.#oldest = (this.#oldest + 1) % KNOWN_MAX;
    }
    return known;
  }
}

/** The request that `text` spells; undefined when it is not certainly right. */
function ordinaryRequest(text: string, limits: RequestLimits): SelectionRequest | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The ordinary way says why.
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const fields = Object.entries(value);
  for (const [name, field] of fields) if (!isOrdinaryField(name, field, limits)) return undefined;
  // `JSON.parse` keeps the last of two equal keys without a word; each has its colon, and nothing else has
  // one.
  return fields.length === text.split(':').length - 1 ? (value as SelectionRequest) : undefined;
}

/** The fields that are lists, in the order of the text. */
function listFields(request: SelectionRequest): ListField[] {
  return (Object.keys(request) as ListField[]).filter(name => Array.isArray(request[name]));
}
