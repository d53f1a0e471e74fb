/**
 * The control block in use, against a plain object: random claims, acquires, releases, deaths, reaps and
 * publishes.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CONTROL_WORD, controlBytes } from '../../native-layout/control-block.ts';
import {
  createControlBlock,
  Lease,
  NO_SLOT,
  Publisher,
  reapSeats,
  sharedControlWords,
  takenSeats,
} from '../../src/engine/publication.ts';
import { checkProperty } from '../support/property.ts';

const SEATS = 3;
const THREADS = 6;

type Action =
  | { readonly do: 'publish' | 'fail to publish'; readonly thread?: undefined }
  | { readonly do: 'claim' | 'acquire' | 'release' | 'die and be reaped'; readonly thread: number };

const actions = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom<Action>({ do: 'publish' }, { do: 'fail to publish' }) },
    {
      weight: 7,
      arbitrary: fc.record({
        do: fc.constantFrom('claim', 'acquire', 'acquire', 'acquire', 'release', 'die and be reaped'),
        thread: fc.nat(THREADS - 1),
      }) as fc.Arbitrary<Action>,
    },
  ),
  { maxLength: 80 },
);

interface Model {
  current: { slot: number; generation: number } | undefined;
  generation: number;
  /** What each reader holds. */
  readonly leases: Map<number, number>;
}

test('seats, leases and slots behave as a plain object says, whatever is done in whatever order', () => {
  checkProperty(
    fc.property(actions, list => {
      const { words } = sharedControlWords(createControlBlock(SEATS));
      const publisher = new Publisher(words, SEATS);
      const leases = new Map<number, Lease>();
      const model: Model = { current: undefined, generation: 0, leases: new Map() };
      for (const action of list) {
        apply(action, model, { words, publisher, leases });
        expect(takenSeats(words, SEATS)).toBe(leases.size);
        expect(publisher.currentSlot()).toBe(model.current?.slot ?? NO_SLOT);
      }
    }),
    { runs: 500 },
  );
});

interface Real {
  readonly words: ReturnType<typeof sharedControlWords>['words'];
  readonly publisher: Publisher;
  readonly leases: Map<number, Lease>;
}

function apply(action: Action, model: Model, real: Real): void {
  const { words, publisher, leases } = real;
  if (action.do === 'publish' || action.do === 'fail to publish') {
    const slot = publisher.claimSlot();
    const busy = [model.current?.slot, ...model.leases.values()];
    const lowestFree = [0, 1, 2, 3, 4].find(candidate => !busy.includes(candidate));
    expect(slot).toBe(lowestFree);
    const generation = publisher.nextGeneration();
    expect(generation).toBe(model.generation + 1);
    if (action.do === 'fail to publish') return;
    publisher.publish(slot, generation);
    model.current = { slot, generation };
    model.generation = generation;
    return;
  }
  const thread = action.thread!;
  const lease = leases.get(thread);
  if (action.do === 'claim' && lease === undefined) {
    if (leases.size === SEATS) {
      expect(() => Lease.claim(words, SEATS, thread)).toThrow(
        expect.objectContaining({ code: 'SEATS_EXHAUSTED', field: 'capacity.readers' }),
      );
    } else {
      leases.set(thread, Lease.claim(words, SEATS, thread));
      model.leases.set(thread, NO_SLOT);
    }
  } else if (action.do === 'acquire' && lease !== undefined) {
    model.leases.set(thread, model.current?.slot ?? NO_SLOT);
    expect(lease.acquire()).toBe(model.leases.get(thread));
  } else if (action.do === 'release' && lease !== undefined) {
    lease.release();
    leases.delete(thread);
    model.leases.delete(thread);
  } else if (action.do === 'die and be reaped') {
    expect(reapSeats(words, SEATS, thread)).toBe(lease === undefined ? 0 : 1);
    leases.delete(thread);
    model.leases.delete(thread);
  }
}

describe('a control block', () => {
  const good = () => createControlBlock(SEATS);

  test('is recognised with its number of seats', () => {
    expect(sharedControlWords(good()).seats).toBe(SEATS);
  });

  test.each<[string, () => SharedArrayBuffer]>([
    ['no bytes', () => new SharedArrayBuffer(0)],
    ['no whole words', () => new SharedArrayBuffer(controlBytes(SEATS) - 1)],
    ['zeros', () => new SharedArrayBuffer(controlBytes(SEATS))],
    ['bad magic', () => changed(CONTROL_WORD.MAGIC, magic => magic ^ 1)],
    ['an older version', () => changed(CONTROL_WORD.VERSION, version => version - 1)],
    ['a newer version', () => changed(CONTROL_WORD.VERSION, version => version + 1)],
    ['one seat too many for its bytes', () => changed(CONTROL_WORD.SEATS, seats => seats + 1)],
    ['a negative number of seats', () => changed(CONTROL_WORD.SEATS, () => -1)],
    ['too few slots for its seats', () => changed(CONTROL_WORD.SLOTS, slots => slots - 1)],
    ['its tail cut off', () => shortened(controlBytes(SEATS) - 128)],
  ])('with %s is refused', (_, block) => {
    expect(() => sharedControlWords(block())).toThrow(expect.objectContaining({ code: 'LAYOUT_MISMATCH' }));
  });

  function changed(word: number, change: (value: number) => number): SharedArrayBuffer {
    const block = good();
    const words = new Int32Array(block);
    words[word] = change(words[word]!);
    return block;
  }

  function shortened(bytes: number): SharedArrayBuffer {
    return good().slice(0, bytes);
  }
});
