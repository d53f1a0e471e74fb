/**
 * Every interleaving of the real `Filler`, `Taker` and `reapSlots` in small programs. The bytes of a slot are
 * two words, written one after the other with the number of an answer; every answer has a word in which its
 * use is counted.
 *
 *   whoever takes an answer may find          it may never find
 *   none                                      an answer that somebody has used
 *   an answer nobody has used                 two different answers in one slot, before or after it is sent
 *   an answer of the generation that          an answer of a generation older than one it has seen
 *   is current, or was a moment ago           an answer computed before a revocation that is counted
 *                                             an answer made for another tenant
 */
import { describe, expect, test } from 'vitest';
import { Filler, NO_ANSWER, reapSlots, Taker } from '../../../src/engine/prepared/ring.ts';
import {
  hintWord,
  RING_WORD,
  type RingShape,
  ringWordBytes,
  stateWord,
  tenancyWord,
} from '../../../src/engine/prepared/ring-layout.ts';
import type { ControlWords } from '../../../src/engine/publication.ts';
import { seededBugFound } from '../../support/figures.ts';
import {
  type Access,
  type Exploration,
  explore,
  type Program,
  type Thread,
} from '../../support/interleavings.ts';

/** Changes how a thread reaches the words: the mutants that the exploration must catch. */
type Mutation = (words: ControlWords) => ControlWords;

const UNCHANGED: Mutation = words => words;
const RING = 0;
const ANSWERS_MAX = 8;

/** Behind the words of the ring: what the programs share beside it. */
class Board {
  readonly shape: RingShape;
  readonly #first: number;

  constructor(slots: number) {
    this.shape = { rings: 1, slots, slotBytes: 1024 };
    this.#first = ringWordBytes(this.shape) / 4;
  }

  /** The two words of a slot's bytes. */
  bytes(slot: number): number {
    return this.#first + 2 * slot;
  }

  /** Stands for CURRENT of the control block. */
  get generation(): number {
    return this.#first + 2 * this.shape.slots;
  }

  /** 1 when the revocation can be seen by selections. */
  get revoked(): number {
    return this.generation + 1;
  }

  /** Times that answer `number` was used. */
  used(number: number): number {
    return this.generation + 2 + number;
  }

  /** What the selection of answer `number` saw of the generation. */
  generationOf(number: number): number {
    return this.used(ANSWERS_MAX) + number;
  }

  /** What it saw of the revocation. */
  sawRevoked(number: number): number {
    return this.generationOf(ANSWERS_MAX) + number;
  }

  get words(): number {
    return this.sawRevoked(ANSWERS_MAX);
  }
}

interface Changes extends Partial<Thread> {
  readonly mutation?: Mutation;
}

/** Fills up to `answers.length` slots, with answers of these numbers; a tenancy as in a refill order. */
function filler(
  board: Board,
  answers: readonly number[],
  more: Changes & { id?: number; tenancy?: number } = {},
): Thread {
  const { mutation = UNCHANGED, id = 1, tenancy = 0, ...rest } = more;
  return {
    name: `filler ${id}`,
    run: access => {
      const ring = new Filler(mutation(access), board.shape, id);
      for (const answer of answers) {
        if (ring.tenancy(RING) !== tenancy) return;
        const slot = ring.claim(RING, 0);
        if (slot === NO_ANSWER) return;
        const seen = ring.revocations();
        // The selection: what it finds of the snapshot, and the bytes that it writes.
        const generation = access.load(board.generation);
        access.store(board.generationOf(answer), generation);
        access.store(board.sawRevoked(answer), access.load(board.revoked));
        access.store(board.bytes(slot), answer);
        access.store(board.bytes(slot) + 1, answer);
        ring.publish(RING, slot, { generation, seen, tenancy, start: answer, end: answer + 1 });
      }
    },
    ...rest,
  };
}

interface TakerChanges extends Changes {
  readonly id?: number;
  /** Adopts the ring first, as its owner. */
  readonly adopts?: boolean;
  readonly sendsAfterRelease?: boolean;
}

