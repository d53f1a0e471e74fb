/**
 * Damage to the bytes of a snapshot file, drawn at random: as a disk does it, and as somebody does it who
 * knows the layout and puts the digests right afterwards.
 */
import { HEADER_BYTES, HEADER_WORD, SET_WORD, setEntryWord } from '../../native-layout/snapshot-header.ts';
import type { SnapshotLayout } from '../../native-layout/snapshot-layout.ts';
import { ROW_WORDS } from '../../native-layout/snapshot-row.ts';
import { type SnapshotViews, snapshotViews } from '../../native-layout/snapshot-views.ts';
import { ContentDigest, ValueHashes } from '../../src/engine/snapshot/content-digest.ts';
import { computeDigest, contentLayout } from '../../src/engine/snapshot/snapshot.ts';
import { readDescription } from '../../src/engine/snapshot/snapshot-description.ts';

type Bytes = Uint8Array<ArrayBuffer>;
/** An integer below `n`. */
type Draw = (n: number) => number;

const FLIPS_MAX = 8;
const RUN_BYTES_MAX = 96;
/** What counts and indexes are worst at. */
const WORDS = [0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fffe, 0x1_0000, 0x40, 0x1000_0000];
const FLOATS = [Number.NaN, Number.POSITIVE_INFINITY, -1, 0, 1e300, -1e300, 8.64e15, 8.65e15, 5e-324, 1e13];
const HEADER_NAMES = Object.values(HEADER_WORD);
const SET_NAMES = Object.values(SET_WORD);

function flips(bytes: Bytes, draw: Draw): Bytes {
  for (let left = 1 + draw(FLIPS_MAX); left > 0; left--) bytes[draw(bytes.length)]! ^= 1 << draw(8);
  return bytes;
}

function overwriting(bytes: Bytes, draw: Draw): Bytes {
  const from = draw(bytes.length);
  const to = Math.min(bytes.length, from + 1 + draw(RUN_BYTES_MAX));
  const fill = [0, 0xff, undefined][draw(3)];
  for (let at = from; at < to; at++) bytes[at] = fill ?? draw(256);
  return bytes;
}

/** A piece of the file over another. */
function splice(bytes: Bytes, draw: Draw): Bytes {
  const unit = [1, 4, 16, 64, 512][draw(5)]!;
  const places = Math.floor(bytes.length / unit);
  const length = unit * (1 + draw(4));
  bytes.copyWithin(
    unit * draw(places),
    unit * draw(places),
    Math.min(bytes.length, unit * draw(places) + length),
  );
  return bytes;
}

/** Bytes that come in or go out anywhere. */
function shift(bytes: Bytes, draw: Draw): Bytes {
  const at = draw(bytes.length);
  const count = [1, 2, 4, 16, 64, 512, 4096][draw(7)]!;
  if (draw(2) === 0) {
    return new Uint8Array(Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + count)]));
  }
  const more = new Uint8Array(bytes.length + count);
  more.set(bytes.subarray(0, at));
  more.set(bytes.subarray(at), at + count);
  return more;
}

/** A length that is not the file's, or a file that is not as long as it says. */
function cut(bytes: Bytes, draw: Draw): Bytes {
  const longer = new Uint8Array(Math.max(1, bytes.length + draw(1 + 2 * bytes.length) - bytes.length));
  longer.set(bytes.subarray(0, longer.length));
  return longer;
}

/** A count of the header says something else. */
function headerWord(bytes: Bytes, draw: Draw, { sets }: SnapshotLayout): Bytes {
  const words = new Uint32Array(bytes.buffer, 0, HEADER_BYTES / 4);
  const set = setEntryWord(draw(sets.length + 1)) + SET_NAMES[draw(SET_NAMES.length)]!;
  const word = draw(2) === 0 ? HEADER_NAMES[draw(HEADER_NAMES.length)]! : set;
  words[word] = otherWord(words[word]!, draw);
  return bytes;
}

function otherWord(word: number, draw: Draw): number {
  if (draw(2) === 0) return WORDS[draw(WORDS.length)]!;
  return draw(2) === 0 ? word + draw(9) - 4 : draw(2 ** 32);
}

