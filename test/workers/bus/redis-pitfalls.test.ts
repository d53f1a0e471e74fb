/** What Redis does that a bus must not stumble over, on a real one, and what the bus makes of it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from 'redis';
import { afterEach, describe, expect, test } from 'vitest';
import { freePort } from '../../../src/server/demo/free-port.ts';
import { type Bus, LOG_START } from '../../../src/workers/bus/bus.ts';
import { type BusOptions, openBus } from '../../../src/workers/bus/open-bus.ts';
import { codeOf, Follower, untilAvailable } from '../../support/bus-subject.ts';
import { makeCertificate } from '../../support/certificates.ts';
import { startTestRedis, type TestRedis } from '../../support/redis.ts';
import { TcpFaultProxy } from '../../support/tcp-fault-proxy.ts';
import { until } from '../../support/until.ts';
import { at, record } from './bus-log.case.ts';

const MIB = 1_048_576;
const KEEP_MS = 600_000;

const ends: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function redisWith(settings: Record<string, string> = {}): Promise<TestRedis> {
  const redis = await startTestRedis(settings);
  ends.push(() => redis.stop());
  return redis;
}

async function busTo(options: Omit<BusOptions & { kind: 'redis' }, 'kind'>): Promise<Bus> {
  const bus = await openBus({ kind: 'redis', ...options });
  ends.push(() => bus.close());
  return bus;
}

async function clientOf(url: string) {
  const client = createClient({ url, socket: { reconnectStrategy: false } }).on('error', () => undefined);
  await client.connect();
  ends.push(async () => client.destroy());
  return client;
}

function follow(bus: Bus, after = LOG_START): Follower {
  const follower = new Follower(bus, after);
  ends.push(() => follower.stop());
  return follower;
}

describe('pub/sub', () => {
  test('loses what is over 32 MB and closes the subscriber; the publisher does not learn of it', async () => {
    const redis = await redisWith();
    const [publisher, subscriber] = [await clientOf(redis.url), await clientOf(redis.url)];
    let receivedCount = 0;
    await subscriber.subscribe('snapshots', () => void receivedCount++);
    expect(await publisher.publish('snapshots', 'x'.repeat(33 * MIB))).toBe(1);
    await until('the subscriber is closed', () => !subscriber.isReady);
    expect(receivedCount).toBe(0);
  });

  test('is not what the bus uses: the same bytes arrive as a blob, and nobody subscribes', async () => {
    const redis = await redisWith();
    const bus = await busTo({ url: redis.url });
    const follower = follow(bus);
    const bytes = new Uint8Array(33 * MIB).fill(120);
    await bus.putBlob('snapshot', bytes, KEEP_MS);
    await bus.append(record(1, 0, 'snapshot'));
    await until('the record', () => follower.records.length === 1);
    expect(Buffer.compare((await bus.getBlob('snapshot'))!, bytes)).toBe(0);
    const commands = await (await clientOf(redis.url)).info('commandstats');
    expect(commands).toMatch(/cmdstat_xread:/);
    expect(commands).not.toMatch(/cmdstat_\w*(publish|subscribe)/);
  });
});

describe('a replica that is promoted without the tail', () => {
  /** A primary whose replica has lost touch after 7-3; the follower has 7-5, which the replica lacks. */
  async function lostTail() {
    const primary = await redisWith({ 'repl-diskless-sync-delay': '0', 'shutdown-timeout': '0' });
    const way = await TcpFaultProxy.open(primary);
    ends.push(() => way.close());
    const replica = await redisWith({ replicaof: `${way.host} ${way.port}` });
    const [second, replicated] = [await clientOf(replica.url), await busTo({ url: replica.url })];
    let serving: TestRedis = primary;
    const entry = await TcpFaultProxy.open(() => serving);
    ends.push(() => entry.close());
    const bus = await busTo({ url: `redis://${entry.host}:${entry.port}` });
    const follower = follow(bus);
    for (let seq = 0; seq <= 3; seq++) await bus.append(record(7, seq));
    // The link is up when the snapshot is loaded; what was appended after it was taken arrives later.
    await expect.poll(() => untilAvailable(() => replicated.last()), { timeout: 20_000 }).toEqual(at(7, 3));
    way.swallow('both');
    await bus.append(record(7, 4));
    await bus.append(record(7, 5));
    await until('the follower has the tail', () => follower.records.length === 6);
    await follower.stop();
    return {
      bus,
      after: at(7, 5),
      async promote() {
        await second.sendCommand(['REPLICAOF', 'NO', 'ONE']);
        serving = replica;
        await primary.stop();
        await untilAvailable(() => bus.last());
      },
    };
  }

  test('gives the lost ids again to other records: who had the old ones gets nothing', async () => {
    const { bus, after, promote } = await lostTail();
    await promote();
    expect(await bus.last()).toEqual(at(7, 3));
    // The same leader goes on, and the engine cannot know that 7-4 and 7-5 were there before.
    await bus.append(record(7, 4, 'another'));
    await bus.append(record(7, 5, 'another'));
    const follower = follow(bus, after);
    // A leader that begins a new epoch is heard, and its digests tell the rest.
    await bus.append(record(8, 0, 'epoch 8 begins'));
    await until('the new epoch', () => follower.records.length === 1);
    expect(follower.texts).toEqual(['epoch 8 begins']);
    expect(follower.error).toBeUndefined();
  });

  test('is seen as a gap by who had the tail, as long as the ids were not given again', async () => {
    const { bus, after, promote } = await lostTail();
    await promote();
    const early = follow(bus, after);
    await early.ended;
    expect(early.error?.code).toBe('BUS_GAP');
    // Above all that was there before: only the chain shows that 7-4 and 7-5 are missing.
    await bus.append(record(8, 0));
    const late = follow(bus, after);
    await late.ended;
    expect(late.error?.code).toBe('BUS_GAP');
  });
});