function taker(board: Board, takes: number, more: TakerChanges = {}): Thread {
  const { mutation = UNCHANGED, id = 11, adopts = false, sendsAfterRelease = false, ...rest } = more;
  return {
    name: `taker ${id}`,
    run: access => {
      const ring = new Taker(mutation(access), board.shape, RING, id);
      if (adopts) ring.adopt();
      let newest = 0;
      const generation = () => {
        newest = access.load(board.generation);
        return newest;
      };
      for (let i = 0; i < takes; i++) {
        const revocations = access.load(RING_WORD.REVOCATIONS);
        const slot = ring.take(generation);
        if (slot === NO_ANSWER) continue;
        const answer = checkedAnswer(access, board, slot, { revocations, newest, foreign: adopts });
        if (ring.start(slot) !== answer) throw new Error(`the words of answer ${answer} are of another`);
        if (sendsAfterRelease) ring.release(slot);
        // The system has read it: its bytes have stood until now.
        if (access.load(board.bytes(slot)) !== answer) throw new Error(`answer ${answer} has changed`);
        if (!sendsAfterRelease) ring.release(slot);
      }
    },
    ...rest,
  };
}

function checkedAnswer(
  access: Access,
  board: Board,
  slot: number,
  { revocations, newest, foreign }: { revocations: number; newest: number; foreign: boolean },
): number {
  const answer = access.load(board.bytes(slot));
  if (access.load(board.bytes(slot) + 1) !== answer) throw new Error(`slot ${slot} holds two answers`);
  if (access.compareExchange(board.used(answer), 0, 1) !== 0)
    throw new Error(`answer ${answer} is used twice`);
  if (foreign) throw new Error(`answer ${answer} is for another tenant`);
  const generation = access.load(board.generationOf(answer));
  if (generation < newest) throw new Error(`answer ${answer} is of generation ${generation} after ${newest}`);
  if (revocations > 0 && access.load(board.sawRevoked(answer)) === 0)
    throw new Error(`answer ${answer} may name a revoked node`);
  return answer;
}

/** Publishes generations, as the loader does. */
function publisher(board: Board, publishes: number): Thread {
  return {
    name: 'publisher',
    run: access => {
      for (let i = 1; i <= publishes; i++) access.store(board.generation, i);
    },
  };
}

/** Revokes: first so that selections see it, then it counts. */
function revoker(board: Board): Thread {
  return {
    name: 'revoker',
    run: access => {
      access.store(board.revoked, 1);
      access.store(RING_WORD.REVOCATIONS, 1);
    },
  };
}

/** Reaps the slots of thread `id`; to be run after its end, as its `exit` event says. */
function reaper(board: Board, dead: number, id: number): Thread {
  return { name: 'reaper', replaces: dead, run: access => void reapSlots(access, board.shape, id) };
}

/** After all others: every slot is free or ready again, and filled to the last. */
function judge(board: Board, after: readonly number[]): Thread {
  return {
    name: 'judge',
    after,
    run: access => {
      for (let slot = 0; slot < board.shape.slots; slot++) {
        const state = access.load(stateWord(board.shape, RING, slot));
        if (state > 1) throw new Error(`slot ${slot} is lost: its state is ${state}`);
      }
    },
  };
}

/** Runs on the few words that a program touches: states are compared by all of their words. */
function exploreCompact(board: Board, threads: readonly Thread[], deathsMax = 0): Exploration {
  const numbers = new Map<number, number>();
  const compact = (word: number) => {
    const number = numbers.get(word) ?? numbers.size;
    numbers.set(word, number);
    return number;
  };
  compact(RING_WORD.REVOCATIONS);
  compact(tenancyWord(board.shape, RING));
  compact(hintWord(board.shape, RING));
  for (let slot = 0; slot < board.shape.slots; slot++)
    for (let word = 0; word < 6; word++) compact(stateWord(board.shape, RING, slot) + word);
  for (let word = board.bytes(0); word < board.words; word++) compact(word);
  const program: Program = {
    words: numbers.size,
    deathsMax,
    threads: threads.map(thread => ({
      ...thread,
      run: access =>
        thread.run({
          load: word => access.load(compact(word)),
          store: (word, value) => access.store(compact(word), value),
          compareExchange: (word, expected, replacement) =>
            access.compareExchange(compact(word), expected, replacement),
        }),
    })),
  };
  return explore(program);
}

