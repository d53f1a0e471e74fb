// @hotpath
/**
 * Lists of ids in the bytes of a JSON text, and the text around them: the elements of a list that is written
 * plainly are taken from where they stand, and the rest is looked at without them. Pure functions over the
 * bytes of one body.
 */
import { IdDigits } from '../../engine/selection/id-digits.ts';
import { ID_DIGITS } from '../../engine/snapshot/node-id.ts';

const BLANK = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const LIST_START = 0x5b;
const LIST_END = 0x5d;

/**
 * The elements of each list, up to the first list that is not written plainly: texts as long as ids, one
 * behind the other or with a blank between them.
 */
export function plainIdLists(bytes: Uint8Array): IdDigits[] {
  const lists: IdDigits[] = [];
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] !== LIST_START) continue;
    const list = plainIdList(bytes, at + 1);
    if (list === undefined) break;
    lists.push(list);
    at = endOf(list);
  }
  return lists;
}

/** The elements of the list whose first one is at `start`. */
function plainIdList(bytes: Uint8Array, start: number): IdDigits | undefined {
  if (bytes[start] !== QUOTE) return undefined;
  let quote = start + 1 + ID_DIGITS;
  const blanks = bytes[quote + 2] === BLANK ? 1 : 0;
  const stride = ID_DIGITS + 3 + blanks;
  let length = 1;
  while (bytes[quote] === QUOTE && bytes[quote + 1] === COMMA) {
    if (blanks === 1 && bytes[quote + 2] !== BLANK) return undefined;
    if (bytes[quote + 2 + blanks] !== QUOTE) return undefined;
    quote += stride;
    length++;
  }
  if (bytes[quote] !== QUOTE || bytes[quote + 1] !== LIST_END) return undefined;
  return new IdDigits(bytes, { start: start + 1, stride, length });
}

/** The byte of the quote in front of the first id. */
function startOf(list: IdDigits): number {
  return list.start - 1;
}

/** The byte behind the quote of the last one. */
function endOf({ start, stride, length }: IdDigits): number {
  return start + (length - 1) * stride + ID_DIGITS + 1;
}

/** What `bytes` are without the elements of `lists`, which are theirs. */
export function textAround(bytes: Uint8Array, lists: readonly IdDigits[]): Buffer {
  const starts = [0, ...lists.map(endOf)];
  const ends = [...lists.map(startOf), bytes.length];
  return Buffer.concat(starts.map((start, i) => bytes.subarray(start, ends[i])));
}

/** True when that is `text`. */
export function isTextAround(bytes: Uint8Array, lists: readonly IdDigits[], text: Uint8Array): boolean {
  let at = 0;
  let from = 0;
  for (let i = 0; i <= lists.length; i++) {
    const list = lists[i];
    const end = list === undefined ? bytes.length : startOf(list);
    if (at + end - from > text.length) return false;
    for (; from < end; from++, at++) if (bytes[from] !== text[at]) return false;
    if (list !== undefined) from = endOf(list);
  }
  return at === text.length;
}
