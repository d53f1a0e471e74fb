/**
 * Goal G7: damage to a snapshot file. Every bit and every length of a file of 64 KiB, and random damage,
 * blind and under digests that were put right: nothing damaged is taken, what is forged is refused or is a
 * snapshot that holds together, and nothing crashes, hangs or grows. `PROOF=long` takes a million of the
 * random ones.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { HEADER_WORD } from '../../native-layout/snapshot-header.ts';
import { CacheError } from '../../src/engine/errors.ts';
import { openPackedSnapshot, packSnapshot } from '../../src/engine/snapshot/snapshot.ts';
import { dataRandom } from '../support/data-random.ts';
import { figure, LONG } from '../support/figures.ts';
import { LocalCache } from '../support/local-cache.ts';
import { networksOf, TEST_SETTINGS, testNode, testRow } from '../support/population.ts';
import { SEED } from '../support/property.ts';
import { blindDamage, forgery, resealed } from '../support/snapshot-mutations.ts';
import { SnapshotTarget } from '../support/snapshot-target.ts';

const FILE_BYTES = 65_536;
const MUTATIONS = LONG ? 1_000_000 : 200_000;
/** Forgeries go through every check, and take ten times as long. */
const FORGED_PART = LONG ? 0.5 : 0.25;
const LOOKED_AT_EVERY = 8;
/** Of what is held after hundreds of thousands of refusals: no more than a few files. */
const GROWTH_BYTES_MAX = 8 * 1024 ** 2;
const LOOKS = 10;
const LOOK_EVERY_MS = 20;
const LONG_MS = 3_600_000;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const NODES = [
  ...networksOf([3, 1, 2], 'vetted').map((node, i) => ({ ...node, country: i % 2 ? 'DE' : 'US', exit: '1' })),
  ...networksOf([2, 1], 'new', { network: 1, number: 10 }),
  ...networksOf([1], 'ineligible', { network: 7, number: 20 }),
];
const ROWS = [
  ...NODES.map(testRow),
  { ...testRow(testNode(30, 0, 'vetted')), ip: '2a02:c207:2299:5486::1' },
  { ...testRow(testNode(31, 0, 'new')), ip: '2a02:c207:2299:5486::2', network: 'rack 7' },
];

/** A file with everything in it, as small as that can be. */
function smallFile(): Uint8Array<ArrayBuffer> {
  const cache = new LocalCache({ capacity: 100, settings: TEST_SETTINGS, indexSeed: 99 });
  return packSnapshot(cache.publish(ROWS).snapshot.views);
}

/** A file of exactly 64 KiB. */
function wholeFile(): Uint8Array<ArrayBuffer> {
  const packed = packSnapshot(
    new LocalCache({ capacity: 2_000, indexSeed: 99 }).publish(
      networksOf(Array(FILE_ROWS).fill(1), 'vetted').map((node, i) => ({
        ...testRow(node),
        ...(WIDE[i] ?? {}),
      })),
    ).snapshot.views,
  );
  expect(packed).toHaveLength(FILE_BYTES);
  return packed;
}
const FILE_ROWS = 678;
const WIDE = [{ ip: '2a02:c207:2299:5486::1' }];

/** True when the bytes are taken, false when they are refused; throws whatever is neither. */
function isTaken(take: () => unknown): boolean {
  try {
    take();
    return true;
  } catch (error) {
    if (error instanceof CacheError && /SNAPSHOT_CORRUPT|LAYOUT_MISMATCH|CAPACITY_EXCEEDED/.test(error.code))
      return false;
    throw error;
  }
}

/** What is still held when everything else has been collected: memory of buffers goes a while after them. */
async function allBytes(): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let look = 0; look < LOOKS; look++) {
    collectGarbage();
    await delay(LOOK_EVERY_MS);
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    least = Math.min(least, heapUsed + arrayBuffers);
  }
  return least;
}

/** Prints how many of what were refused, in which time, and that they have left nothing behind. */
async function report(
  what: string,
  counts: Record<string, number>,
  began: number,
  bytesBefore: number,
): Promise<void> {
  const grown = (await allBytes()) - bytesBefore;
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.info(
    `${what}: ${JSON.stringify(counts)} in ${seconds} s, ${(grown / 1024 ** 2).toFixed(1)} MiB more`,
  );
  expect(grown).toBeLessThan(GROWTH_BYTES_MAX);
}

