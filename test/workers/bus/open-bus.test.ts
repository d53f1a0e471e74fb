/** Options of the buses: what is refused, with the key at fault; only the driver in use is loaded. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CacheError } from '../../../src/engine/errors.ts';
import { type BusOptions, openBus, parseBusText } from '../../../src/workers/bus/open-bus.ts';

const REDIS = { kind: 'redis', url: 'redis://localhost' };
const NATS = { kind: 'nats', url: 'nats://localhost' };
const POSTGRES = { kind: 'postgres', url: 'postgres://localhost' };

async function refusal(options: object): Promise<CacheError> {
  const bus = await openBus(options as BusOptions).catch(error => error);
  expect(bus).toBeInstanceOf(CacheError);
  expect(bus.code).toBe('CONFIG_INVALID');
  return bus;
}

describe('bus options', () => {
  test.each<[string, object, string, RegExp]>([
    ['a kind that is near another', { kind: 'reddis' }, 'kind', /did you mean "redis".*"postgres"/],
    ['no kind', {}, 'kind', /no kind of bus/],
    ['no object', [], 'bus', /expected an object/],
    ['no place', { kind: 'redis' }, 'url', /say where the engine is/],
    ['two places', { ...REDIS, urlFile: 'x' }, 'urlFile', /no effect beside "url"/],
    ['a misspelt key', { ...REDIS, prefx: 'x' }, 'prefx', /did you mean "prefix"/],
    ['a key of another engine', { ...REDIS, schema: 'x' }, 'schema', /unknown key/],
    ['a misspelt key of TLS', { ...NATS, tls: { cafile: 'x' } }, 'tls.cafile', /did you mean "caFile"/],
    ['a certificate without its key', { ...NATS, tls: { certFile: 'x' } }, 'tls.keyFile', /go together/],
    ['a prefix that means something', { ...REDIS, prefix: 'a:b*' }, 'prefix', /small letters/],
    ['a schema that is no name', { ...POSTGRES, schema: 'x"; drop' }, 'schema', /small letters/],
    ['a prefix that is no text', { ...NATS, prefix: 7 }, 'prefix', /expected a text/],
    ['an odd number of replicas', { ...NATS, replicas: 2 }, 'replicas', /1, 3 or 5/],
    ['another storage', { ...NATS, storage: 'disk' }, 'storage', /"file" or "memory"/],
    ['two secrets', { ...NATS, tokenFile: 'x', credentialsFile: 'y' }, 'credentialsFile', /no effect/],
    ['no time at all', { ...REDIS, timeoutMs: 0 }, 'timeoutMs', /from 50 to/],
    ['pings never', { ...REDIS, pingEveryMs: 1e9 }, 'pingEveryMs', /from 50 to/],
    ['an empty file name', { ...POSTGRES, passwordFile: '' }, 'passwordFile', /expected a text/],
    ['a URL of another engine', { ...NATS, url: 'redis://localhost' }, 'url', /nats:\/\/host:port/],
    ['a password of nobody', { ...NATS, passwordFile: 'x' }, 'passwordFile', /needs a user/],
    ['a database that is no number', { ...REDIS, url: 'redis://h/main' }, 'url', /is a number/],
    ['a URL without a host', { ...REDIS, url: 'redis://' }, 'url', /redis:\/\/host:port/],
  ])('refuse %s', async (_, options, field, message) => {
    const error = await refusal(options);
    expect(error.field).toBe(field);
    expect(error.message).toMatch(message);
  });

  test('that are refused do not show what may be a password', async () => {
    const error = await refusal({ kind: 'redis', url: 'reddis://user:secret@localhost' });
    expect(error.message).not.toMatch(/secret/);
    expect(() => parseBusText('reddis://user:secret@localhost')).toThrow(/^"reddis:\/\/…" is no bus/);
  });

  test('come from a text by its scheme', () => {
    expect(parseBusText('REDIS://h:1/2')).toEqual({ kind: 'redis', url: 'redis://h:1/2' });
    expect(parseBusText('rediss://h')).toEqual({ kind: 'redis', url: 'rediss://h' });
    expect(parseBusText('nats://a:1,nats://b:2')).toEqual({ kind: 'nats', url: 'nats://a:1,nats://b:2' });
    expect(parseBusText('tls://a')).toEqual({ kind: 'nats', url: 'tls://a' });
    expect(parseBusText('postgresql://h/d')).toEqual({ kind: 'postgres', url: 'postgresql://h/d' });
    for (const text of ['', 'redis', 'localhost:6379', 'http://x', 'kafka://x']) {
      expect(() => parseBusText(text)).toThrow(CacheError);
    }
  });
});

describe('an open bus', () => {
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sortition-bus-options-'));
  });

  afterAll(() => rm(directory, { recursive: true }));

  test('says which engine where, without a secret, and has not connected to it', async () => {
    const urlFile = join(directory, 'url');
    await writeFile(urlFile, 'nats://user:secret@one:1,nats://user:secret@two\n');
    const buses = await Promise.all([
      openBus({ kind: 'redis', url: 'redis://user:secret@example.invalid:1' }),
      openBus({ kind: 'nats', urlFile, prefix: 'blue' }),
      openBus({ kind: 'postgres', url: 'postgres://user:secret@example.invalid/fleet', schema: 'blue' }),
    ]);
    expect(buses.map(bus => bus.description)).toEqual([
      'redis at example.invalid:1, sortition',
      'nats at one:1,two:4222, blue',
      'postgres: fleet at example.invalid:5432, schema blue',
    ]);
    await Promise.all(buses.map(bus => bus.close()));
  });

  test('needs its URL file, and says which one it is', async () => {
    const urlFile = join(directory, 'none');
    const error = await openBus({ kind: 'redis', urlFile }).catch(thrown => thrown);
    expect(error.code).toBe('BUS_DENIED');
    expect(error.message).toMatch(/urlFile.*none/);
  });

  test('loads its own driver and no other, and none before', async () => {
    const openBusUrl = resolve(import.meta.dirname, '../../../src/workers/bus/open-bus.ts');
    const program = `
      import Module from 'node:module';
      import { openBus } from ${JSON.stringify(openBusUrl)};
      const loaded = () => [...new Set(Object.keys(Module._cache)
        .map(path => /node_modules.(@?[\\w-]+)/.exec(path)?.[1]))].sort().join() || 'none';
      console.log(loaded());
      const [kind, url] = process.argv.slice(1);
      const bus = await openBus({ kind, url });
      await bus.close();
      console.log(loaded());
    `;
    const drivers = async (kind: string, url: string) => {
      const args = ['--input-type=module', '-e', program, kind, url];
      const { stdout } = await promisify(execFile)(process.execPath, args);
      return stdout.trim().split('\n');
    };
    expect(await drivers('redis', 'redis://localhost')).toEqual([
      'none',
      expect.stringMatching(/^@redis,.*redis/),
    ]);
    const [before, after] = await drivers('nats', 'nats://localhost');
    expect(before).toBe('none');
    expect(after).toMatch(/@nats-io/);
    expect(after).not.toMatch(/redis|pg/);
    // That of Postgres is loaded with the first connection.
    expect(await drivers('postgres', 'postgres://localhost')).toEqual(['none', 'none']);
  });
});
