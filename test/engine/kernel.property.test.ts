/**
 * The WebAssembly kernel against its plain twin: the same key, the same snapshot and the same calls give the
 * same bytes, whatever is asked. And what must be true of the kernel's private memory between two calls.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  DISTINCT_ATTRIBUTE,
  DISTINCT_NONE,
  KERNEL_VECTOR,
  KERNEL_WORD,
  planKernelMemory,
  RANDOM_OUTPUT_BYTES,
} from '../../native-layout/kernel-memory.ts';
import { RECORD_BYTES } from '../../native-layout/node-record.ts';
import { HEADER_WORD } from '../../native-layout/snapshot-header.ts';
import { encodedBytesMax } from '../../src/engine/encoding/encode.ts';
import { ALL_TAKEN, type KernelKind } from '../../src/engine/kernel/kernel.ts';
import type { Reader } from '../../src/engine/reader.ts';
import { IdDigits } from '../../src/engine/selection/id-digits.ts';
import { NumberSet } from '../../src/engine/selection/number-set.ts';
import { KEY_WORDS } from '../../src/engine/selection/random.ts';
import type { NodeIds, SelectionRequest } from '../../src/engine/selection/selection-types.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { dataRandom } from '../support/data-random.ts';
import { LocalCache, wasmModule } from '../support/local-cache.ts';
import {
  networksOf,
  populations,
  TEST_SETTINGS,
  type TestNode,
  testId,
  testNode,
  testRow,
} from '../support/population.ts';
import { checkProperty, SEED } from '../support/property.ts';
import { relayPopulation } from '../support/relays.ts';

const LIMITS = { countMax: 60, idsMax: 40 };
const NODES_MAX = 45;
/** A request for vetted and new rows alike, all of them. */
const ALL_ROWS = {
  newFraction: 0.38,
  capNewFraction: false,
  fillWithNew: true,
  vettedFirst: false,
  set: 0,
  attribute: 0,
};
const UNKNOWN_ID = 'f'.repeat(64);

const requests = fc.record(
  {
    count: fc.integer({ min: 1, max: 60 }),
    newFraction: fc.oneof(fc.constantFrom(0, 0.05, 0.5, 1), fc.double({ min: 0, max: 1, noNaN: true })),
    placement: fc.constantFrom('default', ...Object.keys(TEST_SETTINGS.placements)),
    distinct: fc.constantFrom('network', 'none', 'country', 'exit'),
    fillWithNew: fc.boolean(),
    order: fc.constantFrom<'random' | 'vetted-first'>('random', 'vetted-first'),
    exclude: fc.array(fc.nat(NODES_MAX + 2), { maxLength: 20 }),
    held: fc.array(fc.nat(NODES_MAX + 2), { maxLength: 20 }),
  },
  { requiredKeys: ['count'] },
);

/** Every fourth node has an IPv6 address, of every length of text. */
function rowOf(node: TestNode): NodeRow {
  if (node.number % 4 !== 0) return testRow(node);
  const groups = Array.from(
    { length: 1 + (node.number % 6) },
    (_, i) => ((node.network + i) * 4099) & 0xffff,
  );
  return {
    ...testRow(node),
    ip: `2a01:${groups.map(group => group.toString(16)).join(':')}::${node.number + 1}`,
  };
}

/** Both kernels over one snapshot, with one key. */
class Pair {
  readonly cache: LocalCache;
  readonly readers: readonly Reader[];

  constructor(cache: LocalCache, seed: number) {
    this.cache = cache;
    this.readers = (['wasm', 'typescript'] as const).map((kind, i) => cache.reader(i, seed, kind));
  }

  /** Checks that `call` gives the same of both, and returns it. */
  same<T>(call: (reader: Reader) => T): T {
    const [wasm, twin] = this.readers.map(call);
    expect(wasm).toEqual(twin);
    return wasm!;
  }

  release(): void {
    for (const reader of this.readers) reader.release();
  }
}

