/**
 * Ages on every replica are never below the true ones: whatever was committed before "now less the age" is in
 * the content, also on replicas that hear of it late, sleep, or whose leader sleeps. A row of the table tells
 * what is in: its port counts the commits.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectClient, type PostgresClient } from '../../src/workers/source/postgres/client.ts';
import { figure } from '../support/figures.ts';
import type { AgeSample, FleetProcess } from '../support/fleet-process.ts';
import { FleetScene, untilAsked } from '../support/fleet-scene.ts';
import { until } from '../support/until.ts';

const REPLICAS = 3;
const COMMIT_EVERY_MS = 20;
const FIRST_PORT = 1;
const DELAY_MS = 300;
const NAPS_MAX = 5;
const SAMPLES_MIN = 5;
/** A source that pushes is asked for a sign of life every second or so; an age is of two, and the log's. */
const AGE_WELL_MS = 5_000;

let scene: FleetScene;
let probe: Probe;
beforeAll(async () => {
  scene = await FleetScene.start('redis');
  const { rows } = await scene.postgres.client.query(
    `SELECT encode(id, 'hex') AS id FROM relays WHERE vetted ORDER BY id LIMIT 1`,
  );
  const { id } = rows[0] as { id: string };
  probe = await Probe.start(scene.postgres.connectionString, id);
  await Promise.all(Array.from({ length: REPLICAS }, () => scene.add({ probeId: id })));
  await scene.leader();
  const isIn = ({ fleet }: FleetProcess) => fleet?.digest !== undefined && fleet.lost === undefined;
  await until('all have the table', () => scene.living.every(isIn));
});
afterAll(async () => {
  await probe?.stop();
  await scene?.stop();
});

/** Commits a number into a row, one after the other, and remembers when each had been. */
class Probe {
  readonly #client: PostgresClient;
  readonly #id: string;
  /** When the commit of number i was acknowledged, on the machine's monotonic clock. */
  readonly #committedAtMs: number[] = [];
  #isStopping = false;
  readonly #run: Promise<void>;

  private constructor(client: PostgresClient, id: string) {
    this.#client = client;
    this.#id = id;
    this.#run = this.#commit();
  }

  static async start(connectionString: string, id: string): Promise<Probe> {
    return new Probe(await connectClient(connectionString, 'sortition test'), id);
  }

  get count(): number {
    return this.#committedAtMs.length;
  }

  /** So many more commits. */
  async passes(commits: number): Promise<void> {
    const count = this.count + commits;
    await until(`${commits} commits`, () => this.count >= count);
  }

  /** What is in, at least, by what a sample claims: the last number that had been committed by then. */
  claimed({ atMs, ageMs }: AgeSample): number {
    let low = 0;
    let high = this.#committedAtMs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#committedAtMs[middle]! < atMs - ageMs) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : FIRST_PORT + low - 1;
  }

  /** How old the content really was: since the first commit that it does not have, or 0. */
  trueAgeMs({ atMs, port }: AgeSample): number {
    const missing = this.#committedAtMs[port! - FIRST_PORT + 1];
    return missing === undefined ? 0 : Math.max(0, atMs - missing);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#run;
    await this.#client.end();
  }

  async #commit(): Promise<void> {
    const id = Buffer.from(this.#id, 'hex');
    while (!this.#isStopping) {
      await this.#client.query('UPDATE relays SET port = $1 WHERE id = $2', [FIRST_PORT + this.count, id]);
      this.#committedAtMs.push(Number(process.hrtime.bigint()) / 1e6);
      await delay(COMMIT_EVERY_MS);
    }
  }
}

/** Judges all that was sampled since the last call; returns ages and true ages of each replica. */
async function judged(replicas: readonly FleetProcess[]) {
  // What they have not seen yet is of no use to a later call.
  await probe.passes(5);
  const found: { ageMs: number; trueMs: number }[] = [];
  for (const replica of replicas) {
    const samples = (await replica.ask('samples')).filter(({ port }) => port !== undefined);
    expect(samples.length).toBeGreaterThan(SAMPLES_MIN);
    const lies = samples.filter(sample => sample.port! < probe.claimed(sample));
    expect(lies.slice(0, 3).map(sample => ({ ...sample, claimed: probe.claimed(sample) }))).toEqual([]);
    figure('G5', 'ages held against the true ones', samples.length);
    figure('G5', 'that were too young', lies.length);
    found.push(...samples.map(sample => ({ ageMs: sample.ageMs, trueMs: probe.trueAgeMs(sample) })));
  }
  return found;
}

/** The oldest that the content of one of the samples really was. */
const oldest = (found: readonly { trueMs: number }[]) => Math.max(...found.map(({ trueMs }) => trueMs));
const ageOf = async (replica: FleetProcess) => (await replica.ask('report')).ageMs;

describe('the age that a replica tells is never below the true one', () => {
  test('in a fleet that is well, where it is of seconds at the most', async () => {
    await probe.passes(100);
    const found = await judged(scene.living);
    expect(Math.min(...found.map(({ ageMs }) => ageMs))).toBeLessThan(AGE_WELL_MS);
  });

  test('while the way of a replica to the bus is slow', async () => {
    const [slow] = scene.followers;
    slow!.ways.toBus.delay(DELAY_MS);
    try {
      await probe.passes(100);
      expect(oldest(await judged([slow!]))).toBeGreaterThan(DELAY_MS);
    } finally {
      slow!.ways.toBus.mend();
    }
  });

  test('while the leader sleeps, and after it has woken', async () => {
    const leader = await scene.leader();
    const others = scene.living.filter(replica => replica !== leader);
    leader.pause();
    await until('another one leads', () => others.some(({ isLeader }) => isLeader));
    const found = await judged(others);
    expect(oldest(found)).toBeGreaterThan(1_000);
    leader.resume();
    await until('it follows', () => leader.fleet?.role === 'follower' && leader.fleet.lost === undefined);
    await judged(scene.living);
  });

  test('on a follower that sleeps, right after it has woken', async () => {
    await scene.leader();
    const [sleeper] = scene.followers;
    await judged([sleeper!]);
    let oldestMs = 0;
    // Its loader may be up before the thread that is asked for the age: then it is young again at once.
    for (let naps = 0; naps < NAPS_MAX && oldestMs <= 1_000; naps++) {
      sleeper!.pause();
      await probe.passes(60);
      sleeper!.resume();
      await probe.passes(20);
      oldestMs = oldest(await judged([sleeper!]));
    }
    expect(oldestMs).toBeGreaterThan(1_000);
  });

  test('on a follower that hears nothing, and when it hears again', async () => {
    await scene.leader();
    const [deaf] = scene.followers;
    const oldMs = (await ageOf(deaf!)) + 2_000;
    deaf!.ways.toBus.swallow('toClient');
    try {
      await untilAsked('it is two seconds older', async () => (await ageOf(deaf!)) > oldMs);
      expect(oldest(await judged([deaf!]))).toBeGreaterThan(1_000);
    } finally {
      deaf!.ways.toBus.mend();
    }
    await untilAsked('it is young again', async () => (await ageOf(deaf!)) < oldMs);
    await judged(scene.living);
  });
});
