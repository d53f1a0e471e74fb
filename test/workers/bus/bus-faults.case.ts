/**
 * The part of the suite of buses that is about harm: servers that end, freeze, or forget, and networks that
 * cut, swallow and delay. The server is real, and so is the proxy between it and the bus.
 */
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { type Bus, BusError, LOG_START, type LogRecord } from '../../../src/workers/bus/bus.ts';
import {
  type BusPart,
  type BusSubject,
  codeOf,
  Follower,
  untilAvailable,
} from '../../support/bus-subject.ts';
import { dataRandom } from '../../support/data-random.ts';
import { SEED } from '../../support/property.ts';
import { TcpFaultProxy } from '../../support/tcp-fault-proxy.ts';
import { until } from '../../support/until.ts';
import { at, newFleet, record } from './bus-log.case.ts';

const KEEP_MS = 600_000;
/** As short as a machine bears that is busy with other tests; what is not about them is tried again. */
const TIMES = { timeoutMs: 1_000, pingEveryMs: 300 };
/** How late things may be here: two processors that are shared. */
const LATE_MS = 5_000;
/** What a follower may need to notice silence: it waits for news, and then asks. */
const SILENCE_MS = TIMES.pingEveryMs + 2 * TIMES.timeoutMs;
const RECORD_COUNT = 2_000;
const WRITTEN_COUNT = 150;
const EXIT_MS = 20_000;

interface Stage {
  readonly fleet: string;
  /** Through the proxy. */
  readonly bus: Bus;
  /** Straight to the server. */
  readonly direct: Bus;
  readonly proxy: TcpFaultProxy;
  follow(bus: Bus): Follower;
}

export function testFaults(subject: () => BusSubject): void {
  const ends: (() => Promise<void>)[] = [];
  const stage = async (): Promise<Stage> => {
    const server = subject().server!;
    const proxy = await TcpFaultProxy.open(() => server.address);
    const fleet = newFleet();
    const bus = await subject().open({ fleet, at: proxy, ...TIMES });
    const direct = await subject().open({ fleet });
    ends.push(
      () => bus.close(),
      () => direct.close(),
      () => proxy.close(),
    );
    const follow = (followed: Bus) => {
      const follower = new Follower(followed, LOG_START);
      ends.unshift(() => follower.stop());
      return follower;
    };
    return { fleet, bus, direct, proxy, follow };
  };

  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
  });

  testAbsence(stage);
  testSilence(subject, stage);
  testRestarts(subject, stage);
  testCuts(stage);
  testProcess(subject, stage);
}

/** As a leader writes: what failed may have been done all the same. */
export async function appendSurely(bus: Bus, each: LogRecord): Promise<void> {
  await untilAvailable(async () => {
    try {
      await bus.append(each);
    } catch (error) {
      if (!(error instanceof BusError) || error.code !== 'BUS_FENCED') throw error;
      expect(await untilAvailable(() => bus.last())).toEqual(each.position);
    }
  });
}

function testAbsence(stage: () => Promise<Stage>): void {
  test('says that the engine is away, and works as soon as it is there', async () => {
    const { bus, proxy } = await stage();
    proxy.refuse();
    for (const call of [bus.last(), bus.append(record(1, 0)), bus.getBlob('x'), bus.beats()]) {
      const start = performance.now();
      expect(await codeOf(call)).toBe('BUS_UNAVAILABLE');
      expect(performance.now() - start).toBeLessThan(TIMES.timeoutMs + LATE_MS);
    }
    expect(await codeOf(bus.follow(LOG_START, new AbortController().signal).next())).toBe('BUS_UNAVAILABLE');
    proxy.mend();
    await appendSurely(bus, record(1, 0));
    expect(await untilAvailable(() => bus.last())).toEqual(at(1, 0));
  });

  test('does not storm an engine that is away', async () => {
    const { bus, proxy, follow } = await stage();
    proxy.refuse();
    follow(bus);
    const deadline = performance.now() + 1_500;
    while (performance.now() < deadline) await codeOf(bus.last());
    // Two kinds of connections, each after pauses that are drawn from 50, 100, 200 … ms.
    expect(proxy.acceptedCount).toBeLessThan(60);
  });

  test('works over a slow network', async () => {
    const { bus, proxy, follow } = await stage();
    proxy.delay(15);
    const follower = follow(bus);
    await appendSurely(bus, record(1, 0));
    await until('the record', () => follower.records.length === 1);
  });
}

