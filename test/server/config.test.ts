/** Configuration: faces, precedence, unknown keys, secrets, relations. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { shownConfig } from '../../src/server/config/documentation.ts';
import { machineDefaults } from '../../src/server/config/machine.ts';
import { sharedOptions } from '../../src/server/config/options.ts';
import {
  CONFIG_KEY_NAMES,
  type ConfigKeyName,
  configKey,
  environmentName,
  faceName,
  flagName,
} from '../../src/server/config/table.ts';
import { type Config, loadConfig } from '../../src/server/config.ts';
import { type TemporaryFolder, temporaryFolder } from './support/nodes.ts';

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

interface Faces {
  readonly file?: unknown;
  readonly environment?: Readonly<Record<string, string>>;
  readonly flags?: Partial<Record<ConfigKeyName, string>>;
}

let files = 0;

async function load({ file, environment = {}, flags = {} }: Faces): Promise<Config> {
  const text = typeof file === 'string' ? file : JSON.stringify(file);
  const path = file === undefined ? undefined : await folder.file(`config-${files++}.json`, text);
  const given = { 'source.location': 'nodes.csv', ...flags };
  return loadConfig({
    file: path,
    environment,
    flags: new Map(Object.entries(given) as [ConfigKeyName, string][]),
  });
}

async function problems(faces: Faces): Promise<string> {
  try {
    await load(faces);
  } catch (error) {
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
    return (error as Error).message;
  }
  return '';
}

describe('faces', () => {
  test('file, environment and flags say the same in their own spelling', async () => {
    const expected = { 'http.urlBytesMax': 2_048, 'guard.allowRanges': ['loopback', 'private-10'] };
    const byFile = await load({
      file: { http: { urlBytesMax: 2_048 }, 'guard.allowRanges': ['loopback', 'private-10'] },
    });
    const byEnvironment = await load({
      environment: {
        SORTITION_HTTP_URL_BYTES_MAX: '2048',
        SORTITION_GUARD_ALLOW_RANGES: 'loopback, private-10',
      },
    });
    const byFlags = await load({
      flags: { 'http.urlBytesMax': '2048', 'guard.allowRanges': 'loopback,private-10' },
    });
    for (const { values } of [byFile, byEnvironment, byFlags]) expect(values).toMatchObject(expected);
  });

  test('flags win over the environment, and that over the file', async () => {
    const file = { port: 1, host: 'a.example', serveFrom: 'pool' };
    const environment = { SORTITION_PORT: '2', SORTITION_HOST: 'b.example' };
    const { values } = await load({ file, environment, flags: { port: '3' } });
    expect(values).toMatchObject({ port: 3, host: 'b.example', serveFrom: 'pool' });
  });

  test('every key has one spelling at each face, and no two keys share one', () => {
    for (const spelling of [faceName, flagName, environmentName]) {
      expect(new Set(CONFIG_KEY_NAMES.map(spelling)).size).toBe(CONFIG_KEY_NAMES.length);
    }
    expect(flagName('http.urlBytesMax')).toBe('http-url-bytes-max');
    expect(environmentName('source.location')).toBe('SORTITION_SOURCE');
  });

  test('maps onto the options of the Postgres source', async () => {
    const { cache } = await load({
      file: {
        source: {
          table: 'v.nodes',
          columns: { id: 'node_id', network: null },
          thresholds: { onlineWindowMs: 5 },
        },
        'source.columns.country': 'cc',
      },
      flags: { 'source.location': 'postgres://u@h/d', 'source.statementTimeoutMs': '77' },
    });
    expect(cache.source).toEqual({
      kind: 'postgres',
      connectionString: 'postgres://u@h/d',
      table: 'v.nodes',
      columns: { id: 'node_id', network: null, country: 'cc' },
      thresholds: { onlineWindowMs: 5 },
      statementTimeoutMs: 77,
    });
  });

  test('is frozen', async () => {
    const config = await load({ file: { placements: { eu: { filter: { countries: ['DE'] } } } } });
    expect(Object.isFrozen(config.cache.placements?.eu?.filter?.countries)).toBe(true);
    expect(Object.isFrozen(config.server.http)).toBe(true);
  });
});

describe('refusals', () => {
  test('name every unknown key at once, with the nearest known one', async () => {
    const text = await problems({
      file: { porte: 1, http: { urlByteMax: 5 }, guard: { 'x.y': 1 }, placement: {} },
      environment: { SORTITION_PROT: '1', SORTITION_SERVE_FORM: 'pool', OTHER_PROT: '1' },
    });
    expect(text.split('\n')).toEqual([
      'file: porte: unknown key (did you mean "port"?)',
      'file: http.urlByteMax: unknown key (did you mean "http.urlBytesMax"?)',
      expect.stringMatching(/^file: guard\.x\.y: unknown key/),
      'file: placement: unknown key (did you mean "placements"?)',
      'environment: SORTITION_PROT: unknown variable (did you mean "SORTITION_PORT"?)',
      'environment: SORTITION_SERVE_FORM: unknown variable (did you mean "SORTITION_SERVE_FROM"?)',
    ]);
  });

  test('name key, value, and what is accepted', async () => {
    const text = await problems({
      file: { port: '80', serveFrom: 'heap', refresh: { jitterRatio: 2 }, 'guard.allowRanges': 'loopback' },
      environment: { SORTITION_ADMIN_PORT: '65536' },
      flags: { 'http.urlBytesMax': '1e3' },
    });
    expect(text.split('\n')).toEqual([
      'file: port: "80" is not accepted: expected an integer from 0 to 65535',
      'file: serveFrom: "heap" is not accepted: expected one of "auto", "prepared", "in-place", "pool"',
      'file: refresh.jitterRatio: 2 is not accepted: expected a number from 0 to 1',
      expect.stringMatching(/^file: guard\.allowRanges: "loopback" is not accepted: expected names out of /),
      'environment: SORTITION_ADMIN_PORT: "65536" is not accepted: expected an integer from 0 to 65535',
      'flags: --http-url-bytes-max: "1e3" is not accepted: expected an integer from 64 to 16384 (bytes)',
    ]);
  });

  test.each<[string, string, RegExp]>([
    ['broken JSON', '{"port":1', /does not parse/],
    ['a list', '[]', /does not hold an object/],
    ['a key twice', '{"port":1,"port":2}', /port is there twice/],
    [
      'a key in two spellings',
      '{"http":{"urlBytesMax":99},"http.urlBytesMax":98}',
      /http\.urlBytesMax: set twice/,
    ],
  ])('a file with %s', async (_, file, message) => {
    expect(await problems({ file })).toMatch(message);
  });

  test.each<[string, Faces, string]>([
    ['headers slower than requests', { flags: { 'http.headersTimeoutMs': '9000' } }, 'http.headersTimeoutMs'],
    ['an open admin listener', { flags: { 'admin.host': '0.0.0.0' } }, 'admin.token: missing'],
    ['a short token', { environment: { SORTITION_ADMIN_TOKEN: 'short' } }, 'SORTITION_ADMIN_TOKEN'],
    ['a wrong placement', { file: { placements: { a: { newFraktion: 1 } } } }, 'placements.a'],
    ['a source that is none', { flags: { 'source.location': 'ftp://u:secret@h/' } }, 'ftp://'],
    [
      'a query beside a table',
      { flags: { 'source.location': 'postgres://h/d', 'source.query': 'select', 'source.table': 't' } },
      'table',
    ],
    [
      'both token and file',
      { flags: { 'admin.token': 'x'.repeat(16), 'admin.tokenFile': 'y' } },
      'leave one out',
    ],
    ['a token file that is missing', { flags: { 'admin.tokenFile': 'none-such' } }, 'admin.tokenFile'],
  ])('%s', async (_, faces, named) => {
    expect(await problems(faces)).toContain(named);
  });

  test('no source at all', () => {
    expect(() => loadConfig({ environment: {}, flags: new Map() })).toThrow(/source: missing/);
  });
});

describe('secrets', () => {
  const canary = 'canary-5f1e8a77c0de';

  test('come from files, whose first line counts', async () => {
    const path = await folder.file('token', `${canary}-long-enough\nsecond line\n`);
    const url = await folder.file('url', `postgres://reader:${canary}@h/d\n`);
    const config = loadConfig({
      environment: { SORTITION_ADMIN_TOKEN_FILE: path, SORTITION_SOURCE_URL_FILE: url },
      flags: new Map(),
    });
    expect(config.server.admin.token).toBe(`${canary}-long-enough`);
    expect(config.cache.source).toMatchObject({ connectionString: `postgres://reader:${canary}@h/d` });
  });

  test('a higher face wins over the file of a lower one', async () => {
    const path = await folder.file('token-2', `${canary}-long-enough\n`);
    const config = await load({
      environment: { SORTITION_ADMIN_TOKEN_FILE: path },
      flags: { 'admin.token': 'another-long-token' },
    });
    expect(config.server.admin.token).toBe('another-long-token');
  });

  test('are shown neither by --print-config nor by errors', async () => {
    const config = await load({
      flags: {
        'source.location': `postgres://u:${canary}@h/d?password=${canary}`,
        'admin.token': `${canary}-x`,
      },
    });
    const shown = JSON.stringify(shownConfig(config));
    expect(shown).not.toContain(canary);
    expect(shown).toContain('postgres://u:***@h/d');
    for (const value of [`ftp://u:${canary}@h/d`, `postgres://u:${canary}@h:99999/d`]) {
      const flags: Partial<Record<ConfigKeyName, string>> = {
        'admin.token': `${canary} blank`,
        'source.location': value,
      };
      const text = await problems({ flags, file: { port: 'x' } });
      expect(text).not.toContain(canary);
      expect(text).not.toBe('');
    }
  });
});

describe('generated configurations', () => {
  const settings = { seed: Number(process.env.SEED ?? 3), numRuns: 300 };
  const scalar = CONFIG_KEY_NAMES.filter(name =>
    ['integer', 'number', 'boolean', 'choice'].includes(configKey(name).kind),
  );

  test('text and JSON are read alike, or both refused', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...scalar),
        fc.oneof(fc.integer(), fc.boolean(), fc.float({ noNaN: true })),
        (name, value) => {
          const key = configKey(name);
          const outcome = (read: () => unknown) => {
            try {
              return read();
            } catch (error) {
              return (error as Error).name;
            }
          };
          const checked = outcome(() => key.check(value));
          // Text that JavaScript writes with an exponent is not canonical, so it is refused.
          if (!String(value).includes('e')) expect(outcome(() => key.parse(String(value)))).toEqual(checked);
        },
      ),
      settings,
    );
  });

  test('every default is accepted by its own key', () => {
    for (const name of CONFIG_KEY_NAMES) {
      const key = configKey(name);
      if (key.default !== undefined) expect(key.check(key.default)).toEqual(key.default);
    }
  });

  test('any document either loads or names what is wrong', async () => {
    const name = fc.oneof(fc.constantFrom(...CONFIG_KEY_NAMES, 'http', 'source', 'guard'), fc.string());
    const document = fc.dictionary(name, fc.jsonValue({ maxDepth: 3 }), { maxKeys: 6 });
    await fc.assert(
      fc.asyncProperty(document, async file => {
        const text = await problems({ file });
        for (const line of text.split('\n').filter(Boolean)) expect(line).toMatch(/\S/);
        if (text !== '') expect(text).not.toMatch(/TypeError|undefined is not|Cannot read/);
      }),
      settings,
    );
  });
});

describe('what the machine decides', () => {
  test.each([
    [1, { poolThreads: 1, httpThreads: 1, serveFrom: 'in-place' }],
    [2, { poolThreads: 1, httpThreads: 1, serveFrom: 'prepared' }],
    [3, { poolThreads: 1, httpThreads: 2, serveFrom: 'prepared' }],
    [4, { poolThreads: 1, httpThreads: 3, serveFrom: 'prepared' }],
    [8, { poolThreads: 2, httpThreads: 6, serveFrom: 'prepared' }],
    [16, { poolThreads: 4, httpThreads: 8, serveFrom: 'prepared' }],
    [128, { poolThreads: 4, httpThreads: 8, serveFrom: 'prepared' }],
  ])('on %i cores', (cores, expected) => {
    expect(machineDefaults(cores)).toEqual(expected);
  });

  test('is settled when the server starts, and numbers are taken as they are', async () => {
    const auto = (await load({})).server;
    expect(auto).toMatchObject({ httpThreads: expect.any(Number), httpThreadsGiven: false });
    expect(['prepared', 'in-place']).toContain(auto.serveFrom);
    const given = (await load({ flags: { httpThreads: '3', serveFrom: 'pool' } })).server;
    expect(given).toMatchObject({ httpThreads: 3, httpThreadsGiven: true, serveFrom: 'pool' });
    expect(await problems({ flags: { httpThreads: 'many' } })).toContain(
      'expected auto, or an integer from 1 to 64',
    );
    expect(await problems({ file: { httpThreads: 0 } })).toContain(
      'expected auto, or an integer from 1 to 64',
    );
  });

  test('never leaves a thread of the server without a seat', async () => {
    const flags = { httpThreads: '12', 'workerPool.threads': '20' };
    expect((await load({ flags })).cache.capacity?.readers).toBe(34);
    expect((await load({ flags: { 'capacity.readers': '50' } })).cache.capacity?.readers).toBe(50);
  });

  test('divides limits among the threads, so that all together keep them', async () => {
    const { server } = await load({ flags: { 'http.connectionsMax': '10', 'workerPool.waitingMax': '1' } });
    const shared = sharedOptions(server, 4);
    expect(shared.http.connectionsMax).toBe(3);
    expect(shared.workerPool.waitingMax).toBe(1);
    expect(shared.http.answerBytesMax).toBe(server.http.answerBytesMax / 4);
    // The kernel may give all connections of one address to one thread.
    expect(shared.http.connectionsPerAddressMax).toBe(server.http.connectionsPerAddressMax);
  });
});
