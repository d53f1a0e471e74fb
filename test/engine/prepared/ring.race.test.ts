/**
 * Real threads on tiny rings: fillers, takers, an owner that changes the tenant, generations and revocations
 * in a tight loop, and an executioner.
 *
 *   an answer that is taken                                 allowed
 *   whole, used for the first time                          yes
 *   of the generation that this taker took before, or later yes
 *   of two fillers; used before; of an earlier generation   no
 *   from before a revocation that had been counted          no
 *   for another tenant                                      no
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import {
  countRevocation,
  ownedSlots,
  reapSlots,
  reserveRings,
  sharedRingWords,
} from '../../../src/engine/prepared/ring.ts';
import { dataRandom } from '../../support/data-random.ts';
import { SEED } from '../../support/property.ts';
import { newBoard, STRESS_SHAPE, STRESS_WORD, type StressThreadData } from '../../support/ring-stress.ts';
import { until } from '../../support/until.ts';

const WORKER_URL = new URL('../../support/ring-stress-worker.ts', import.meta.url);
const RACE_MS = 4_000;
const TAKEN_MIN = 50_000;
const KILLS_MIN = 12;

/** Ring 0 has two takers for one tenant, ring 1 an owner that changes the tenant; both have two fillers. */
const CREW: readonly (readonly [StressThreadData['role'], number])[] = [
  ['filler', 0],
  ['filler', 0],
  ['taker', 0],
  ['taker', 0],
  ['filler', 1],
  ['filler', 1],
  ['owner', 1],
];

class Stress {
  readonly problems: string[] = [];
  readonly memory = reserveRings(STRESS_SHAPE);
  readonly board = newBoard();
  readonly words = new Int32Array(this.board);
  readonly rings = sharedRingWords(this.memory);
  readonly #workers: Worker[] = [];
  readonly #random = dataRandom(SEED);
  #started = 0;
  #ticking: NodeJS.Timeout | undefined;

  begin(): void {
    for (let member = 0; member < CREW.length; member++) this.#start(member);
    // Often, and not so often that nothing is ever taken.
    this.#ticking = setInterval(() => {
      Atomics.add(this.words, STRESS_WORD.GENERATION, 1);
      if (this.#random(4) !== 0) return;
      Atomics.add(this.words, STRESS_WORD.REVOKED, 1);
      countRevocation(this.rings.words);
    }, 2);
  }

  /** Ends one thread wherever it is, frees its slots after its end, and starts another. */
  async replaceOne(): Promise<void> {
    const member = this.#random(CREW.length);
    const worker = this.#workers[member]!;
    const { threadId } = worker;
    const exited = once(worker, 'exit');
    await worker.terminate();
    await exited;
    reapSlots(this.rings.words, this.rings.shape, threadId);
    this.#start(member);
  }

  async end(): Promise<void> {
    clearInterval(this.#ticking);
    Atomics.store(this.words, STRESS_WORD.STOP, 1);
    await Promise.all(
      this.#workers.map(worker => (worker.threadId === -1 ? undefined : once(worker, 'exit'))),
    );
  }

  count(word: 'FILLED' | 'TAKEN' | 'DROPPED' | 'GENERATION' | 'REVOKED'): number {
    return Atomics.load(this.words, STRESS_WORD[word]);
  }

  get failed(): boolean {
    return this.problems.length > 0;
  }

  #start(member: number): void {
    const [role, ring] = CREW[member]!;
    const seed = SEED + this.#started++;
    const workerData: StressThreadData = { role, ring, memory: this.memory, board: this.board, seed };
    const worker = new Worker(WORKER_URL, { workerData });
    worker.on('message', problem => this.problems.push(`${role} ${member}: ${problem}`));
    worker.on('error', error => this.problems.push(`${role} ${member}: ${(error as Error).stack}`));
    this.#workers[member] = worker;
  }
}

let stress: Stress;
afterEach(() => stress.end());

function say(what: string): void {
  const { rings } = stress;
  console.log(
    `${what}: ${stress.count('TAKEN')} answers taken and checked, of ${stress.count('FILLED')} filled, ` +
      `over ${stress.count('GENERATION')} generations and ${stress.count('REVOKED')} revocations, ` +
      `${rings.shape.rings} rings of ${rings.shape.slots}; SEED=${SEED}`,
  );
}

test('every answer that is taken is whole, good, and used once', async () => {
  stress = new Stress();
  stress.begin();
  const start = performance.now();
  const enough = () => performance.now() - start > RACE_MS && stress.count('TAKEN') > TAKEN_MIN;
  await until('the race is run', () => stress.failed || enough(), 60_000);
  await stress.end();
  say('undisturbed');
  expect(stress.problems).toEqual([]);
  expect(stress.count('DROPPED')).toBeGreaterThan(0);
  expect(ownedSlots(stress.rings.words, stress.rings.shape)).toBe(0);
});

test('threads ended at any point leave the others undisturbed, and no slot is lost', async () => {
  stress = new Stress();
  stress.begin();
  const start = performance.now();
  let kills = 0;
  while (!stress.failed && (performance.now() - start < RACE_MS || kills < KILLS_MIN)) {
    await stress.replaceOne();
    kills++;
    const before = stress.count('TAKEN');
    await until('takers go on', () => stress.failed || stress.count('TAKEN') > before + 100, 30_000);
  }
  await stress.end();
  say(`with ${kills} threads ended`);
  expect(stress.problems).toEqual([]);
  expect(ownedSlots(stress.rings.words, stress.rings.shape)).toBe(0);
});
