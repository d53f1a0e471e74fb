/**
 * Real threads on one tiny cache: a publisher in a tight loop, readers that check every answer, and an
 * executioner.
 *
 *   a reader's answer                                              allowed
 *   rows, counts, texts, index of one generation                   yes
 *   a generation that this reader has seen before, or a later one  yes
 *   anything of two generations; an earlier generation; a throw    no
 *
 *   the publisher                                                  allowed
 *   publishes on, whoever dies                                     yes
 *   finds no free slot; gives a generation out again               no
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, test } from 'vitest';
import type { KernelKind } from '../../src/engine/kernel/kernel.ts';
import { placementPlan } from '../../src/engine/placement/placement-plan.ts';
import { reapSeats, sharedControlWords, takenSeats } from '../../src/engine/publication.ts';
import { reserveMemory, type SharedMemory, slotLayout } from '../../src/engine/shared-memory.ts';
import { dataRandom } from '../support/data-random.ts';
import { wasmModule } from '../support/local-cache.ts';
import { SEED } from '../support/property.ts';
import { RACE_NODES, RACE_READERS, RaceBoard, type RaceThreadData } from '../support/race-board.ts';
import { until } from '../support/until.ts';

const PUBLISHER_URL = new URL('../support/race-publisher-worker.ts', import.meta.url);
const READER_URL = new URL('../support/race-reader-worker.ts', import.meta.url);
const PUBLISHER_LINE = RACE_READERS;

/** Reads that each test checks at the least, within its time. */
const READS_MIN = 300_000;
const MOVES_MIN = 1_000;
const RACE_MS = 4_000;
/** On a machine that others use too. */
const RACE_MS_MAX = 180_000;
const KILLS_MIN = 12;
const WRITER_KILLS_MIN = 4;

class Race {
  readonly board = RaceBoard.create(RACE_READERS + 1);
  readonly problems: string[] = [];
  readonly workers: (Worker | undefined)[] = [];
  readonly #kernel: WebAssembly.Module | undefined;
  readonly #memory: SharedMemory;
  readonly #random = dataRandom(SEED);
  /** Threads are started again and again: each finds its modules compiled. */
  readonly #compiled = mkdtempSync(join(tmpdir(), 'sortition-compiled-'));
  #started = 0;

  constructor(kernel: KernelKind = 'wasm') {
    this.#kernel = kernel === 'wasm' ? wasmModule() : undefined;
    const plan = placementPlan({ placements: {}, distinctAttributes: [] });
    this.#memory = reserveMemory(slotLayout(RACE_NODES, plan), RACE_READERS, kernel === 'wasm');
  }