function testSilence(subject: () => BusSubject, stage: () => Promise<Stage>): void {
  type Harm = { harm(proxy: TcpFaultProxy): unknown; undo(proxy: TcpFaultProxy): unknown };
  const mend = (proxy: TcpFaultProxy) => proxy.mend();
  const harms: Record<string, Harm> = {
    'the server is frozen': {
      harm: () => subject().server!.freeze(),
      undo: () => subject().server!.thaw(),
    },
    'nothing comes through': { harm: proxy => proxy.swallow('both'), undo: mend },
    'nothing reaches the server': { harm: proxy => proxy.swallow('toServer'), undo: mend },
    'nothing comes back': { harm: proxy => proxy.swallow('toClient'), undo: mend },
    'the network stands still': { harm: proxy => proxy.stall('both'), undo: mend },
  };

  test.each(Object.keys(harms))('notices within its limits that %s, and recovers', async name => {
    const { bus, direct, proxy, follow } = await stage();
    const { harm, undo } = harms[name]!;
    const follower = follow(bus);
    await appendSurely(bus, record(1, 0));
    await until('the first record', () => follower.records.length === 1);
    try {
      await harm(proxy);
      const start = performance.now();
      const brokenCount = follower.brokenCount;
      expect(await codeOf(bus.append(record(1, 1)))).toBe('BUS_UNAVAILABLE');
      expect(performance.now() - start).toBeLessThan(TIMES.timeoutMs + LATE_MS);
      await until('the follower notices', () => follower.brokenCount > brokenCount, SILENCE_MS + LATE_MS);
    } finally {
      await undo(proxy);
    }
    await appendSurely(bus, record(1, 1));
    await appendSurely(direct, record(1, 2));
    await until('all records', () => follower.records.length >= 3);
    expect(follower.positions).toEqual(['1-0', '1-1', '1-2']);
    expect(follower.error).toBeUndefined();
  });

  test('gives up a dead connection that nobody uses', async () => {
    const { bus, proxy } = await stage();
    await appendSurely(bus, record(1, 0));
    const { leftCount } = proxy;
    proxy.swallow('toClient');
    const limitMs = TIMES.pingEveryMs + TIMES.timeoutMs + LATE_MS;
    await until('the bus leaves', () => proxy.leftCount > leftCount, limitMs);
  });

  test('closes in the middle of silence', async () => {
    const { bus, proxy, follow } = await stage();
    const follower = follow(bus);
    await appendSurely(bus, record(1, 0));
    await until('the first record', () => follower.records.length === 1);
    proxy.swallow('both');
    const call = codeOf(bus.append(record(1, 1)));
    const start = performance.now();
    await bus.close();
    await follower.ended;
    expect(await call).toBe('BUS_UNAVAILABLE');
    expect(performance.now() - start).toBeLessThan(1_000 + LATE_MS);
  });
}

function testRestarts(subject: () => BusSubject, stage: () => Promise<Stage>): void {
  test('goes on after a restart of the server, with all that was there', async () => {
    const { bus, proxy, follow } = await stage();
    const follower = follow(bus);
    for (let seq = 0; seq < 20; seq++) await appendSurely(bus, record(1, seq));
    await untilAvailable(() => bus.putBlob('snapshot', new Uint8Array(2_000_000).fill(7), KEEP_MS));
    await untilAvailable(() => bus.point({ position: at(1, 19), bytes: Buffer.from('snapshot') }));
    await until('the first records', () => follower.records.length === 20);
    await subject().server!.restart();
    // Sessions of the old server; those of Postgres end with it, the proxy's may be half open.
    proxy.cut();
    for (let seq = 20; seq < 40; seq++) await appendSurely(bus, record(1, seq));
    await until('all records', () => follower.records.length === 40);
    expect(follower.positions).toEqual(Array.from({ length: 40 }, (_, seq) => `1-${seq}`));
    expect(follower.brokenCount).toBeGreaterThan(0);
    expect((await untilAvailable(() => bus.pointer()))?.position).toEqual(at(1, 19));
    expect((await untilAvailable(() => bus.getBlob('snapshot')))?.byteLength).toBe(2_000_000);
  });

  test('says so when the server has lost everything, and begins anew', async () => {
    const { fleet, bus, follow } = await stage();
    const follower = follow(bus);
    for (let seq = 0; seq < 5; seq++) await appendSurely(bus, record(8, seq));
    await untilAvailable(() => bus.point({ position: at(8, 4), bytes: Buffer.from('gone') }));
    await until('the first records', () => follower.records.length === 5);
    await subject().server!.wipe(fleet);
    await follower.ended;
    expect(follower.error?.code).toBe('BUS_GAP');
    expect(await untilAvailable(() => bus.last())).toBeUndefined();
    expect(await untilAvailable(() => bus.pointer())).toBeUndefined();
    // Of the old epochs nothing is left that could refuse a lower one.
    await appendSurely(bus, record(2, 0));
    const newcomer = follow(bus);
    await until('the new record', () => newcomer.positions.join() === '2-0');
  });

  test('says so when the log was lost and is longer again than it was', async () => {
    const { fleet, bus, follow } = await stage();
    const follower = follow(bus);
    for (let seq = 0; seq < 3; seq++) await appendSurely(bus, record(1, seq));
    await until('the first records', () => follower.records.length === 3);
    const after = at(1, 2);
    await follower.stop();
    await subject().server!.wipe(fleet);
    for (let seq = 0; seq < 6; seq++) await appendSurely(bus, record(2, seq));
    const late = new Follower(bus, after);
    await late.ended;
    expect(late.error?.code).toBe('BUS_GAP');
    expect(late.records).toEqual([]);
  });
}

