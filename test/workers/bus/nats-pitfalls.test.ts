/** What NATS does that a bus must not stumble over, on a real one, and what the bus makes of it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterEach, describe, expect, test } from 'vitest';
import { freePort } from '../../../src/server/demo/free-port.ts';
import { type Bus, LOG_START } from '../../../src/workers/bus/bus.ts';
import { type BusOptions, openBus } from '../../../src/workers/bus/open-bus.ts';
import { codeOf, Follower, untilAvailable } from '../../support/bus-subject.ts';
import { makeCertificate } from '../../support/certificates.ts';
import { startTestNats, type TestNats } from '../../support/nats.ts';
import { TcpFaultProxy } from '../../support/tcp-fault-proxy.ts';
import { until } from '../../support/until.ts';
import { appendSurely } from './bus-faults.case.ts';
import { at, record } from './bus-log.case.ts';

const KEEP_MS = 600_000;

const ends: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function natsWith(settings: readonly string[] = []): Promise<TestNats> {
  const nats = await startTestNats({ settings });
  ends.push(() => nats.stop());
  return nats;
}

async function busTo(options: Omit<BusOptions & { kind: 'nats' }, 'kind'>): Promise<Bus> {
  const bus = await openBus({ kind: 'nats', ...options });
  ends.push(() => bus.close());
  return bus;
}

function follow(bus: Bus, after = LOG_START): Follower {
  const follower = new Follower(bus, after);
  ends.push(() => follower.stop());
  return follower;
}

async function managerOf(nats: TestNats): Promise<JetStreamManager> {
  const connection = await connect({ servers: nats.url });
  ends.push(() => connection.close());
  return await jetstreamManager(connection);
}

describe('the numbers of a stream', () => {
  test('may be no condition when they are 0: a stream begins with a start that there is once', async () => {
    const nats = await natsWith();
    const manager = await managerOf(nats);
    const client = manager.jetstream();
    await manager.streams.add({ name: 'plain', subjects: ['plain.>'] });
    const expectEmpty = { expect: { lastSequence: 0 } };
    // What the fence must not be built on: of these two a server may take both (2.9.10 does).
    const plain = await Promise.allSettled(
      ['plain.one', 'plain.two'].map(subject => client.publish(subject, 'first', expectEmpty)),
    );
    expect(plain.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThanOrEqual(1);

    const buses = await Promise.all(Array.from({ length: 4 }, () => busTo({ url: nats.url })));
    const codes = await Promise.all(buses.map((bus, i) => codeOf(bus.append(record(1, 0, `of ${i}`)))));
    expect(codes.filter(code => code === '')).toHaveLength(1);
    const first = await manager.streams.getMessage('sortition-log', { seq: 1 });
    expect(first?.subject).toBe('sortition.log.0.0');
    expect((await manager.streams.info('sortition-log')).state.messages).toBe(2);
  });

  test('go on after a start that comes late, which nobody takes for a record', async () => {
    const nats = await natsWith();
    const manager = await managerOf(nats);
    const bus = await busTo({ url: nats.url });
    const follower = follow(bus);
    await bus.append(record(3, 0));
    await bus.append(record(3, 1));
    await until('the first records', () => follower.records.length === 2);
    await bus.trim(at(3, 1));
    // Somebody who was paused since the stream was empty; its first start is trimmed, so this one is taken.
    await manager.jetstream().publish('sortition.log.0.0', '', { expect: { lastSubjectSequence: 0 } });
    const other = await busTo({ url: nats.url });
    expect(await other.last()).toEqual(at(3, 1));
    await other.trim(at(9, 0));
    expect(await other.last()).toEqual(at(3, 1));
    expect(await codeOf(other.append(record(3, 1)))).toBe('BUS_FENCED');
    await other.append(record(3, 2));
    await bus.append(record(3, 3));
    await until('all', () => follower.records.length === 4);
    expect(follower.positions).toEqual(['3-0', '3-1', '3-2', '3-3']);
    const late = follow(bus, at(3, 1));
    await until('the rest', () => late.positions.join() === '3-2,3-3');
  });
});

test('subjects that a stream of somebody else has are told of at once', async () => {
  const nats = await natsWith();
  const manager = await managerOf(nats);
  await manager.streams.add({ name: 'of-somebody-else', subjects: ['taken.>'] });
  const bus = await busTo({ url: nats.url, prefix: 'taken', timeoutMs: 2_000 });
  const error = await bus.last().catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'BUS_UNAVAILABLE' });
  expect(String(error)).toContain('subjects overlap');
});

describe('a stream that goes away', () => {
  test('is a gap for its followers; the next one begins anew', async () => {
    const nats = await natsWith();
    const manager = await managerOf(nats);
    const bus = await busTo({ url: nats.url, timeoutMs: 1_000, pingEveryMs: 200 });
    const follower = follow(bus);
    for (let seq = 0; seq < 3; seq++) await appendSurely(bus, record(5, seq));
    await until('the records', () => follower.records.length === 3);
    await manager.streams.delete('sortition-log');
    await follower.ended;
    expect(follower.error?.code).toBe('BUS_GAP');
    await untilAvailable(() => bus.append(record(4, 0)));
    expect(await untilAvailable(() => bus.last())).toEqual(at(4, 0));
  });

  test('and comes back as long does not let a stale leader write under a newer one', async () => {
    const nats = await natsWith();
    const manager = await managerOf(nats);
    const [stale, next] = [await busTo({ url: nats.url }), await busTo({ url: nats.url })];
    for (let seq = 0; seq < 3; seq++) await stale.append(record(5, seq));
    await manager.streams.delete('sortition-log');
    for (let seq = 0; seq < 4; seq++) await untilAvailable(() => next.append(record(6, seq)));
    expect(await codeOf(stale.append(record(5, 3)))).toBe('BUS_FENCED');
    expect(await next.last()).toEqual(at(6, 3));
  });
});

describe('a consumer that the server has lost', () => {
  test('is made again after the last record that came', async () => {
    const nats = await natsWith();
    const manager = await managerOf(nats);
    const bus = await busTo({ url: nats.url, timeoutMs: 1_000, pingEveryMs: 100 });
    const follower = follow(bus);
    for (let seq = 0; seq < 5; seq++) await appendSurely(bus, record(1, seq));
    await until('the first records', () => follower.records.length === 5);
    for (const { name } of await manager.consumers.list('sortition-log').next()) {
      await manager.consumers.delete('sortition-log', name);
    }
    for (let seq = 5; seq < 10; seq++) await appendSurely(bus, record(1, seq));
    await until('all records', () => follower.records.length === 10);
    expect(follower.positions).toEqual(Array.from({ length: 10 }, (_, seq) => `1-${seq}`));
    expect(follower.error).toBeUndefined();
  });
});

describe('blobs', () => {
  test('keep several parts on their way, which the object store of the driver does not', async () => {
    const nats = await natsWith();
    const proxy = await TcpFaultProxy.open(nats);
    ends.push(() => proxy.close());
    const partsAsked = new Set<string>();
    // From the first part that is asked for on, nothing comes back: who asks one after the other is stuck.
    proxy.transform('toServer', () => chunk => {
      const asked = chunk.toString('latin1').matchAll(/DIRECT\.GET\.sortition-blobs\.\S+\.(\d+) /g);
      for (const [, part] of asked) partsAsked.add(part!);
      if (partsAsked.size > 0) proxy.stall('toClient');
      return chunk;
    });
    const direct = await busTo({ url: nats.url });
    const bus = await busTo({ url: `nats://127.0.0.1:${proxy.port}`, timeoutMs: 60_000 });
    await direct.putBlob('snapshot', new Uint8Array(12_000_000).fill(5), KEEP_MS);
    const reading = bus.getBlob('snapshot');
    await until('four parts are asked for', () => partsAsked.size === 4);
    proxy.transform('toServer', () => chunk => chunk);
    partsAsked.clear();
    proxy.cut();
    proxy.mend();
    expect(await codeOf(reading)).toBe('BUS_UNAVAILABLE');
    const read = await untilAvailable(() => bus.getBlob('snapshot'));
    expect(read?.byteLength).toBe(12_000_000);
  });

  test('are refused by a server that takes less than they need, and the advice says what to do', async () => {
    const nats = await natsWith(['max_payload: 64KB']);
    const bus = await busTo({ url: nats.url });
    expect(await codeOf(bus.putBlob('snapshot', new Uint8Array(200_000), KEEP_MS))).toBe('BUS_TOO_LARGE');
    expect(await codeOf(bus.append({ position: at(1, 0), bytes: new Uint8Array(70_000) }))).toBe(
      'BUS_TOO_LARGE',
    );
    await bus.append(record(1, 0));
    expect(await bus.advice()).toContainEqual(expect.stringMatching(/max_payload is 65536/));
  });
});

describe('a NATS that is not as it should be', () => {
  test('has no JetStream', async () => {
    const nats = await natsWith(['jetstream: disabled']);
    const failure = await (await busTo({ url: nats.url })).last().catch(error => error);
    expect(failure.code).toBe('BUS_UNAVAILABLE');
    expect(failure.message).toMatch(/JetStream is not enabled/);
  });

  test('writes its files late, or is old: worth a word; in memory it is not', async () => {
    const nats = await natsWith();
    const [onDisk, inMemory] = [
      await busTo({ url: nats.url }),
      await busTo({ url: nats.url, prefix: 'memory', storage: 'memory' }),
    ];
    const late = expect.stringMatching(/sync_interval: always/);
    expect(await onDisk.advice()).toContainEqual(late);
    expect(await inMemory.advice()).not.toContainEqual(late);
    await inMemory.append(record(1, 0));
    expect(await inMemory.last()).toEqual(at(1, 0));
  });

  test('keeps the settings that its streams were created with, which the advice says', async () => {
    const nats = await natsWith();
    await (await busTo({ url: nats.url })).last();
    const advice = await (await busTo({ url: nats.url, replicas: 3 })).advice();
    expect(advice.filter(line => /has 1 replicas, not 3/.test(line))).toHaveLength(4);
  });

  test('asks who we are: users, passwords and tokens in files', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sortition-token-'));
    ends.push(() => rm(directory, { recursive: true }));
    const file = join(directory, 'secret');
    await writeFile(file, 'open sesame\n');
    const users = await natsWith(['authorization { user: leader, password: "open sesame" }']);
    expect(await codeOf((await busTo({ url: users.url })).last())).toBe('BUS_DENIED');
    const wrong = await busTo({ url: users.url.replace('//', '//leader:guess@') });
    const failure = await wrong.last().catch(error => error);
    expect(failure.code).toBe('BUS_DENIED');
    expect(`${failure.message} ${wrong.description}`).not.toMatch(/guess/);
    const right = await busTo({ url: users.url.replace('//', '//leader@'), passwordFile: file });
    expect(await right.last()).toBeUndefined();
    const tokens = await natsWith(['authorization { token: "open sesame" }']);
    expect(await codeOf((await busTo({ url: tokens.url })).last())).toBe('BUS_DENIED');
    expect(await (await busTo({ url: tokens.url, tokenFile: file })).last()).toBeUndefined();
  });

  test('speaks TLS: by the authority of the options, and to nobody else', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sortition-tls-'));
    ends.push(() => rm(directory, { recursive: true }));
    const { certFile, keyFile } = await makeCertificate(directory);
    const files = `cert_file: "${certFile}", key_file: "${keyFile}", ca_file: "${certFile}"`;
    const nats = await natsWith([`tls { ${files}, verify: true }`]);
    const tls = { caFile: certFile, certFile, keyFile };
    const bus = await busTo({ url: nats.url.replace('nats:', 'tls:'), tls });
    const follower = follow(bus);
    await bus.append(record(1, 0));
    await until('the record', () => follower.records.length === 1);
    const stranger = await busTo({ url: nats.url.replace('nats:', 'tls:') });
    expect(await codeOf(stranger.last())).toBe('BUS_DENIED');
  });

  test('is one of several: another one is taken when the first is away', async () => {
    const nats = await natsWith();
    const bus = await busTo({ url: `nats://127.0.0.1:${await freePort()}, ${nats.url}` });
    await bus.append(record(1, 0));
    expect(await bus.last()).toEqual(at(1, 0));
  });
});