  start(line: number): void {
    const workerData: RaceThreadData = {
      memory: this.#memory,
      kernel: this.#kernel,
      board: this.board.shared,
      line,
      seed: SEED + this.#started++,
    };
    const worker = new Worker(line === PUBLISHER_LINE ? PUBLISHER_URL : READER_URL, {
      workerData,
      env: { ...process.env, NODE_COMPILE_CACHE: this.#compiled },
    });
    const name = line === PUBLISHER_LINE ? 'publisher' : `reader ${line}`;
    worker.on('message', problem => this.problems.push(`${name}: ${problem}`));
    worker.on('error', error => this.problems.push(`${name}: ${(error as Error).stack}`));
    this.workers[line] = worker;
  }

  /** Starts all and resolves when every thread has done something. */
  async begin(): Promise<void> {
    this.start(PUBLISHER_LINE);
    await until('the publisher publishes', () => this.#hasMoved(PUBLISHER_LINE, 0) || this.failed);
    for (let line = 0; line < RACE_READERS; line++) this.start(line);
    for (let line = 0; line < RACE_READERS; line++) {
      await until(`reader ${line} reads`, () => this.#hasMoved(line, 0) || this.failed);
    }
  }

  /** Ends a thread wherever it is, frees its seat after its end, and starts another that gets to work. */
  async replace(line: number): Promise<void> {
    const worker = this.workers[line]!;
    const { threadId } = worker;
    const exited = once(worker, 'exit');
    await worker.terminate();
    await exited;
    const { words, seats } = sharedControlWords(this.#memory.control);
    if (line !== PUBLISHER_LINE) reapSeats(words, seats, threadId);
    const before = this.board.counts(line);
    this.start(line);
    const reported = before.reads + before.moves;
    await until(`the new thread ${line} works`, () => this.#hasMoved(line, reported) || this.failed);
  }

  async end(): Promise<void> {
    this.board.stop();
    await Promise.all(
      this.workers.map(worker => (worker?.threadId === -1 ? undefined : once(worker!, 'exit'))),
    );
    rmSync(this.#compiled, { recursive: true, force: true });
  }

  get failed(): boolean {
    return this.problems.length > 0;
  }

  get takenSeats(): number {
    const { words, seats } = sharedControlWords(this.#memory.control);
    return takenSeats(words, seats);
  }

  random(n: number): number {
    return this.#random(n);
  }

  /** Reads, rows and changes of generation that all readers have checked. */
  readerCounts(): { reads: number; rows: number; moves: number } {
    const sum = { reads: 0, rows: 0, moves: 0 };
    for (let line = 0; line < RACE_READERS; line++) {
      const { reads, rows, moves } = this.board.counts(line);
      sum.reads += reads;
      sum.rows += rows;
      sum.moves += moves;
    }
    return sum;
  }

  #hasMoved(line: number, beyond: number): boolean {
    const { reads, moves } = this.board.counts(line);
    return reads + moves > beyond;
  }
}

describe('publication between threads', () => {
  const figures: string[] = [];
  afterAll(() => console.log(figures.join('\n')));

  const say = (what: string, race: Race) => {
    const { reads, rows, moves } = race.readerCounts();
    const { moves: published } = race.board.counts(PUBLISHER_LINE);
    figures.push(
      `${what}: ${reads} reads of ${rows} rows checked, ${published} generations published, ` +
        `${moves} times a reader moved on; SEED=${SEED}`,
    );
  };

  test(
    'every answer is of one whole generation, and generations never go back',
    async () => {
      const race = new Race();
      await race.begin();
      const start = performance.now();
      const done = () => {
        const { reads, moves } = race.readerCounts();
        return performance.now() - start > RACE_MS && reads > READS_MIN && moves > MOVES_MIN;
      };
      await until('the race is run', () => race.failed || done(), RACE_MS_MAX);
      await race.end();
      say('undisturbed', race);
      expect(race.problems).toEqual([]);
      expect(race.takenSeats).toBe(0);
    },
    2 * RACE_MS_MAX,
  );

  test(
    'readers and publishers ended at any point leave the others undisturbed',
    async () => {
      const race = new Race();
      await race.begin();
      const start = performance.now();
      const published = () => race.board.counts(PUBLISHER_LINE);
      let kills = 0;
      let writerKills = 0;
      const enough = () => kills >= KILLS_MIN && writerKills >= WRITER_KILLS_MIN;
      while (!race.failed && (performance.now() - start < RACE_MS || !enough())) {
        const before = published().generation;
        const line = race.random(RACE_READERS + 1);
        await race.replace(line);
        if (line === PUBLISHER_LINE) writerKills++;
        else kills++;
        expect(published().generation).toBeGreaterThanOrEqual(before);
        await until('the publisher goes on', () => race.failed || published().generation > before);
      }
      const left = race.takenSeats;
      await race.end();
      say(`with ${kills} readers and ${writerKills} publishers ended`, race);
      expect(race.problems).toEqual([]);
      expect(left).toBe(RACE_READERS);
      expect(race.takenSeats).toBe(0);
    },
    2 * RACE_MS_MAX,
  );
});
