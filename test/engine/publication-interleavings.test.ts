/**
 * Every interleaving of the real `Publisher`, `Lease` and `reapSeats` in small programs. A slot is two words,
 * written one after the other with the generation; a reader that sees two different ones has seen a slot that
 * is being written.
 *
 *   a reader may see                      it may never see
 *   nothing published                     two generations in one slot
 *   the same generation again             an earlier generation than before
 *   a later one                           nothing, after something
 */
import { describe, expect, test } from 'vitest';
import { controlBytes, leaseWord, slotCountFor } from '../../native-layout/control-block.ts';
import { CacheError } from '../../src/engine/errors.ts';
import { type ControlWords, Lease, NO_SLOT, Publisher, reapSeats } from '../../src/engine/publication.ts';
import { type Access, explore, type Thread } from '../support/interleavings.ts';

/** Changes how a thread reaches the control words: the mutants that the exploration must catch. */
type Mutation = (words: ControlWords) => ControlWords;

const UNCHANGED: Mutation = words => words;

/** Control words first, then two words a slot. */
function slotWord(seats: number, slot: number): number {
  return controlBytes(seats) / 4 + 2 * slot;
}

function sharedWords(seats: number): number {
  return slotWord(seats, slotCountFor(seats));
}

function publisher(
  seats: number,
  publishes: number,
  more: Partial<Thread> & { mutation?: Mutation } = {},
): Thread {
  const { mutation = UNCHANGED, ...rest } = more;
  return {
    name: 'publisher',
    run: access => {
      const writer = new Publisher(mutation(access), seats);
      for (let i = 0; i < publishes; i++) {
        const slot = writer.claimSlot();
        const generation = writer.nextGeneration();
        access.store(slotWord(seats, slot), generation);
        access.store(slotWord(seats, slot) + 1, generation);
        writer.publish(slot, generation);
      }
    },
    ...rest,
  };
}

function reader(
  seats: number,
  reads: number,
  more: Partial<Thread> & { mutation?: Mutation; id?: number } = {},
): Thread {
  const { mutation = UNCHANGED, id = 1, ...rest } = more;
  return {
    name: `reader ${id}`,
    run: access => {
      const lease = Lease.claim(mutation(access), seats, id);
      let newest = 0;
      for (let i = 0; i < reads; i++) newest = checkedRead(access, lease, seats, newest);
      lease.release();
    },
    ...rest,
  };
}

function checkedRead(access: Access, lease: Lease, seats: number, newest: number): number {
  const slot = lease.acquire();
  if (slot === NO_SLOT) {
    if (newest > 0) throw new Error(`nothing after generation ${newest}`);
    return 0;
  }
  const first = access.load(slotWord(seats, slot));
  const second = access.load(slotWord(seats, slot) + 1);
  if (first !== second) throw new Error(`slot ${slot} holds generations ${first} and ${second}`);
  if (first === 0) throw new Error(`slot ${slot} was never written`);
  if (first < newest) throw new Error(`generation ${first} after ${newest}`);
  return first;
}

/** Reaps the seats of thread `id`; to be run after its end, as its `exit` event says. */
function reaper(seats: number, dead: number, id: number): Thread {
  return { name: 'reaper', replaces: dead, run: access => void reapSeats(access, seats, id) };
}

function expectSound(threads: readonly Thread[], seats: number, deathsMax = 0): number {
  const { failure, states } = explore({ words: sharedWords(seats), threads, deathsMax });
  if (failure !== undefined) {
    expect.fail(`${String(failure.error)} after\n  ${failure.schedule.join('\n  ')}`);
  }
  return states;
}

