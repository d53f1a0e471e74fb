/**
 * Small programs over `Publisher`, `Lease` and `reapSeats`, to be run in every order (interleavings.ts). A
 * slot is two words, written one after the other with the generation.
 *
 *   a reader may see                      it may never see
 *   nothing published                     two generations in one slot
 *   the same generation again             an earlier generation than before
 *   a later one, when its lease has moved nothing, after something; another generation under an unmoved lease
 *
 *   a publisher may                       it may never
 *   die anywhere, also between two        find no slot
 *   stores, and be replaced               be given the number of a generation that is published already
 *
 *   when all have ended                   there is no
 *   all seats are free                    lease in a seat
 */
import { controlBytes, leaseWord, ownerWord, slotCountFor } from '../../native-layout/control-block.ts';
import type * as publication from '../../src/engine/publication.ts';
import type { Access, Program, Thread } from './interleavings.ts';

/** The module under test: the real one, or one of its mutants. */
export type Publication = typeof publication;

/** Control words first, then two words a slot. */
function slotWord(seats: number, slot: number): number {
  return controlBytes(seats) / 4 + 2 * slot;
}

export function sharedWords(seats: number): number {
  return slotWord(seats, slotCountFor(seats));
}

/** Makes the threads of programs that share `seats` seats. */
export class PublicationPrograms {
  readonly #code: Publication;
  readonly #seats: number;

  constructor(code: Publication, seats: number) {
    this.#code = code;
    this.#seats = seats;
  }

  program(threads: readonly Thread[], deathsMax = 0): Program {
    return { words: sharedWords(this.#seats), threads, deathsMax, atEnd: load => this.#judgeSeats(load) };
  }

  publisher(publishes: number, more: Partial<Thread> = {}): Thread {
    return {
      name: 'publisher',
      run: access => {
        const writer = new this.#code.Publisher(access, this.#seats);
        for (let i = 0; i < publishes; i++) {
          const slot = writer.claimSlot();
          const generation = writer.nextGeneration();
          if (more.replaces !== undefined && i === 0)
            this.#checkNumber(access, writer.currentSlot(), generation);
          access.store(slotWord(this.#seats, slot), generation);
          access.store(slotWord(this.#seats, slot) + 1, generation);
          writer.publish(slot, generation);
        }
      },
      ...more,
    };
  }

  reader(id: number, reads: number, more: Partial<Thread> = {}): Thread {
    return {
      name: `reader ${id}`,
      run: access => {
        const lease = this.#code.Lease.claim(access, this.#seats, id);
        let newest = 0;
        for (let i = 0; i < reads; i++) newest = this.#checkedRead(access, lease, newest);
        lease.release();
      },
      ...more,
    };
  }

  /** Reaps the seats of thread `id`; runs after its end, as its `exit` event says. */
  reaper(dead: number, id: number): Thread {
    return {
      name: 'reaper',
      replaces: dead,
      run: access => void this.#code.reapSeats(access, this.#seats, id),
    };
  }

  /** The first number of a new publisher is above that of what is published. */
  #checkNumber(access: Access, current: number, generation: number): void {
    if (current === this.#code.NO_SLOT) return;
    const published = access.load(slotWord(this.#seats, current));
    if (generation <= published) throw new Error(`generation ${generation} is given out after ${published}`);
  }

  #checkedRead(access: Access, lease: publication.Lease, newest: number): number {
    const moves = lease.moves;
    const slot = lease.acquire();
    if (slot === this.#code.NO_SLOT) {
      if (newest > 0) throw new Error(`nothing after generation ${newest}`);
      return 0;
    }
    const first = access.load(slotWord(this.#seats, slot));
    const second = access.load(slotWord(this.#seats, slot) + 1);
    if (first !== second) throw new Error(`slot ${slot} holds generations ${first} and ${second}`);
    if (first === 0) throw new Error(`slot ${slot} was never written: no generation`);
    if (first < newest) throw new Error(`generation ${first} after ${newest}`);
    if (first !== newest && lease.moves === moves) throw new Error(`generation ${first} without a move`);
    return first;
  }

  /** Programs end with all readers released or reaped. */
  #judgeSeats(load: Access['load']): void {
    for (let seat = 0; seat < this.#seats; seat++) {
      const [owner, lease] = [load(ownerWord(seat)), load(leaseWord(seat))];
      if (owner !== 0 || lease !== 0)
        throw new Error(`seat ${seat} has owner ${owner} and lease ${lease} at the end`);
    }
  }
}

/** What there is to run: two readers at a time, and three publishes or four, at the most. */
export function publicationPrograms(code: Publication) {
  const one = new PublicationPrograms(code, 1);
  const two = new PublicationPrograms(code, 2);
  return {
    'a reader and four publishes': one.program([one.publisher(4), one.reader(1, 4)]),
    'two readers and three publishes': two.program([two.publisher(3), two.reader(1, 3), two.reader(2, 2)]),
    'a reader that dies anywhere and is reaped, a reader, and three publishes': two.program(
      [two.publisher(3), two.reader(1, 1, { mortal: true }), two.reader(2, 1), two.reaper(1, 1)],
      1,
    ),
    'a reader that dies anywhere, is reaped and replaced, a reader, and three publishes': two.program(
      [
        two.publisher(3),
        two.reader(1, 1, { mortal: true }),
        two.reader(2, 1),
        two.reaper(1, 1),
        two.reader(3, 1, { after: [3], replaces: 1 }),
      ],
      1,
    ),
    'a publisher that dies anywhere, the next one, two readers, and three publishes': two.program(
      [
        two.publisher(2, { mortal: true }),
        two.reader(1, 1),
        two.reader(2, 1),
        two.publisher(2, { name: 'next publisher', replaces: 0 }),
      ],
      1,
    ),
    'a publisher and a reader that die anywhere, the next publisher, and a reader': two.program(
      [
        two.publisher(2, { mortal: true }),
        two.reader(1, 1, { mortal: true }),
        two.reader(2, 1),
        two.reaper(1, 1),
        two.publisher(1, { name: 'next publisher', replaces: 0 }),
      ],
      2,
    ),
  } satisfies Record<string, Program>;
}

export type ProgramName = keyof ReturnType<typeof publicationPrograms>;