describe('memory limits', () => {
  test('with noeviction refuse a blob, and take nothing away', async () => {
    const redis = await redisWith({ maxmemory: '24mb', 'maxmemory-policy': 'noeviction', appendonly: 'yes' });
    const bus = await busTo({ url: redis.url });
    await bus.append(record(1, 0));
    const failure = await bus.putBlob('large', new Uint8Array(40 * MIB), KEEP_MS).catch(error => error);
    expect(failure.code).toBe('BUS_UNAVAILABLE');
    expect(failure.message).toMatch(/OOM|memory/);
    expect(await bus.getBlob('large')).toBeUndefined();
    expect(await untilAvailable(() => bus.last())).toEqual(at(1, 0));
    expect(await bus.advice()).toEqual([]);
  });

  test('with allkeys-* throw away the log; followers say so, and the advice says why', async () => {
    const redis = await redisWith({
      maxmemory: '24mb',
      'maxmemory-policy': 'allkeys-lru',
      appendonly: 'yes',
    });
    const bus = await busTo({ url: redis.url });
    expect(await bus.advice()).toEqual([expect.stringMatching(/allkeys-lru may throw away the log/)]);
    for (let seq = 0; seq < 5; seq++) await bus.append(record(3, seq));
    const client = await clientOf(redis.url);
    for (let i = 0; (await client.exists('{sortition}:log')) === 1; i++) {
      expect(i).toBeLessThan(200);
      await client.set(`others:${i}`, 'x'.repeat(MIB));
    }
    const follower = follow(bus, at(3, 4));
    await follower.ended;
    expect(follower.error?.code).toBe('BUS_GAP');
    await bus.append(record(4, 0));
    expect(await bus.last()).toEqual(at(4, 0));
  });

  test('with volatile-* may take snapshots early, which the advice says too', async () => {
    const settings = { 'maxmemory-policy': 'volatile-ttl', appendonly: 'yes' };
    const unlimited = await busTo({ url: (await redisWith(settings)).url });
    expect(await unlimited.advice()).toEqual([]);
    const limited = await busTo({ url: (await redisWith({ ...settings, maxmemory: '100mb' })).url });
    expect(await limited.advice()).toEqual([expect.stringMatching(/volatile-ttl/)]);
  });
});