/** The answer in every form: all bytes, and all that is said beside them. */
function answers(reader: Reader, request: SelectionRequest): unknown[] {
  const count = request.count ?? 110;
  const encoded = (['json', 'messagepack'] as const).map(format => {
    const target = new Uint8Array(encodedBytesMax(format, count));
    const answer = reader.selectEncoded(format, request, target);
    return [Buffer.from(target.subarray(0, answer.bytes)).toString('latin1'), answer];
  });
  const records = Buffer.alloc(count * RECORD_BYTES);
  const answer = reader.selectRecords(request, records);
  return [...encoded, records.toString('hex', 0, answer.bytes), answer, reader.select(request).nodes];
}

describe('kernel and twin', () => {
  test('are what a reader uses, each where it is asked for', () => {
    const pair = new Pair(new LocalCache(), 1);
    expect(pair.readers.map(reader => reader.kernelKind)).toEqual(['wasm', 'typescript']);
    expect(new LocalCache({ kernel: 'typescript' }).reader().kernelKind).toBe('typescript');
  });

  test('give the same bytes for small populations and every kind of request', () => {
    const cache = new LocalCache({ capacity: 60, settings: TEST_SETTINGS, limits: LIMITS });
    const property = fc.property(
      populations(NODES_MAX),
      fc.array(requests, { minLength: 1, maxLength: 6 }),
      fc.nat(),
      fc.nat(2 ** 31),
      (nodes, drawn, seed, laterMs) => {
        cache.publish(nodes.map(rowOf));
        cache.clockMs += laterMs;
        const pair = new Pair(cache, seed);
        const idsOf = (numbers: readonly number[] = []) => numbers.map(n => nodes[n]?.id ?? UNKNOWN_ID);
        for (const one of drawn) {
          const request = { ...one, exclude: idsOf(one.exclude), held: idsOf(one.held) };
          pair.same(reader => answers(reader, request));
        }
        pair.same(reader =>
          reader.lookup([...nodes.map(node => node.id), UNKNOWN_ID].slice(0, LIMITS.idsMax)),
        );
        pair.release();
      },
    );
    checkProperty(property, { runs: 1500 });
  });

  test('give the same bytes over the relays, for thousands of refills', () => {
    const cache = new LocalCache();
    const rows = relayPopulation();
    cache.publish(rows);
    const pair = new Pair(cache, SEED);
    const random = dataRandom(SEED);
    const ids = (count: number) => Array.from({ length: count }, () => String(rows[random(rows.length)]!.id));
    for (let i = 0; i < 400; i++) {
      const blocked = i % 3 === 0 ? { exclude: ids(random(200)), held: ids(random(200)) } : {};
      const request = {
        count: 1 + random(i % 50 === 0 ? 1000 : 150),
        newFraction: random(100) / 100,
        ...blocked,
      };
      pair.same(reader => answers(reader, request));
    }
    pair.release();
  });

  test('give the same picks on both sides of where drawing gives way to a walk', () => {
    const vetted = networksOf(Array(200).fill(1), 'vetted');
    const fresh = networksOf(Array(60).fill(1), 'new', { network: 1000, number: 200 });
    const limits = { countMax: 200, idsMax: 100 };
    const cache = new LocalCache({ capacity: 400, settings: TEST_SETTINGS, limits });
    cache.publish([...vetted, ...fresh].map(testRow));
    const pair = new Pair(cache, SEED);
    // New nodes are drawn first: networks without an allowed one must not count as taken afterwards.
    const exclude = fresh.slice(0, 10).map(node => node.id);
    for (let count = 60; count <= 110; count++) {
      const request = { count, newFraction: 0.2, placement: 'uncapped', exclude };
      for (let i = 0; i < 20; i++) pair.same(reader => answers(reader, request));
    }
    pair.release();
  });

  test('say the same of the age, up to beyond 32 bits, and of high generations', () => {
    const cache = new LocalCache({ capacity: 10, limits: LIMITS });
    for (const generation of [1, 9, 10, 99_999, 2 ** 31 - 2]) {
      cache.clockMs = 1000;
      cache.publishAs(generation, []);
      const pair = new Pair(cache, 3);
      for (const ageMs of [0, 9, 10, 4_294_967_295, 4_294_967_296, Number.MAX_SAFE_INTEGER - 2000]) {
        cache.clockMs = ageMs + 1000;
        pair.same(reader => answers(reader, { count: 1 }).slice(0, 2));
      }
      pair.release();
    }
  });
});

