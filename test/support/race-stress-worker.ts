/**
 * Entry of a thread of the stress of publication: a reader or the publisher, on the real `Lease` and
 * `Publisher`, in a tight loop. Posts the first thing that is wrong and ends; ends silently when told to
 * stop.
 */
import { parentPort, threadId, workerData } from 'node:worker_threads';
import type { ControlWords } from '../../src/engine/publication.ts';
import { dataRandom } from './data-random.ts';
import type { Publication } from './publication-programs.ts';
import { RaceBoard } from './race-board.ts';
import {
  HEAD,
  PHASE,
  PUBLISHER_LINE,
  ROW_WORDS,
  ROWS,
  SLOT_WORDS,
  type StressThreadData,
  wordOf,
} from './race-stress.ts';

const data = workerData as StressThreadData;
const { line, life } = data;
const { Lease, NO_SLOT, Publisher, sharedControlWords } = (await import(data.publication)) as Publication;
const board = new RaceBoard(data.board);
const random = dataRandom(data.seed);
const slots = data.slots.map(slot => new Int32Array(slot));
const { words: real, seats } = sharedControlWords(data.control);
const bed = new Int32Array(new SharedArrayBuffer(4));

/** Reads between two looks at the board. */
const BATCH_READS = 16_384;
/** A pause between two accesses, at the most. A reader has one in the middle of a row once in a batch. */
const PAUSE_MS = 0.2;
/** Publishes without a rest, at the most. */
const BURST_PUBLISHES = 24;
const REST_MS = 1;
const HALF = ROW_WORDS / 2;

/** Stops the whole thread: nobody ever notifies. */
function pause(longestMs: number): void {
  Atomics.wait(bed, 0, 0, (random(1000) / 1000) * longestMs);
}

/** Stores are where the races are: there the thread stops now and then, before it or behind it. */
const words: ControlWords = {
  ...real,
  store: (word, value) => {
    const where = random(128);
    if (where === 0) pause(PAUSE_MS);
    real.store(word, value);
    if (where === 1) pause(PAUSE_MS);
  },
};

/** Nonzero when half a row, from `at`, is not of a generation whose words are `base` and their place. */
function halfRow(slot: Int32Array, at: number, base: number): number {
  let wrong = 0;
  for (let i = at; i < at + HALF; i++) wrong |= slot[i]! ^ ((base + i) | 0);
  return wrong;
}

class StressReader {
  readonly #lease = Lease.claim(words, seats, threadId);
  /** What this line has seen in its former lives counts too. */
  #newest = board.counts(line).generation;
  /** Of the publisher that wrote the newest; 0: not known. */
  #newestLife = 0;

  run(): string | undefined {
    while (!board.stopped) {
      const before = this.#lease.moves;
      board.enter(line, PHASE.BUSY);
      const problem = this.#batch();
      board.enter(line, PHASE.IDLE);
      if (problem !== undefined) return problem;
      const moves = this.#lease.moves - before;
      board.report(line, { reads: BATCH_READS, rows: BATCH_READS, moves, generation: this.#newest });
    }
    this.#lease.release();
    return undefined;
  }

  #batch(): string | undefined {
    const lease = this.#lease;
    const dawdles = random(BATCH_READS);
    let [newest, newestLife] = [this.#newest, this.#newestLife];
    for (let read = 0; read < BATCH_READS; read++) {
      const number = lease.acquire();
      if (number === NO_SLOT) return 'nothing is published';
      const slot = slots[number]!;
      const generation = slot[HEAD.GENERATION]!;
      const writer = slot[HEAD.LIFE]!;
      if (generation !== newest || writer !== newestLife) {
        if (generation < newest) return `generation ${generation} comes after ${newest}`;
        if (generation === newest && newestLife !== 0) {
          return `generation ${generation} is of publishers ${newestLife} and ${writer}`;
        }
        newest = generation;
        newestLife = writer;
      }
      const base = wordOf(generation, writer, 0);
      const at = ROW_WORDS * (1 + (read & (ROWS - 1)));
      let wrong = halfRow(slot, at, base);
      if (read === dawdles) pause(PAUSE_MS);
      wrong |= halfRow(slot, at + HALF, base);
      if (wrong !== 0) return `row ${at / ROW_WORDS} of slot ${number} is not of generation ${generation}`;
    }
    this.#newest = newest;
    this.#newestLife = newestLife;
    return undefined;
  }
}

function publish(): undefined {
  const publisher = new Publisher(words, seats);
  while (!board.stopped) {
    const burst = 1 + random(BURST_PUBLISHES);
    let generation = 0;
    for (let publishes = 0; publishes < burst; publishes++) {
      board.enter(line, PHASE.BUSY);
      const number = publisher.claimSlot();
      generation = publisher.nextGeneration();
      const slot = slots[number]!;
      slot[HEAD.GENERATION] = generation;
      slot[HEAD.LIFE] = life;
      const base = wordOf(generation, life, 0);
      const rests = random(4 * SLOT_WORDS);
      for (let at = ROW_WORDS; at < SLOT_WORDS; at++) {
        slot[at] = base + at;
        if (at === rests) pause(PAUSE_MS);
      }
      publisher.publish(number, generation);
      board.enter(line, PHASE.IDLE);
    }
    board.report(line, { reads: 0, rows: burst * ROWS, moves: burst, generation });
    pause(REST_MS);
  }
  return undefined;
}

board.awaitCall(line, life);
const problem = line === PUBLISHER_LINE ? publish() : new StressReader().run();
if (problem !== undefined) parentPort!.postMessage(problem);
