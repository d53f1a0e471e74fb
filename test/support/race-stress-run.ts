/**
 * The main thread of the stress of publication: starts readers and publishers, ends them at any point, reaps
 * and replaces them after their `exit` events, and counts.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { leaseWord, ownerWord } from '../../native-layout/control-block.ts';
import { type ControlWords, reapSeats, sharedControlWords } from '../../src/engine/publication.ts';
import { dataRandom } from './data-random.ts';
import { RaceBoard } from './race-board.ts';
import {
  PHASE,
  PUBLISHER_LINE,
  STRESS_LINES,
  STRESS_READERS,
  type StressThreadData,
  stressMemory,
} from './race-stress.ts';
import { until } from './until.ts';

const WORKER_URL = new URL('./race-stress-worker.ts', import.meta.url);
const PUBLICATION_URL = new URL('../../src/engine/publication.ts', import.meta.url).href;
/** A thread is ended so long after its first sign of life, at the most. */
const LIFE_MS_MAX = 4;

export interface StressFigures {
  readonly seconds: number;
  readonly reads: number;
  readonly moves: number;
  readonly publishes: number;
  readonly publisherKills: number;
  /** Of these, between `claimSlot` and `publish`. */
  readonly publisherKillsMidWrite: number;
  readonly readerKills: number;
  /** Of these, inside reads, with their lease standing after their end. */
  readonly readerKillsMidRead: number;
}

export class StressRun {
  readonly problems: string[] = [];
  readonly #memory = stressMemory();
  readonly #board = new RaceBoard(this.#memory.board);
  readonly #random: (n: number) => number;
  readonly #publication: string;
  readonly #seed: number;
  /** By line: the thread at work, the one that waits to replace it, and how many lives have been called. */
  readonly #working: Worker[] = [];
  readonly #waiting: Worker[] = [];
  readonly #lives: number[] = Array(STRESS_LINES).fill(0);
  readonly #start = performance.now();
  /** Threads are started by the hundred: each finds its modules compiled. */
  readonly #compiled = mkdtempSync(join(tmpdir(), 'sortition-compiled-'));
  #publisherKills = 0;
  #publisherKillsMidWrite = 0;
  #readerKills = 0;
  #readerKillsMidRead = 0;

  /** `publication`: the address of publication.ts or of a mutant. */
  constructor({ seed, publication = PUBLICATION_URL }: { seed: number; publication?: string }) {
    this.#seed = seed;
    this.#random = dataRandom(seed);
    this.#publication = publication;
  }

  get failed(): boolean {
    return this.problems.length > 0;
  }

  async begin(): Promise<void> {
    for (let line = 0; line < STRESS_LINES; line++) this.#prepare(line);
    await this.#replace(PUBLISHER_LINE);
    for (let line = 0; line < STRESS_READERS; line++) await this.#replace(line);
  }

  /** Ends a thread, three publishers to two readers, wherever it is, and has another take its place. */
  async killOne(): Promise<void> {
    const line = this.#random(5) < 3 ? PUBLISHER_LINE : this.#random(STRESS_READERS);
    const lived = performance.now() + (this.#random(1000) / 1000) * LIFE_MS_MAX;
    await until('the moment has come', () => performance.now() > lived);
    const worker = this.#working[line]!;
    const { threadId } = worker;
    const exited = once(worker, 'exit');
    await worker.terminate();
    await exited;
    const busy = this.#board.phase(line) === PHASE.BUSY;
    if (line === PUBLISHER_LINE) {
      this.#publisherKills++;
      if (busy) this.#publisherKillsMidWrite++;
    } else {
      const { words, seats } = sharedControlWords(this.#memory.control);
      this.#readerKills++;
      if (busy && hasLease(words, seats, threadId)) this.#readerKillsMidRead++;
      reapSeats(words, seats, threadId);
    }
    this.#board.enter(line, PHASE.IDLE);
    await this.#replace(line);
  }

  async end(): Promise<void> {
    this.#board.stop();
    await Promise.all(
      this.#working.map(worker => (worker.threadId === -1 ? undefined : once(worker, 'exit'))),
    );
    await Promise.all(this.#waiting.map(worker => worker.terminate()));
    rmSync(this.#compiled, { recursive: true, force: true });
  }

  figures(): StressFigures {
    let reads = 0;
    let moves = 0;
    for (let line = 0; line < STRESS_READERS; line++) {
      const counts = this.#board.counts(line);
      reads += counts.reads;
      moves += counts.moves;
    }
    return {
      seconds: (performance.now() - this.#start) / 1000,
      reads,
      moves,
      publishes: this.#board.counts(PUBLISHER_LINE).moves,
      publisherKills: this.#publisherKills,
      publisherKillsMidWrite: this.#publisherKillsMidWrite,
      readerKills: this.#readerKills,
      readerKillsMidRead: this.#readerKillsMidRead,
    };
  }

  /** Calls the thread that waits at `line`, has the next one wait, and resolves when the called one works. */
  async #replace(line: number): Promise<void> {
    const before = this.#board.counts(line);
    this.#working[line] = this.#waiting[line]!;
    this.#board.call(line, ++this.#lives[line]!);
    this.#prepare(line);
    await until(`the new thread of line ${line} works`, () => {
      const now = this.#board.counts(line);
      return now.reads + now.moves > before.reads + before.moves || this.failed;
    });
  }

  #prepare(line: number): void {
    const life = this.#lives[line]! + 1;
    const workerData: StressThreadData = {
      ...this.#memory,
      publication: this.#publication,
      line,
      life,
      seed: this.#seed + life * STRESS_LINES + line,
    };
    const worker = new Worker(WORKER_URL, {
      workerData,
      env: { ...process.env, NODE_COMPILE_CACHE: this.#compiled },
    });
    const name = line === PUBLISHER_LINE ? 'publisher' : `reader ${line}`;
    worker.on('message', problem => this.problems.push(`${name}: ${problem}`));
    worker.on('error', error => this.problems.push(`${name}: ${(error as Error).stack}`));
    this.#waiting[line] = worker;
  }
}

/** The thread has a seat, and in it a lease. */
function hasLease(words: ControlWords, seats: number, threadId: number): boolean {
  for (let seat = 0; seat < seats; seat++) {
    if (words.load(ownerWord(seat)) === threadId + 1) return words.load(leaseWord(seat)) !== 0;
  }
  return false;
}