describe('ids', () => {
  /** As they stand in a text, `gap` bytes between one and the next. */
  function inText(ids: readonly string[], gap: number, before = '["'): IdDigits {
    const bytes = Buffer.from(before + ids.join('\u0000'.repeat(gap)), 'latin1');
    return new IdDigits(bytes, { start: before.length, stride: 64 + gap, length: ids.length });
  }

  const packed = (ids: readonly string[]) => new Uint8Array(Buffer.from(ids.join(''), 'hex'));
  const hexDigits = fc.constantFrom(...'0123456789abcdefABCDEF');
  const texts = fc.array(fc.nat(NODES_MAX + 2), { maxLength: LIMITS.idsMax });

  test('are the same in any form: texts, bytes, all bytes in one piece, digits in a text', () => {
    const cache = new LocalCache({ capacity: 60, readers: 8, settings: TEST_SETTINGS, limits: LIMITS });
    const nodes = Array.from({ length: NODES_MAX }, (_, i) =>
      rowOf(testNode(i, i % 30, i % 3 ? 'vetted' : 'new')),
    );
    cache.publish(nodes);
    const forms: ((ids: readonly string[], gap: number) => NodeIds)[] = [
      ids => ids,
      ids => ids.map(id => Buffer.from(id, 'hex')),
      packed,
      inText,
    ];
    const property = fc.property(
      texts,
      texts,
      fc.nat(150),
      fc.boolean(),
      fc.nat(),
      (first, second, gap, upper, seed) => {
        const idsOf = (numbers: readonly number[]) =>
          numbers.map(n => String(nodes[n]?.id ?? UNKNOWN_ID)).map(id => (upper ? id.toUpperCase() : id));
        const exclude = idsOf(first);
        const held = idsOf(second.slice(0, LIMITS.idsMax - first.length));
        const outcomes = forms.map((form, i) => {
          // The ids of one form after those of another.
          const request = { count: 30, exclude: form(exclude, gap), held: forms[(i + seed) % 4]!(held, gap) };
          const pair = new Pair(cache, seed);
          const found = pair.same(reader => [answers(reader, request), reader.lookup(form(exclude, gap))]);
          pair.release();
          return found;
        });
        for (const outcome of outcomes) expect(outcome).toEqual(outcomes[0]);
      },
    );
    checkProperty(property, { runs: 300 });
  });

  test.each<KernelKind>(['wasm', 'typescript'])('in a text: %s names the first that is none', kind => {
    const cache = new LocalCache({ kernel: kind, limits: LIMITS });
    cache.publish(relayPopulation().slice(0, 10));
    const reader = cache.reader();
    const property = fc.property(
      fc.array(fc.array(hexDigits, { minLength: 64, maxLength: 64 }), {
        minLength: 1,
        maxLength: LIMITS.idsMax,
      }),
      fc.nat(150),
      fc.uniqueArray(fc.nat(LIMITS.idsMax * 64 - 1), { maxLength: 3 }),
      fc.nat(255),
      (digits, gap, places, code) => {
        const wrong = String.fromCharCode(code);
        const isDigit = /[0-9a-fA-F]/.test(wrong);
        const chosen = places.map(place => place % (64 * digits.length));
        const ids = digits.map((id, i) =>
          id.map((digit, at) => (chosen.includes(64 * i + at) ? wrong : digit)).join(''),
        );
        const first = Math.floor(Math.min(...chosen) / 64);
        const select = () => reader.select({ count: 10, exclude: inText(ids, gap), partial: true });
        if (isDigit || chosen.length === 0) expect(select).not.toThrow();
        else expect(select).toThrow(expect.objectContaining({ field: `exclude[${first}]` }));
      },
    );
    checkProperty(property, { runs: 1_000 });
    const known = inText([testId(1), 'g'.repeat(64)], 3);
    expect(() => reader.select({ count: 1, held: known })).toThrow(/^held\[1\] is "g{64}"; an id is/);
  });

  test('in a text stand inside of it', () => {
    const bytes = Buffer.alloc(136);
    expect(() => new IdDigits(bytes, { start: 3, stride: 67, length: 2 })).not.toThrow();
    expect(() => new IdDigits(bytes, { start: 6, stride: 67, length: 2 })).toThrow(/end at 137 of 136 bytes/);
  });
});

