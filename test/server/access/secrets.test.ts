/**
 * Canaries in every place that takes a secret, and a search through everything that anybody can read: logs at
 * their most talkative, status, metrics, errors, what the commands print.
 */
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestOf } from '../../../src/server/access/identity.ts';
import { CONFIG_KEY_NAMES, configKey } from '../../../src/server/config/table.ts';
import { until } from '../../support/until.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/nodes.ts';
import { listeningUrl, runSortition, type Spawned, sortition } from '../support/process.ts';
import { call, postJson } from '../support/server.ts';

const SIGNING_KEY = String(
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }),
);

/** Each is found by its middle, however it is quoted, escaped or cut at the ends. */
const LOADED_MS_MAX = 45_000;
const CANARY = {
  sourceUrl: 'canary-source-4f81b2',
  sourcePassword: 'canary-password-77d0aa',
  busUrl: 'canary-bus-90cc31',
  electionUrl: 'canary-election-5be2f0',
  fleetKey: 'canary-fleet-key-c1a9e8',
  adminToken: 'canary-admin-token-e7103b',
  listedToken: 'canary-listed-token-18fd6c',
  apiKey: 'canary-api-key-2b6e90',
  signingKey: SIGNING_KEY.split('\n')[1]!.slice(16, 48),
  wrongKey: 'canary-wrong-key-6617cd',
} as const;

let folder: TemporaryFolder;
let environment: Record<string, string>;

beforeAll(async () => {
  folder = await temporaryFolder();
  const file = (name: string, text: string) => folder.file(name, `${text}\n`);
  await file('password', CANARY.sourcePassword);
  environment = {
    // Ports on which nobody listens: everything fails, and says so.
    SORTITION_SOURCE_URL_FILE: await file('url', `postgres://u:${CANARY.sourceUrl}@127.0.0.1:1/d`),
    SORTITION_FLEET_BUS_URL_FILE: await file('bus', `redis://u:${CANARY.busUrl}@127.0.0.1:1`),
    SORTITION_FLEET_ELECTION_URL_FILE: await file(
      'election',
      `postgres://u:${CANARY.electionUrl}@127.0.0.1:1/d`,
    ),
    SORTITION_FLEET_KEY_FILE: await file('fleet-key', CANARY.fleetKey.padEnd(64, '0')),
    SORTITION_SNAPSHOT_SIGNING_KEY_FILE: await file('signing.pem', SIGNING_KEY),
    SORTITION_SNAPSHOT_FILE: join(folder.path, 'snapshot'),
    SORTITION_ADMIN_TOKEN_FILE: await file('token', CANARY.adminToken),
    SORTITION_ADMIN_TOKENS_FILE: await file('tokens', `alice ${digestOf(CANARY.listedToken)} role=operate`),
    SORTITION_ADMIN_AUDIT_FILE: join(folder.path, 'audit'),
    SORTITION_ACCESS_MODE: 'keys',
    SORTITION_ACCESS_FILE: await file('keys', `uploader ${digestOf(CANARY.apiKey)} count=5`),
    SORTITION_PORT: '0',
    SORTITION_ADMIN_PORT: '0',
    SORTITION_LOG_LEVEL: 'trace',
    SORTITION_DEBUG: '1',
    SORTITION_SHUTDOWN_DRAIN_DELAY_MS: '0',
  };
});
afterAll(() => folder.remove());

function expectNoCanary(text: string): void {
  for (const canary of Object.values(CANARY)) {
    for (const form of [canary, Buffer.from(canary).toString('base64').slice(2, -4), digestOf(canary)]) {
      expect(text).not.toContain(form);
    }
  }
}

test('there is a canary for every key that is secret, or names a file of secrets', () => {
  const secret = CONFIG_KEY_NAMES.filter(
    name => configKey(name).secret || /(urlFile|keyFile|tokens?File|passwordFile|UrlFile)$/.test(name),
  );
  expect(secret.toSorted()).toEqual([
    'admin.tls.keyFile',
    'admin.token',
    'admin.tokenFile',
    'admin.tokensFile',
    'fleet.bus',
    'fleet.busUrlFile',
    'fleet.electionUrl',
    'fleet.electionUrlFile',
    'fleet.keyFile',
    'snapshotSigning.keyFile',
    'source.location',
    'source.passwordFile',
    'source.urlFile',
    'tls.keyFile',
  ]);
});