describe('a Redis that is not as it should be', () => {
  test('without persistence is worth a word', async () => {
    const bus = await busTo({ url: (await redisWith()).url });
    expect(await bus.advice()).toEqual([expect.stringMatching(/keeps nothing on disk/)]);
  });

  test('that is a replica refuses writes, and the advice says why', async () => {
    const primary = await redisWith();
    const replica = await redisWith({ replicaof: `${primary.host} ${primary.port}`, appendonly: 'yes' });
    const bus = await busTo({ url: replica.url });
    expect(await codeOf(bus.append(record(1, 0)))).toBe('BUS_UNAVAILABLE');
    const advice = await untilAvailable(() => bus.advice());
    expect(advice).toEqual([expect.stringMatching(/is a replica.*name the primary/)]);
  });

  test('asks for a password: wrong ones are refused, a changed file is found', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sortition-password-'));
    ends.push(() => rm(directory, { recursive: true }));
    const passwordFile = join(directory, 'password');
    const redis = await redisWith({ requirepass: 'open sesame', appendonly: 'yes' });
    expect(await codeOf((await busTo({ url: redis.url })).last())).toBe('BUS_DENIED');
    const wrong = await busTo({ url: redis.url.replace('//', '//:guess@') });
    const failure = await wrong.last().catch(error => error);
    expect(failure.code).toBe('BUS_DENIED');
    expect(`${failure.message} ${wrong.description}`).not.toMatch(/guess/);
    const bus = await busTo({ url: redis.url, passwordFile });
    expect(await codeOf(bus.last())).toBe('BUS_DENIED');
    await writeFile(passwordFile, 'open sesame\nand whatever else\n');
    expect(await bus.last()).toBeUndefined();
    const urlFile = join(directory, 'url');
    await writeFile(urlFile, `${redis.url.replace('//', `//:${encodeURIComponent('open sesame')}@`)}/3\n`);
    const other = await busTo({ urlFile });
    await other.append(record(1, 0));
    // Of another database, as its URL says.
    expect(await bus.last()).toBeUndefined();
  });

  test('does not let its settings be seen, as managed ones do not', async () => {
    const redis = await redisWith({ appendonly: 'yes' });
    const client = await clientOf(redis.url);
    const rights = ['on', '>secret', '~{sortition}*', '+@all', '-config'];
    await client.sendCommand(['ACL', 'SETUSER', 'bus', ...rights]);
    const bus = await busTo({ url: redis.url.replace('//', '//bus:secret@') });
    await bus.append(record(1, 0));
    expect(await bus.advice()).toEqual([expect.stringMatching(/settings of this Redis cannot be read/)]);
    // Rights for keys of its own prefix are enough, and others are not its.
    const stranger = await busTo({ url: redis.url.replace('//', '//bus:secret@'), prefix: 'other' });
    expect(await codeOf(stranger.append(record(1, 0)))).toBe('BUS_DENIED');
  });

  test('speaks TLS: by the authority of the options, and to nobody else', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sortition-tls-'));
    ends.push(() => rm(directory, { recursive: true }));
    const { certFile, keyFile } = await makeCertificate(directory);
    const redis = await redisWith({
      'tls-port': '0',
      'tls-cert-file': certFile,
      'tls-key-file': keyFile,
      'tls-ca-cert-file': certFile,
      'tls-auth-clients': 'yes',
    });
    const client = await clientOf(redis.url);
    const port = await freePort();
    await client.configSet('tls-port', String(port));
    const url = `rediss://127.0.0.1:${port}`;
    const tls = { caFile: certFile, certFile, keyFile };
    const bus = await busTo({ url, tls });
    const follower = follow(bus);
    await bus.append(record(1, 0));
    await until('the record', () => follower.records.length === 1);
    expect(await codeOf((await busTo({ url })).last())).toBe('BUS_DENIED');
    const elsewhere = await busTo({ url, tls: { ...tls, serverName: 'example.org' } });
    expect(await codeOf(elsewhere.last())).toBe('BUS_DENIED');
    const missing = await busTo({ url, tls: { caFile: join(directory, 'none.pem') } });
    const failure = await missing.last().catch(error => error);
    expect(failure.code).toBe('BUS_DENIED');
    expect(failure.message).toMatch(/tls\.caFile/);
  });
});