describe('a file of 64 KiB', () => {
  test('with any one bit turned is refused', { timeout: LONG_MS }, async () => {
    const file = wholeFile();
    const [began, before] = [performance.now(), await allBytes()];
    const taken: number[] = [];
    for (let bit = 0; bit < 8 * FILE_BYTES; bit++) {
      file[bit >> 3]! ^= 1 << (bit & 7);
      if (isTaken(() => openPackedSnapshot(file))) taken.push(bit);
      file[bit >> 3]! ^= 1 << (bit & 7);
    }
    expect(taken).toEqual([]);
    expect(isTaken(() => openPackedSnapshot(file))).toBe(true);
    figure('G7', 'bits turned, none accepted', 8 * FILE_BYTES);
    await report('bits turned', { refused: 8 * FILE_BYTES }, began, before);
  });

  test('cut off anywhere, or with anything behind it, is refused', { timeout: LONG_MS }, async () => {
    const file = wholeFile();
    const [began, before] = [performance.now(), await allBytes()];
    const taken: number[] = [];
    for (let length = 0; length < FILE_BYTES; length++) {
      if (isTaken(() => openPackedSnapshot(file.subarray(0, length)))) taken.push(length);
    }
    for (const more of [1, 3, 4, 63, 64, 4096, FILE_BYTES]) {
      const longer = new Uint8Array(FILE_BYTES + more);
      longer.set(file);
      if (isTaken(() => openPackedSnapshot(longer))) taken.push(FILE_BYTES + more);
    }
    expect(taken).toEqual([]);
    figure('G7', 'wrong lengths, none accepted', FILE_BYTES + 7);
    await report('lengths', { refused: FILE_BYTES + 7 }, began, before);
  });
});

describe(`random damage, SEED=${SEED}`, () => {
  const forged = Math.round(MUTATIONS * FORGED_PART);

  test('of somebody who does not know the layout is refused', { timeout: LONG_MS }, async () => {
    const file = smallFile();
    const draw = dataRandom(SEED);
    const [began, before] = [performance.now(), await allBytes()];
    for (let i = 0; i < MUTATIONS - forged; i++) {
      const damaged = blindDamage(file, draw);
      if (isTaken(() => openPackedSnapshot(damaged))) expect.fail(`damage ${i} of SEED=${SEED} is taken`);
    }
    figure('G7', 'random mutations, none accepted', MUTATIONS - forged);
    await report('blind damage', { refused: MUTATIONS - forged }, began, before);
  });

  test('under digests that fit is refused, or is a snapshot that holds together', {
    timeout: LONG_MS,
  }, async () => {
    const file = smallFile();
    const target = new SnapshotTarget();
    const draw = dataRandom(SEED + 1);
    const [began, before] = [performance.now(), await allBytes()];
    let taken = 0;
    for (let i = 0; i < forged; i++) {
      const bytes = forgery(file, draw);
      const wasTaken = isTaken(() => {
        const snapshot = target.take(bytes);
        if (taken % LOOKED_AT_EVERY > 0) return;
        expect(target.problem(snapshot), `forgery ${i} of SEED=${SEED}`).toBeUndefined();
      });
      if (wasTaken) taken++;
    }
    expect(taken).toBeGreaterThan(0);
    figure('G7', 'forgeries refused', forged - taken);
    figure('G7', 'forgeries that are a whole snapshot', taken);
    await report('forgeries', { refused: forged - taken, 'taken and whole': taken }, began, before);
  });
});

describe('a digest that fits does not make up for', () => {
  test.each([
    ['a generation of 0', HEADER_WORD.GENERATION, 0],
    ['more vetted nodes than rows', HEADER_WORD.VETTED, 2 ** 31],
    ['more new nodes than rows', HEADER_WORD.NEW, ROWS.length],
  ])('%s', (_what, word, value) => {
    const file = smallFile();
    new Uint32Array(file.buffer)[word] = value;
    resealed(file, false);
    expect(() => openPackedSnapshot(file)).toThrow(expect.objectContaining({ code: 'SNAPSHOT_CORRUPT' }));
  });

  test.each([1e300, -1e300, Number.NaN, Number.POSITIVE_INFINITY])('a read at %d', value => {
    for (const word of [HEADER_WORD.READ_AT_UNIX, HEADER_WORD.READ_AT_MONOTONIC]) {
      const file = smallFile();
      new Float64Array(file.buffer, 0, word)[word / 2] = value;
      resealed(file, false);
      expect(() => openPackedSnapshot(file)).toThrow(expect.objectContaining({ code: 'SNAPSHOT_CORRUPT' }));
    }
  });
});

test('an error repeats a few words of a forged file, and not all of them', () => {
  const names = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`placement-${i}`, {}]));
  const settings = { ...TEST_SETTINGS, placements: { ...TEST_SETTINGS.placements, ...names } };
  const cache = new LocalCache({ capacity: 100, settings });
  const packed = packSnapshot(cache.publish(ROWS).snapshot.views);
  expect(() => new SnapshotTarget().take(packed)).toThrow(
    expect.objectContaining({ message: expect.stringMatching(/^.{100,1000}$/s) }),
  );
});