describe('the private memory', () => {
  const ANSWER_BYTES = 40_000;

  /** The kernel's exports over a memory that the test can see. */
  function bare(cache: LocalCache) {
    const limits = { countMax: 200, idsMax: 400 };
    const plan = planKernelMemory({ layout: cache.layout, ...limits, outputBytes: ANSWER_BYTES });
    const memory = new WebAssembly.Memory({ initial: Math.ceil(plan.byteLength / 65_536), maximum: 65_536 });
    const words = new Uint32Array(memory.buffer);
    words.set(plan.start);
    const slot = cache.memory.slots[0] as WebAssembly.Memory;
    const kernel = new WebAssembly.Instance(wasmModule(), { env: { memory }, slot: { memory: slot } });
    const select = (kernel.exports as { select: (...numbers: number[]) => number }).select;
    return { words, directory: plan.start, select };
  }

  test('has no random word that was handed out, and no bit set, after a call', () => {
    const cache = new LocalCache({ settings: TEST_SETTINGS });
    const rows = relayPopulation().map(row => ({ ...row, attributes: ['DE', '1'] }));
    cache.publish(rows);
    const { words, directory, select } = bare(cache);
    const random = dataRandom(SEED);
    const at = directory[KERNEL_WORD.RANDOM]! / 4;
    words.set(
      Uint32Array.from({ length: KEY_WORDS }, () => random(2 ** 32)),
      at + RANDOM_OUTPUT_BYTES / 4,
    );
    for (let i = 0; i < 200; i++) {
      const ids = random(100);
      for (let id = 0; id < ids; id++) {
        const bytes = Buffer.from(String(rows[random(rows.length)]!.id), 'hex');
        new Uint8Array(words.buffer).set(bytes, directory[KERNEL_WORD.IDS]! + 32 * id);
      }
      const excluded = random(ids + 1);
      select(1 + random(200), random(100) / 100, random(8), random(3), 0, 0, excluded, ids - excluded);
      const used = words[KERNEL_WORD.RANDOM_USED]! / 4;
      expect(words.subarray(at, at + used).every(word => word === 0)).toBe(true);
      expect(words.subarray(at + used, at + RANDOM_OUTPUT_BYTES / 4 + KEY_WORDS).includes(0)).toBe(false);
      const sets = words.subarray(directory[KERNEL_WORD.TAKEN]! / 4, directory[KERNEL_WORD.IDS]! / 4);
      expect(sets.every(word => word === 0)).toBe(true);
    }
  });

  test('has areas that do not overlap, each as large as its limits ask for', () => {
    const layout = new LocalCache({ capacity: 1000 }).layout;
    const plan = planKernelMemory({ layout, countMax: 10, idsMax: 20, outputBytes: 5000 });
    const areas: [number, number][] = (
      [
        [KERNEL_WORD.RANDOM, 1024],
        [KERNEL_WORD.IDS, 32 * 20],
        [KERNEL_WORD.BLOCKED_ROWS, 4 * (20 + 4096)],
        [KERNEL_WORD.ID_TEXT, 64 * 20],
        [KERNEL_WORD.PICKS, 40],
        [KERNEL_WORD.TOUCHED, 4 * 40],
        [KERNEL_WORD.TAKEN, 65_536 / 8],
        [KERNEL_WORD.BLOCKED, 125],
        [KERNEL_WORD.BLOCKED_NETWORKS, 125],
        [KERNEL_WORD.ORDER, 4000],
        [KERNEL_WORD.GROUP_OF, 4 * 65_536],
        [KERNEL_WORD.MOVES, 80],
        [KERNEL_WORD.CHOICES, 80],
        [KERNEL_WORD.OUTPUT, 5000],
        [KERNEL_WORD.INDEX_KEYS, 64],
      ] as const
    ).map(([word, bytes]) => [plan.start[word]!, bytes]);
    areas.sort((a, b) => a[0] - b[0]);
    let end = 4 * plan.start.length;
    for (const [start, bytes] of areas) {
      expect(start).toBeGreaterThanOrEqual(end);
      end = start + bytes;
    }
    expect(plan.byteLength).toBeGreaterThanOrEqual(end);
  });
});