describe('a server that is refused by everything', () => {
  let server: Spawned;
  let url: string;
  let adminUrl: string;
  beforeAll(async () => {
    server = sortition(['serve'], { cwd: folder.path, environment });
    url = await listeningUrl(server);
    adminUrl = /"adminUrl":"([^"]+)"/.exec(server.stderr())![1]!;
  });
  afterAll(async () => {
    server.child.kill('SIGTERM');
    await server.ended;
  });

  test('says none of its secrets, to anybody, anywhere', async () => {
    const seen: string[] = [];
    const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
    const ask = async (base: string, path: string, headers: Record<string, string>, body?: unknown) => {
      const posted = body === undefined ? {} : postJson(body);
      const answer = await call(base, path, { ...posted, headers: { ...posted.headers, ...headers } });
      seen.push(JSON.stringify(answer.headers), answer.bytes.toString());
      return answer.status;
    };
    const good = bearer(CANARY.apiKey);
    const hasFailed = async () => {
      const answer = await call(url, '/v1/status', { headers: good });
      return answer.bytes.includes('lastError');
    };
    // Neither bus nor election answers: it loads by itself after 10 to 20 s.
    await until('loads have failed', hasFailed, LOADED_MS_MAX);
    for (const path of ['/v1/status', '/v1/fleet', '/metrics', '/openapi.json', '/readyz', '/v1/selection']) {
      for (const headers of [good, bearer(CANARY.wrongKey), {}]) await ask(url, path, headers);
    }
    const ids = ['a'.repeat(64)];
    for (const token of [CANARY.adminToken, CANARY.listedToken, CANARY.wrongKey]) {
      await ask(adminUrl, '/v1/admin/access', bearer(token));
      await ask(adminUrl, '/v1/admin/refresh', bearer(token), {});
      await ask(adminUrl, '/v1/admin/revoke', bearer(token), { ids });
      await ask(adminUrl, '/v1/admin/override', bearer(token), { validators: ['drop'] });
    }
    expect(await ask(url, '/v1/status', good)).toBe(200);
    expect(await ask(url, '/v1/status', bearer(CANARY.wrongKey))).toBe(401);
    expectNoCanary(seen.join('\n'));
    expectNoCanary(readFileSync(join(folder.path, 'audit'), 'utf8'));
    expect(server.stderr()).toContain('an admin call');
    expectNoCanary(server.stderr());
    expectNoCanary(server.stdout());
    expectNoCanary(readFileSync(`/proc/${server.child.pid}/cmdline`, 'utf8'));
  });
});

describe('commands print no secret', () => {
  const password = () => ({
    SORTITION_SOURCE: `postgres://u:${CANARY.sourceUrl}@127.0.0.1:1/d?password=${CANARY.sourcePassword}`,
    SORTITION_SOURCE_URL_FILE: undefined,
  });

  test.each<[string, string[], () => Record<string, string | undefined>]>([
    ['check', ['check'], () => ({})],
    ['check --json', ['check', '--json'], password],
    ['--print-config', ['serve', '--print-config'], password],
    ['select', ['select', '--count', '1', '--refresh-timeout-ms', '1000'], password],
    [
      'check with a password from a file',
      ['check'],
      () => ({
        SORTITION_SOURCE: 'postgres://u@127.0.0.1:1/d',
        SORTITION_SOURCE_URL_FILE: undefined,
        SORTITION_SOURCE_PASSWORD_FILE: join(folder.path, 'password'),
      }),
    ],
    [
      'a source that is none',
      ['check'],
      () => ({ ...password(), SORTITION_SOURCE: `x://${CANARY.sourceUrl}@h` }),
    ],
    [
      'a bus that is none',
      ['check'],
      () => ({ SORTITION_FLEET_BUS: `x://u:${CANARY.busUrl}@h`, SORTITION_FLEET_BUS_URL_FILE: undefined }),
    ],
    [
      'a wrong token',
      ['check'],
      () => ({ SORTITION_ADMIN_TOKEN: `${CANARY.adminToken} x`, SORTITION_ADMIN_TOKEN_FILE: undefined }),
    ],
  ])('%s', async (_, args, changes) => {
    const entries = Object.entries({ ...environment, ...changes() }).filter(
      ([, value]) => value !== undefined,
    );
    const own = Object.fromEntries(entries) as Record<string, string>;
    const { stdout, stderr } = await runSortition(args, { cwd: folder.path, environment: own });
    expect(`${stdout}${stderr}`.length).toBeGreaterThan(20);
    expectNoCanary(stdout);
    expectNoCanary(stderr);
  });

  test.each(['access.file', 'admin.tokensFile', 'tls.keyFile'])('a wrong file of %s', async name => {
    const wrong = await folder.file('wrong', `alice ${CANARY.apiKey} role=operate\n${CANARY.adminToken}\n`);
    const variable = `SORTITION_${name
      .replace(/([a-z])([A-Z])/g, '$1_$2')
      .replace('.', '_')
      .toUpperCase()}`;
    const own = {
      ...environment,
      [variable]: wrong,
      ...(name === 'tls.keyFile' ? { SORTITION_TLS_CERTIFICATE_FILE: wrong } : {}),
    };
    const { code, stdout, stderr } = await runSortition(['check'], { cwd: folder.path, environment: own });
    expect(code).toBe(1);
    expect(stdout).toContain(name.startsWith('tls') ? 'tls:' : `${name}:`);
    expectNoCanary(stdout);
    expectNoCanary(stderr);
  });
});