function clockReading(bytes: Bytes, draw: Draw): Bytes {
  const floats = new Float64Array(bytes.buffer, 0, HEADER_BYTES / 8);
  const word = draw(2) === 0 ? HEADER_WORD.READ_AT_UNIX : HEADER_WORD.READ_AT_MONOTONIC;
  floats[word / 2] = FLOATS[draw(FLOATS.length)]!;
  return bytes;
}

/** A word of a row, an index, a list, a group: somewhere behind the header. */
function columnWord(bytes: Bytes, draw: Draw): Bytes {
  const words = new Uint32Array(bytes.buffer, 0, bytes.length >> 2);
  const at = HEADER_BYTES / 4 + draw(words.length - HEADER_BYTES / 4);
  words[at] = otherWord(words[at]!, draw);
  return bytes;
}

function swappedRows(bytes: Bytes, draw: Draw, { extents: { rows } }: SnapshotLayout): Bytes {
  const words = new Uint32Array(bytes.buffer, 0, bytes.length >> 2);
  const first = HEADER_BYTES / 4 + ROW_WORDS * draw(rows);
  const second = HEADER_BYTES / 4 + ROW_WORDS * draw(rows);
  const row = words.slice(first, first + ROW_WORDS);
  words.copyWithin(first, second, second + ROW_WORDS);
  words.set(row, second);
  return bytes;
}

function swappedWords(bytes: Bytes, draw: Draw): Bytes {
  const words = new Uint32Array(bytes.buffer, 0, bytes.length >> 2);
  const place = () => HEADER_BYTES / 4 + draw(words.length - HEADER_BYTES / 4);
  const first = place();
  const second = draw(2) === 0 ? place() : Math.min(words.length - 1, first + 1 + draw(4));
  [words[first], words[second]] = [words[second]!, words[first]!];
  return bytes;
}

/** A character of the description, which is JSON, becomes another one of JSON. */
function description(bytes: Bytes, draw: Draw, layout: SnapshotLayout): Bytes {
  const { byteOffset, byteLength } = layout.description;
  const characters = '0123456789-.e,:[]{}"\\ntfu \u0000\u00ff';
  for (let left = 1 + draw(3); left > 0; left--) {
    bytes[byteOffset + draw(byteLength)] = characters.charCodeAt(draw(characters.length));
  }
  return bytes;
}

const BLIND = [flips, overwriting, splice, shift, cut];
const KNOWING = [
  flips,
  overwriting,
  splice,
  headerWord,
  headerWord,
  clockReading,
  columnWord,
  columnWord,
  swappedRows,
  swappedWords,
  description,
];

/** Damage of somebody who does not know what the bytes mean. Never the bytes themselves. */
export function blindDamage(original: Bytes, draw: Draw): Bytes {
  for (;;) {
    const damaged = BLIND[draw(BLIND.length)]!(original.slice(), draw);
    if (Buffer.compare(damaged, original) !== 0) return damaged;
  }
}

/** Damage by somebody who knows the layout, under digests that fit it where that is possible at all. */
export function forgery(original: Bytes, draw: Draw): Bytes {
  const layout = contentLayout(new Uint32Array(original.buffer, 0, HEADER_BYTES / 4));
  let bytes = original.slice();
  for (let left = 1 + draw(3); left > 0; left--) {
    bytes = KNOWING[draw(KNOWING.length)]!(bytes, draw, layout);
  }
  resealed(bytes, draw(2) === 0);
  return bytes;
}

/** Puts the digests right, where there are any. Without `content` only the one that covers the bytes. */
export function resealed(bytes: Bytes, content: boolean): void {
  let views: SnapshotViews;
  try {
    const layout = contentLayout(new Uint32Array(bytes.buffer, 0, HEADER_BYTES / 4));
    if (layout.byteLength !== bytes.length) return;
    views = snapshotViews(bytes.buffer, layout);
    if (content) resealContent(views);
  } catch {
    // Of counts or a description that nobody can follow there is no digest.
    return;
  }
  const digest = new Uint32Array(4);
  computeDigest(views, digest);
  views.header.set(digest, HEADER_WORD.DIGEST);
}

function resealContent(views: SnapshotViews): void {
  const values = readDescription(views).attributes.map(attribute => ValueHashes.of(attribute.values));
  const content = new ContentDigest(views, values);
  content.add(0, views.header[HEADER_WORD.ROWS]!);
  content.write(views.header, HEADER_WORD.CONTENT_DIGEST);
}