function expectSound(board: Board, threads: readonly Thread[], deathsMax = 0): number {
  const { failure, states } = exploreCompact(board, threads, deathsMax);
  if (failure !== undefined) {
    expect.fail(`${String(failure.error)} after\n  ${failure.schedule.join('\n  ')}`);
  }
  return states;
}

describe('every interleaving', () => {
  test('of a filler and a taker is sound', () => {
    const board = new Board(2);
    expect(expectSound(board, [filler(board, [1, 2, 3]), taker(board, 3)])).toBeGreaterThan(500);
  });

  test('of two fillers and a taker is sound', () => {
    const board = new Board(2);
    const threads = [filler(board, [1, 2], { id: 1 }), filler(board, [3], { id: 2 }), taker(board, 2)];
    expect(expectSound(board, threads)).toBeGreaterThan(10_000);
  });

  test('of a filler and two takers uses each answer once', () => {
    const board = new Board(2);
    const threads = [
      filler(board, [1, 2]),
      taker(board, 2, { id: 11 }),
      taker(board, 1, { id: 12 }),
      judge(board, [0, 1, 2]),
    ];
    expect(expectSound(board, threads)).toBeGreaterThan(10_000);
  });

  test('of publishes among them gives no answer of an older generation', () => {
    const board = new Board(1);
    const threads = [publisher(board, 2), filler(board, [1, 2]), taker(board, 3), judge(board, [0, 1, 2])];
    expect(expectSound(board, threads)).toBeGreaterThan(1_000);
  });

  test('of a revocation among them gives no answer from before it', () => {
    const board = new Board(1);
    const threads = [revoker(board), filler(board, [1, 2]), taker(board, 3), judge(board, [0, 1, 2])];
    expect(expectSound(board, threads)).toBeGreaterThan(1_000);
  });

  test('of a new tenant among fillers for the old one gives it none of their answers', () => {
    const board = new Board(2);
    const threads = [
      filler(board, [1, 2], { tenancy: 0 }),
      taker(board, 3, { adopts: true }),
      judge(board, [0, 1]),
    ];
    expect(expectSound(board, threads)).toBeGreaterThan(500);
  });

  test('of a filler that dies anywhere, is reaped and replaced loses no slot', () => {
    const board = new Board(1);
    const threads = [
      filler(board, [1, 2], { id: 1, mortal: true }),
      reaper(board, 0, 1),
      filler(board, [3], { id: 2, after: [0, 1], replaces: 0 }),
      taker(board, 2),
      judge(board, [0, 1, 2, 3]),
    ];
    expect(expectSound(board, threads, 1)).toBeGreaterThan(1_000);
  });

  test('of a taker that dies anywhere, is reaped and replaced loses no slot and uses no answer twice', () => {
    const board = new Board(1);
    const threads = [
      filler(board, [1, 2]),
      taker(board, 2, { id: 11, mortal: true }),
      reaper(board, 1, 11),
      taker(board, 2, { id: 12, after: [1, 2], replaces: 1 }),
      judge(board, [0, 1, 2, 3]),
    ];
    expect(expectSound(board, threads, 1)).toBeGreaterThan(1_000);
  });
});

