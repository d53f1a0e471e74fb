/** Roles of the admin plane, and its audit: every call, whoever made it and however it ended. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestOf } from '../../../src/server/access/identity.ts';
import { expectProblem } from '../support/expect-problem.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/nodes.ts';
import { ADMIN_TOKEN, call, JSON_BODY, startTestServer, type TestServer } from '../support/server.ts';

const TOKENS = {
  read: 'read-token-0123456789abcdef',
  operate: 'operate-token-0123456789abcdef',
  override: 'override-token-0123456789abcdef',
} as const;
type Role = keyof typeof TOKENS;

let folder: TemporaryFolder;
let server: TestServer;
let auditFile: string;
const lines: Record<string, unknown>[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  const text = Object.entries(TOKENS).map(
    ([role, token]) => `${role}-person ${digestOf(token)} role=${role}`,
  );
  auditFile = join(folder.path, 'audit.jsonl');
  server = await startTestServer(
    { 'admin.tokensFile': await folder.file('tokens', text.join('\n')), 'admin.auditFile': auditFile },
    pino({}, { write: line => lines.push(JSON.parse(line) as Record<string, unknown>) }),
  );
});
afterAll(async () => {
  await server.close();
  await folder.remove();
});

function ask(token: string | undefined, method: string, path: string, body?: unknown) {
  return call(server.adminUrl!, path, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : JSON_BODY),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

/** Lines of the audit file since the last time. */
let read = 0;
function audited(): Record<string, unknown>[] {
  const all = readFileSync(auditFile, 'utf8').split('\n').filter(Boolean);
  const fresh = all.slice(read).map(line => JSON.parse(line) as Record<string, unknown>);
  read = all.length;
  return fresh;
}

const IDS = ['f'.repeat(64)];

describe('roles', () => {
  test.each<[string, string, unknown, Role]>([
    ['GET', '/v1/admin/access', undefined, 'read'],
    ['HEAD', '/v1/admin/access', undefined, 'read'],
    ['POST', '/v1/admin/refresh', {}, 'operate'],
    ['POST', '/v1/admin/revoke', { ids: IDS }, 'operate'],
    ['POST', '/v1/admin/restore', { ids: IDS }, 'operate'],
    ['POST', '/v1/admin/refresh', { acceptDrop: true }, 'override'],
    ['POST', '/v1/admin/override', { validators: ['drop'] }, 'override'],
  ])('%s %s takes %j by the role %s and those above it', async (method, path, body, needed) => {
    const roles = Object.keys(TOKENS) as Role[];
    for (const role of roles) {
      const answer = await ask(TOKENS[role], method, path, body);
      const may = roles.indexOf(role) >= roles.indexOf(needed);
      expect(answer.status, role).toBe(may ? 200 : 403);
      if (!may)
        expectProblem(answer, 403, { code: 'FORBIDDEN', detail: expect.stringContaining('needs the role') });
    }
    expect((await ask(ADMIN_TOKEN, method, path, body)).status).toBe(200);
    expect((await ask(undefined, method, path, body)).status).toBe(401);
    expect((await ask(digestOf(TOKENS.override), method, path, body)).status).toBe(401);
  });

  test('a refused call changes nothing', async () => {
    const before = server.context.cache.generation();
    expect((await ask(TOKENS.read, 'POST', '/v1/admin/refresh', {})).status).toBe(403);
    expect((await ask(TOKENS.operate, 'POST', '/v1/admin/refresh', { acceptDrop: true })).status).toBe(403);
    expect(server.context.cache.generation()).toBe(before);
  });
});