function testCuts(stage: () => Promise<Stage>): void {
  test(`gives ${RECORD_COUNT} records without a hole while connections are cut at random`, async () => {
    const { direct, bus, proxy, follow } = await stage();
    const random = dataRandom(SEED);
    proxy.cutRandomly({ share: 0.2, random: () => random(2 ** 32) / 2 ** 32, unharmedBytesMax: 20_000 });
    await direct.append(record(1, 0));
    const follower = follow(bus);
    for (let seq = 1; seq < RECORD_COUNT; seq++) await direct.append(record(1, seq));
    await until('all records', () => follower.records.length >= RECORD_COUNT, 40_000);
    expect(follower.positions).toEqual(Array.from({ length: RECORD_COUNT }, (_, seq) => `1-${seq}`));
    expect(follower.error).toBeUndefined();
    expect(proxy.cutCount).toBeGreaterThan(0);
  });

  test('writes each record once while the connections of the leader are cut at random', async () => {
    const { direct, bus, proxy, follow } = await stage();
    const random = dataRandom(SEED);
    await untilAvailable(() => bus.last());
    const follower = follow(direct);
    proxy.cutRandomly({ share: 0.2, random: () => random(2 ** 32) / 2 ** 32, unharmedBytesMax: 20_000 });
    for (let seq = 0; seq < WRITTEN_COUNT; seq++) await appendSurely(bus, record(1, seq));
    await until('all records', () => follower.records.length >= WRITTEN_COUNT);
    expect(follower.positions).toEqual(Array.from({ length: WRITTEN_COUNT }, (_, seq) => `1-${seq}`));
  });

  test('stores a blob whole or not at all, wherever the connection is cut', async () => {
    const { bus, direct, proxy } = await stage();
    const random = dataRandom(SEED);
    const bytes = Uint8Array.from({ length: 5_000_000 }, () => random(256));
    for (const cutAfter of [0, 1, random(5_000), random(5_000_000), random(5_000_000), 4_999_999]) {
      const name = `cut-${cutAfter}`;
      proxy.cutAfter('toServer', cutAfter);
      // Connections that are there already are as much as through.
      proxy.cut();
      const code = await codeOf(bus.putBlob(name, bytes, KEEP_MS));
      proxy.mend();
      expect(code).toBe('BUS_UNAVAILABLE');
      expect(await direct.getBlob(name)).toBeUndefined();
      await untilAvailable(() => bus.putBlob(`${name} again`, bytes, KEEP_MS));
      await direct.deleteBlob(`${name} again`);
    }
  });

  test('reads a blob whole or not at all, wherever the connection is cut', async () => {
    const { bus, direct, proxy } = await stage();
    const random = dataRandom(SEED);
    const bytes = Uint8Array.from({ length: 5_000_000 }, () => random(256));
    await direct.putBlob('snapshot', bytes, KEEP_MS);
    for (const cutAfter of [1, random(5_000), random(5_000_000), random(5_000_000)]) {
      proxy.cutAfter('toClient', cutAfter);
      proxy.cut();
      expect(await codeOf(bus.getBlob('snapshot'))).toBe('BUS_UNAVAILABLE');
      proxy.mend();
      const read = await untilAvailable(() => bus.getBlob('snapshot'));
      expect(Buffer.compare(read!, bytes)).toBe(0);
    }
  });

  test('leaves a blob alone that others read while it is deleted', async () => {
    const { direct } = await stage();
    await direct.putBlob('snapshot', new Uint8Array(5_000_000).fill(3), KEEP_MS);
    const reads = Array.from({ length: 3 }, () => direct.getBlob('snapshot'));
    await direct.deleteBlob('snapshot');
    for (const blob of await Promise.all(reads)) expect([undefined, 5_000_000]).toContain(blob?.byteLength);
  });
}

/** A program that has closed its bus has nothing more to do: no socket, no timer is left. */
function testProcess(subject: () => BusSubject, stage: () => Promise<Stage>): void {
  const program = resolve(import.meta.dirname, '../../support/bus-open-and-close.ts');
  const run = (part: BusPart, ...args: string[]) => {
    const options = JSON.stringify(subject().server!.options(part));
    return promisify(execFile)(process.execPath, [program, options, ...args], { timeout: EXIT_MS });
  };

  test('leaves nothing behind that keeps a process alive', async () => {
    const { stdout } = await run({ fleet: newFleet() });
    expect(stdout).toBe('read 1 and 3000000, closed\n');
  });

  test.each(['both', 'toServer', 'toClient'] as const)(
    'leaves nothing behind when the engine never answered: %s',
    async direction => {
      const { fleet, proxy } = await stage();
      proxy.swallow(direction);
      const { stdout } = await run({ fleet, at: { host: proxy.host, port: proxy.port }, ...TIMES }, 'silent');
      expect(stdout).toBe('rejected rejected rejected, closed\n');
    },
  );
}