test('the kernel is whole after a call that did not come to its end', () => {
  const cache = new LocalCache({ settings: TEST_SETTINGS });
  const rows = relayPopulation().map(row => ({ ...row, attributes: ['DE', '1'] }));
  const { snapshot } = cache.publish(rows);
  const kernel = cache.kernel(1);
  kernel.open(0, snapshot);
  const all = { ...ALL_ROWS, count: 1000, distinct: DISTINCT_NONE };
  const ids = rows.slice(0, 500).map(({ id }) => id);
  expect(kernel.takeIds(0, ids)).toBe(ALL_TAKEN);
  // An attribute whose column is where no memory is: a trap when the held rows have been noted already.
  const nowhere = KERNEL_VECTOR.HEX_DIGITS! / 4 - KERNEL_WORD.ATTRIBUTES;
  const trap = { ...all, distinct: DISTINCT_ATTRIBUTE, attribute: nowhere };
  expect(() => kernel.select(trap, 0, 500)).toThrow(WebAssembly.RuntimeError);
  // All but one: none of those that the interrupted call held may be missing.
  expect(kernel.takeIds(0, [rows[9000]!.id])).toBe(ALL_TAKEN);
  const seen = new Set<string>();
  const records = Buffer.alloc(1000 * RECORD_BYTES);
  for (let i = 0; i < 300; i++) {
    expect(kernel.select(all, 1, 0)).toBe(1000);
    kernel.records(records, 0);
    for (let at = 0; at < records.length; at += RECORD_BYTES) seen.add(records.toString('hex', at, at + 32));
  }
  expect(ids.filter(id => !seen.has(String(id)))).toEqual([]);
});

test('a set is empty after a clear that ran out of stack and one that did not', () => {
  const set = new NumberSet(30_000);
  const deepest = (): void => {
    try {
      deepest();
    } catch {
      set.clear(30_000);
    }
  };
  for (let round = 0; round < 30; round++) {
    set.clear(30_000);
    for (let number = 0; number < 30_000; number++) set.add(number);
    try {
      deepest();
    } catch {
      // Out of stack, somewhere in `clear`.
    }
    set.clear(30_000);
    expect(Array.from({ length: 30_000 }, (_, number) => set.has(number)).includes(true)).toBe(false);
  }
});

test('a snapshot that cannot be opened is named by every call', () => {
  const cache = new LocalCache({ capacity: 10, limits: LIMITS });
  const { snapshot } = cache.publish([]);
  snapshot.views.header[HEADER_WORD.VERSION] = 99;
  const reader = cache.reader();
  for (const _ of [1, 2]) {
    expect(() => reader.select({ count: 1 })).toThrow(expect.objectContaining({ code: 'LAYOUT_MISMATCH' }));
  }
});

test.each<KernelKind>(['wasm', 'typescript'])('%s refuses what is no id, and names it', kind => {
  const cache = new LocalCache({ kernel: kind });
  cache.publish(relayPopulation().slice(0, 10));
  const reader = cache.reader();
  const good = [UNKNOWN_ID, testId(1), testId(2).toUpperCase(), Buffer.from(testId(3), 'hex'), testId(4)];
  const texts = good.map(id => (typeof id === 'string' ? id : id.toString('hex')));
  for (const ids of [good, texts, []]) expect(reader.select({ exclude: ids, partial: true }).length).toBe(10);
  const wrong: unknown[] = ['', 'f'.repeat(63), 'f'.repeat(65), new Uint8Array(31), 7, null, undefined, {}];
  for (let code = 0; code < 0x180; code++) {
    const character = String.fromCharCode(code);
    if (!/[0-9a-fA-F]/.test(character))
      wrong.push(`${'a'.repeat(code % 64)}${character}${'a'.repeat(63 - (code % 64))}`);
  }
  for (const [i, id] of wrong.entries()) {
    const at = i % good.length;
    for (const ids of [good, texts]) {
      expect(() => reader.select({ exclude: ids.with(at, id as string) }), String(id)).toThrow(
        expect.objectContaining({ code: 'REQUEST_INVALID', field: `exclude[${at}]` }),
      );
    }
  }
});