describe('the audit', () => {
  test('has a line for every call, with what it changed, in the file and in the log', async () => {
    audited();
    lines.length = 0;
    const generation = server.context.cache.generation();
    await ask(TOKENS.operate, 'POST', '/v1/admin/refresh', {});
    await ask(TOKENS.read, 'POST', '/v1/admin/refresh', {});
    await ask('a-token-that-is-wrong', 'POST', '/v1/admin/refresh', {});
    await ask(TOKENS.read, 'GET', '/v1/admin/none?token=canary');
    await ask(TOKENS.override, 'PUT', '/v1/admin/refresh');
    await ask(TOKENS.operate, 'POST', '/v1/admin/revoke', { ids: ['x'] });
    const call = { remoteAddress: '127.0.0.1', method: 'POST', route: '/v1/admin/refresh' };
    const [before, after] = [generation, generation + 1];
    const same = { generationBefore: after, generationAfter: after };
    const expected = [
      {
        ...call,
        actor: 'operate-person',
        role: 'operate',
        status: 200,
        generationBefore: before,
        generationAfter: after,
      },
      { ...call, actor: 'read-person', role: 'read', status: 403, code: 'FORBIDDEN', ...same },
      { ...call, actor: null, role: null, status: 401, code: 'UNAUTHORIZED', ...same },
      {
        ...call,
        method: 'GET',
        route: 'unknown',
        actor: 'read-person',
        status: 404,
        code: 'NOT_FOUND',
        ...same,
      },
      { ...call, method: 'PUT', route: 'unknown', status: 405, code: 'METHOD_NOT_ALLOWED', ...same },
      { ...call, route: '/v1/admin/revoke', status: 400, code: 'REQUEST_INVALID', ...same },
    ];
    const written = audited();
    expect(written).toMatchObject(expected);
    for (const { time } of written) expect(Date.parse(String(time))).toBeGreaterThan(0);
    expect(lines.filter(line => line.audit === true)).toMatchObject(expected);
    const text = JSON.stringify([lines, written]);
    for (const secret of [...Object.values(TOKENS), ADMIN_TOKEN, 'a-token-that-is-wrong', 'canary']) {
      expect(text).not.toContain(secret);
    }
  });

  test('is nobody else’s to read, and may be moved away while it is written', async () => {
    expect(statSync(auditFile).mode & 0o777).toBe(0o600);
    renameSync(auditFile, `${auditFile}.1`);
    await ask(TOKENS.read, 'GET', '/v1/admin/access');
    expect(readFileSync(auditFile, 'utf8').split('\n')).toHaveLength(2);
    read = 1;
  });

  test('that cannot be written is said in the log, and calls go on', async () => {
    rmSync(auditFile);
    mkdirSync(auditFile);
    lines.length = 0;
    expect((await ask(TOKENS.read, 'GET', '/v1/admin/access')).status).toBe(200);
    expect(lines).toContainEqual(expect.objectContaining({ msg: 'the audit file cannot be written' }));
    rmSync(auditFile, { recursive: true });
  });

  test('follows no symbolic link, and refuses to start where it cannot be written', async () => {
    const target = await folder.file('target', 'kept');
    const link = join(folder.path, 'link');
    symlinkSync(target, link);
    await expect(startTestServer({ 'admin.auditFile': link })).rejects.toThrow(/ELOOP/);
    expect(readFileSync(target, 'utf8')).toBe('kept');
    await expect(startTestServer({ 'admin.auditFile': join(folder.path, 'no', 'such') })).rejects.toThrow();
    // With nobody at its other end, and with somebody.
    const pipe = join(folder.path, 'pipe');
    execFileSync('mkfifo', [pipe]);
    await expect(startTestServer({ 'admin.auditFile': pipe })).rejects.toThrow('ENXIO');
    const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    await expect(startTestServer({ 'admin.auditFile': pipe })).rejects.toThrow('is not a regular file');
    closeSync(reader);
  });
});

test('who may ask the data routes is shown without digests', async () => {
  const own = await folder.file('keys', `uploader ${digestOf('some-key-0123456789')} count=7 rate=5`);
  const guarded = await startTestServer({ 'access.mode': 'keys', 'access.file': own });
  try {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const answer = await call(guarded.adminUrl!, '/v1/admin/access', { headers });
    expect(answer.json()).toEqual({
      mode: 'keys',
      identities: 1,
      problem: null,
      listed: [{ name: 'uploader', countMax: 7, ratePerSecond: 5, rights: ['select', 'lookup', 'status'] }],
    });
  } finally {
    await guarded.close();
  }
});

describe('refuses to start', () => {
  test.each<[string, string]>([
    ['nobody', ''],
    ['a token instead of its digest', `alice ${TOKENS.override} role=override`],
    ['a role that is none', `alice ${digestOf(TOKENS.read)} role=root`],
  ])('with a file of tokens that holds %s', async (_, text) => {
    const path = await folder.file('wrong', text);
    const error = await startTestServer({ 'admin.tokensFile': path }).then(
      () => expect.unreachable(),
      (failure: Error) => failure,
    );
    expect(error.message).toMatch(/admin\.tokensFile: .*(line 1|names nobody)/);
    expect(error.message).not.toContain(TOKENS.override);
  });
});