describe('every interleaving', () => {
  test('of one reader and four publishes is sound', () => {
    expect(expectSound([publisher(1, 4), reader(1, 4)], 1)).toBeGreaterThan(1000);
  });

  test('of two readers and three publishes is sound', () => {
    expect(
      expectSound([publisher(2, 3), reader(2, 2, { id: 1 }), reader(2, 1, { id: 2 })], 2),
    ).toBeGreaterThan(10_000);
  });

  test('of a reader that dies anywhere, is reaped and replaced is sound', () => {
    const threads = [
      publisher(1, 4),
      reader(1, 2, { mortal: true, id: 1 }),
      reaper(1, 1, 1),
      { ...reader(1, 2, { id: 2 }), after: [1, 2], replaces: 1 },
    ];
    expect(expectSound(threads, 1, 1)).toBeGreaterThan(1000);
  });

  test('of a reader that dies anywhere, never reaped, lets publisher and other reader go on', () => {
    const threads = [publisher(2, 3), reader(2, 1, { mortal: true, id: 1 }), reader(2, 1, { id: 2 })];
    expect(expectSound(threads, 2, 1)).toBeGreaterThan(10_000);
  });

  test('of a publisher that dies anywhere and is replaced gives no generation out twice', () => {
    const threads = [
      publisher(1, 2, { mortal: true }),
      publisher(1, 2, { name: 'next publisher', replaces: 0 }),
      reader(1, 4),
    ];
    expect(expectSound(threads, 1, 1)).toBeGreaterThan(1000);
  });

  test('of two readers that want one seat gives it to one of them', () => {
    const claims: number[] = [];
    const claimant = (id: number): Thread => ({
      name: `claimant ${id}`,
      run: access => {
        try {
          Lease.claim(access, 1, id);
        } catch (error) {
          if (error instanceof CacheError) return;
          throw error;
        }
        access.store(sharedWords(1) + id, 1);
      },
    });
    const judge: Thread = {
      name: 'judge',
      after: [0, 1],
      run: access => {
        const holders = access.load(sharedWords(1) + 1) + access.load(sharedWords(1) + 2);
        claims.push(holders);
        if (holders !== 1) throw new Error(`${holders} hold the seat`);
      },
    };
    const { failure } = explore({ words: sharedWords(1) + 3, threads: [claimant(1), claimant(2), judge] });
    expect(failure).toBeUndefined();
    expect(claims.length).toBeGreaterThan(1);
  });
});

describe('the exploration catches', () => {
  const isLease = (word: number) => word === leaseWord(0) || word === leaseWord(1);
  const mutants: Record<string, readonly Thread[]> = {
    'a reader that does not announce its lease': [
      publisher(1, 4),
      reader(1, 3, {
        mutation: words => ({
          ...bound(words),
          store: (word, value) => (isLease(word) ? undefined : words.store(word, value)),
        }),
      }),
    ],
    'a reader that does not confirm': [
      publisher(1, 4),
      reader(1, 3, {
        mutation: words => {
          let announced: number | undefined;
          return {
            ...bound(words),
            store: (word, value) => {
              words.store(word, value);
              if (isLease(word)) announced = value;
            },
            load: word => {
              const confirmed = announced ?? words.load(word);
              announced = undefined;
              return confirmed;
            },
          };
        },
      }),
    ],
    'a publisher that does not look at the leases': [
      publisher(1, 4, {
        mutation: words => ({ ...bound(words), load: word => (isLease(word) ? 0 : words.load(word)) }),
      }),
      reader(1, 3),
    ],
    'a publisher that would write the current slot': [
      publisher(1, 4, {
        mutation: words => ({ ...bound(words), load: word => (word === 32 ? 0 : words.load(word)) }),
      }),
      reader(1, 3),
    ],
    'a seat that is reaped while its reader lives': [
      publisher(1, 4),
      reader(1, 3),
      { name: 'reaper', run: access => void reapSeats(access, 1, 1) },
    ],
  };

  test.each(Object.keys(mutants))('%s', mutant => {
    const { failure } = explore({ words: sharedWords(1), threads: mutants[mutant]! });
    expect(String(failure?.error)).toMatch(/generation/);
  });

  function bound(words: ControlWords): ControlWords {
    return {
      load: word => words.load(word),
      store: (word, value) => words.store(word, value),
      compareExchange: (word, expected, replacement) => words.compareExchange(word, expected, replacement),
    };
  }
});