describe('the exploration catches', () => {
  const one = new Board(1);
  const two = new Board(2);
  const stateOf = (board: Board, slot: number) => stateWord(board.shape, RING, slot);
  const isState = (word: number) => word === stateOf(two, 0) || word === stateOf(two, 1);

  const mutants: Record<string, readonly [board: Board, threads: readonly Thread[], expected: RegExp]> = {
    'a taker that stores where it should exchange': [
      one,
      [filler(one, [1]), taker(one, 1, { id: 11, mutation: storing(isState) }), taker(one, 1, { id: 12 })],
      /used twice/,
    ],
    'a filler that stores where it should exchange': [
      one,
      [
        filler(one, [1], { id: 1, mutation: storing(isState) }),
        filler(one, [2], { id: 2 }),
        taker(one, 2, { id: 11 }),
      ],
      /two answers|used twice|has changed|of another/,
    ],
    'a filler that says ready before it has written': [
      one,
      [filler(one, [1, 2], { mutation: readyAtOnce(stateOf(one, 0)) }), taker(one, 2)],
      /two answers|used twice|has changed|of another/,
    ],
    'a taker that frees the slot before its answer has left': [
      one,
      [filler(one, [1, 2]), taker(one, 2, { sendsAfterRelease: true })],
      /has changed/,
    ],
    'a taker that does not look at the generation': [
      one,
      [publisher(one, 2), filler(one, [1, 2]), taker(one, 3, { mutation: blindTo(one, one.generation) })],
      /generation/,
    ],
    'a filler that reads the revocations after its selection': [
      one,
      [revoker(one), lateFiller(one, 1), taker(one, 3)],
      /revoked/,
    ],
    'a taker that does not look at the revocations': [
      one,
      [revoker(one), filler(one, [1]), taker(one, 2, { mutation: blindTo(one, RING_WORD.REVOCATIONS) })],
      /revoked/,
    ],
    'a taker that takes what was made for another tenant': [
      one,
      [filler(one, [1], { tenancy: 0 }), taker(one, 2, { adopts: true, mutation: anyTenant(one) })],
      /another tenant/,
    ],
    'a slot that is reaped while its filler lives': [
      one,
      [
        filler(one, [1], { id: 1 }),
        filler(one, [2], { id: 2 }),
        { name: 'reaper', run: access => void reapSlots(access, one.shape, 1) },
        taker(one, 2),
      ],
      /two answers|used twice|has changed|of another/,
    ],
    'a slot of a dead filler that nobody reaps': [
      one,
      [filler(one, [1], { id: 1, mortal: true }), judge(one, [0])],
      /lost/,
    ],
  };

  test.each(Object.keys(mutants))('%s', mutant => {
    const [board, threads, expected] = mutants[mutant]!;
    const { failure } = exploreCompact(board, threads, 1);
    expect(String(failure?.error)).toMatch(expected);
    seededBugFound('G2');
  });

  function bound(words: ControlWords): ControlWords {
    return {
      load: word => words.load(word),
      store: (word, value) => words.store(word, value),
      compareExchange: (word, expected, replacement) => words.compareExchange(word, expected, replacement),
    };
  }

  /** An exchange in two steps. */
  function storing(which: (word: number) => boolean): Mutation {
    return words => ({
      ...bound(words),
      compareExchange: (word, expected, replacement) => {
        if (!which(word)) return words.compareExchange(word, expected, replacement);
        const found = words.load(word);
        if (found === expected) words.store(word, replacement);
        return found;
      },
    });
  }

  /** The slot is ready from the moment that it is claimed. */
  function readyAtOnce(state: number): Mutation {
    return words => ({
      ...bound(words),
      compareExchange: (word, expected, replacement) => {
        const found = words.compareExchange(word, expected, replacement);
        if (word === state && found === expected) words.store(word, 1);
        return found;
      },
    });
  }

  /** What is looked up for a comparison is what the slot says: every answer passes. */
  function blindTo(board: Board, word: number): Mutation {
    const said = stateWord(board.shape, RING, 0) + (word === RING_WORD.REVOCATIONS ? 2 : 1);
    return words => ({
      ...bound(words),
      load: asked => {
        if (word === RING_WORD.REVOCATIONS && asked === word) return words.load(said);
        return asked === said && word === board.generation ? words.load(word) : words.load(asked);
      },
    });
  }

  function anyTenant(board: Board): Mutation {
    const said = stateWord(board.shape, RING, 0) + 3;
    return words => ({
      ...bound(words),
      load: asked => (asked === said ? words.load(tenancyWord(board.shape, RING)) : words.load(asked)),
      // Nor does it clear the ring.
      compareExchange: (word, expected, replacement) =>
        expected === 1 && replacement === 0
          ? words.load(word)
          : words.compareExchange(word, expected, replacement),
    });
  }

  function lateFiller(board: Board, answer: number): Thread {
    return {
      name: 'filler',
      run: access => {
        const ring = new Filler(access, board.shape, 1);
        const slot = ring.claim(RING, 0);
        const generation = access.load(board.generation);
        access.store(board.generationOf(answer), generation);
        access.store(board.sawRevoked(answer), access.load(board.revoked));
        access.store(board.bytes(slot), answer);
        access.store(board.bytes(slot) + 1, answer);
        ring.publish(RING, slot, { generation, seen: ring.revocations(), tenancy: 0, start: answer, end: 2 });
      },
    };
  }
});
