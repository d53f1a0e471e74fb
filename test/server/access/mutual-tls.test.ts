/** TLS on both listeners, and clients known by their certificates. */
import { readFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../support/until.ts';
import { type Authority, authority, type Certificate } from '../support/certificates.ts';
import { expectProblem } from '../support/expect-problem.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/nodes.ts';
import {
  ADMIN_TOKEN,
  call,
  postJson,
  type SelectionAnswer,
  startTestServer,
  type TestFlags,
  type TestServer,
} from '../support/server.ts';

let folder: TemporaryFolder;
let ours: Authority;
let theirs: Authority;
let listener: TestFlags;
let server: TestServer;

beforeAll(async () => {
  folder = await temporaryFolder();
  ours = authority('our authority');
  theirs = authority('our authority');
  const own = ours.issue('sortition');
  listener = {
    'tls.certificateFile': await folder.file('server.pem', own.certificate),
    'tls.keyFile': await folder.file('server.key', own.key),
    'tls.clientCaFile': await folder.file('ca.pem', ours.certificate),
    'access.mode': 'mutual-tls',
  };
  const file = await folder.file('clients', 'uploader count=5\nrepairer\nprober may=status\n');
  server = await startTestServer({ ...listener, 'access.file': file });
});
afterAll(async () => {
  await server.close();
  await folder.remove();
});

function ask(path: string, client: Certificate | undefined, options = {}, url = server.url) {
  const own = client === undefined ? {} : { cert: client.certificate, key: client.key };
  return call(url, path, { ...options, tls: { ca: ours.certificate, ...own } });
}

describe('a client', () => {
  test('is known by the common name of its certificate, with its limits, on every way', async () => {
    expect(server.url).toMatch(/^https:/);
    const uploader = ours.issue('uploader');
    for (let i = 0; i < 20; i++) {
      const answer = await ask('/v1/selection?count=5', uploader);
      expect(answer.json<SelectionAnswer>().nodes).toHaveLength(5);
      expect((await ask('/v1/selection', uploader, postJson({ count: 5 }))).status).toBe(200);
      expectProblem(await ask('/v1/selection?count=6', uploader), 403, { field: 'count' });
      expect((await ask('/v1/selection?count=6', ours.issue('repairer'))).status).toBe(200);
    }
    expectProblem(await ask('/v1/selection?count=1', ours.issue('prober')), 403, { code: 'FORBIDDEN' });
    const status = await ask('/v1/status', ours.issue('prober'));
    expect(status.json<{ access: object }>().access).toEqual({
      mode: 'mutual-tls',
      identities: 3,
      problem: null,
      tls: true,
    });
  });

  test.each<[string, () => Certificate | undefined, string]>([
    ['no certificate', () => undefined, 'none was sent'],
    ['one of another authority of the same name', () => theirs.issue('repairer'), 'not valid'],
    ['one that has expired', () => ours.issue('repairer', -1), 'not valid'],
    ['one that is not listed', () => ours.issue('stranger'), 'not listed'],
    ['one with two names', () => ours.issue(['stranger', 'repairer']), 'several'],
    ['one without a name', () => ours.issue([]), 'no common name'],
    ['one with a name of control characters', () => ours.issue('repairer\r\n'), 'cannot be listed'],
    ['one with a name of two words', () => ours.issue('the repairer'), 'cannot be listed'],
    ['one with the name of a key', () => ours.issue('sortition_repairer'), 'cannot be listed'],
  ])('with %s is told so, and may probe', async (_, client, detail) => {
    for (const path of ['/v1/selection?count=1', '/v1/status', '/metrics', '/none']) {
      const problem = expectProblem(await ask(path, client()), 403, { code: 'FORBIDDEN' });
      expect(problem.detail).toContain(detail);
    }
    expect((await ask('/livez', client())).status).toBe(200);
  });

  test('of the authority is enough where nobody is listed', async () => {
    const own = await startTestServer(listener);
    try {
      expect((await ask('/v1/selection?count=1', ours.issue('anybody'), {}, own.url)).status).toBe(200);
      expect((await ask('/v1/selection?count=1', ours.issue('any body'), {}, own.url)).status).toBe(403);
      expect((await ask('/v1/selection?count=1', theirs.issue('anybody'), {}, own.url)).status).toBe(403);
      expect((await ask('/v1/selection?count=1', undefined, {}, own.url)).status).toBe(403);
    } finally {
      await own.close();
    }
  });
});

/** What a handshake came to, with one request behind it; undefined when it was refused. */
function handshake(
  options: ConnectionOptions,
  onSession: (session: Buffer) => void = () => undefined,
): Promise<{ protocol: string | null; reused: boolean } | undefined> {
  const { hostname, port } = new URL(server.url);
  return new Promise(resolve => {
    const socket = connect({ host: hostname, port: Number(port), ca: ours.certificate, ...options });
    let seen: { protocol: string | null; reused: boolean } | undefined;
    socket.on('session', onSession);
    socket.on('error', () => undefined);
    socket.once('secureConnect', () => {
      seen = { protocol: socket.getProtocol(), reused: socket.isSessionReused() };
      socket.write('GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      socket.resume();
    });
    socket.once('close', () => resolve(seen));
  });
}

describe('the listener', () => {
  test('answers nothing but TLS', async () => {
    const { hostname, port } = new URL(server.url);
    const plain = connectPlain({ host: hostname, port: Number(port) });
    plain.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n');
    const heard: Buffer[] = [];
    plain.on('data', (bytes: Buffer) => heard.push(bytes));
    plain.on('error', () => undefined);
    await until('the plain one is closed', () => plain.closed);
    expect(Buffer.concat(heard).toString('latin1')).not.toContain('HTTP/');
  });

  test('closes handshakes that do not come to an end', async () => {
    // Client and server have one thread here: so short a time is for nobody else's handshakes.
    const own = await startTestServer({ ...listener, 'http.headersTimeoutMs': '500' });
    try {
      const { hostname, port } = new URL(own.url);
      const target = { host: hostname, port: Number(port) };
      const silent = Array.from({ length: 50 }, () => connectPlain(target));
      for (const socket of silent) socket.on('error', () => undefined).resume();
      await until('silent ones are closed', () => silent.every(socket => socket.closed));
      const answer = () => ask('/livez', undefined, {}, own.url).catch(() => undefined);
      await until('it serves', async () => (await answer())?.status === 200);
    } finally {
      await own.close();
    }
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('speaks %s, and resumes no session', async version => {
    const sessions: Buffer[] = [];
    const first = await handshake({ minVersion: version, maxVersion: version }, session => {
      sessions.push(session);
    });
    expect(first).toEqual({ protocol: version, reused: false });
    for (const session of sessions) {
      const again = await handshake({ minVersion: version, maxVersion: version, session });
      expect(again).toEqual({ protocol: version, reused: false });
    }
  });

  test('speaks no version before 1.2', async () => {
    expect(await handshake({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1' })).toBeUndefined();
  });

  test('with keys needs no certificate of the client', async () => {
    const { 'tls.clientCaFile': _, ...tls } = listener;
    const own = await startTestServer({ ...tls, 'access.mode': 'open', httpThreads: '2' });
    try {
      for (let i = 0; i < 8; i++) {
        const answer = await ask('/v1/selection?count=100', undefined, {}, own.url);
        expect(answer.json<SelectionAnswer>().nodes).toHaveLength(100);
      }
    } finally {
      await own.close();
    }
  });
});

describe('the admin listener', () => {
  const start = (flags: TestFlags = {}) =>
    startTestServer({
      'admin.tls.certificateFile': listener['tls.certificateFile']!,
      'admin.tls.keyFile': listener['tls.keyFile']!,
      'admin.tls.clientCaFile': listener['tls.clientCaFile']!,
      ...flags,
    });
  const authorization = { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } };

  test('counts what it refuses by address, certificates too, and audits up to the limit', async () => {
    const auditFile = join(folder.path, 'audit');
    const own = await start({ 'admin.failedLoginsMax': '3', 'admin.auditFile': auditFile });
    const get = (client: Certificate | undefined, options: object) =>
      ask('/v1/admin/access', client, options, own.adminUrl);
    try {
      const wrong = { headers: { authorization: 'Bearer a-token-that-is-wrong' } };
      const statuses = [];
      for (const client of [undefined, theirs.issue('alice'), ours.issue('alice'), undefined, undefined]) {
        statuses.push((await get(client, wrong)).status);
      }
      expect(statuses).toEqual([403, 403, 401, 429, 429]);
      expectProblem(await get(ours.issue('alice'), authorization), 429, { code: 'LOGINS_LIMITED' });
      expect(readFileSync(auditFile, 'utf8').split('\n')).toHaveLength(3 + 1);
    } finally {
      await own.close();
    }
  });

  test('by TLS with a client authority needs a certificate and a token', async () => {
    const own = await start();
    const get = (client: Certificate | undefined, options: object) =>
      ask('/v1/admin/access', client, options, own.adminUrl);
    try {
      expect(own.adminUrl).toMatch(/^https:/);
      expect((await get(ours.issue('alice'), authorization)).status).toBe(200);
      // Nobody is known by its name here.
      expect((await get(ours.issue('Alice Example'), authorization)).status).toBe(200);
      expectProblem(await get(undefined, authorization), 403, { code: 'FORBIDDEN' });
      expectProblem(await get(theirs.issue('alice'), authorization), 403, { code: 'FORBIDDEN' });
      expectProblem(await get(ours.issue('alice'), {}), 401);
      expect((await own.call('/livez')).status).toBe(200);
    } finally {
      await own.close();
    }
  });
});

describe('files that do not fit refuse to start', () => {
  test.each<[string, () => { [K in keyof TestFlags]: TestFlags[K] | undefined }, RegExp]>([
    ['a certificate alone', () => ({ 'tls.keyFile': undefined }), /tls\.keyFile: missing/],
    ['a key alone', () => ({ 'tls.certificateFile': undefined }), /tls\.certificateFile: missing/],
    ['no authority', () => ({ 'tls.clientCaFile': undefined }), /tls\.clientCaFile: missing/],
    [
      'key and certificate exchanged',
      () => ({
        'tls.keyFile': listener['tls.certificateFile'],
        'tls.certificateFile': listener['tls.keyFile'],
      }),
      /tls: .*holds no certificate in PEM form/,
    ],
    ['an authority nobody asks for', () => ({ 'access.mode': 'open' }), /it would keep nobody out/],
  ])('%s', async (_, flags, message) => {
    const entries = Object.entries({ ...listener, ...flags() }).filter(([, value]) => value !== undefined);
    await expect(startTestServer(Object.fromEntries(entries) as TestFlags)).rejects.toThrow(message);
  });

  test('a key of another certificate', async () => {
    const other = await folder.file('other.key', theirs.issue('x').key);
    await expect(startTestServer({ ...listener, 'tls.keyFile': other })).rejects.toThrow(
      /do not make a TLS listener/,
    );
  });
});
