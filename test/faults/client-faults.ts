/**
 * F38 to F46: what clients do. The HTTP server's own tests go through thousands of each (`test/server`);
 * here a few of each kind come while others are being served.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { resolve } from 'node:path';
import type { LoadOrder, LoadOutcome } from '../../bench/http/load-generator.ts';
import { LOOPBACK } from '../../src/server/demo/free-port.ts';
import type { Fault, FaultRun } from './fault.ts';
import { ask } from './served/http-call.ts';
import { ELIGIBLE } from './served-scene.ts';

type Run = FaultRun;

const GENERATOR = resolve(import.meta.dirname, '../../bench/http/load-generator.ts');
const SLOW_CONNECTIONS = 300;
/** The goal: whoever is slow is gone by then. */
const CLOSED_MS = 10_000;
const FLOOD_CONNECTIONS = 64;
const PROBE_MS = 1_000;
const READERS = 20;
const CALL_TIMEOUT_MS = 5_000;

const portOf = (run: Run) => Number(new URL(run.scene.url).port);

function open(run: Run, said: string): Socket {
  const socket = connect({ port: portOf(run), host: LOOPBACK }, () => socket.write(said));
  socket.on('error', () => undefined);
  return socket;
}

/** Sends bytes as they are; resolves with what came back when the other side has closed. */
function exchange(run: Run, said: string): Promise<string> {
  return new Promise(done => {
    const socket = open(run, said);
    let text = '';
    socket.setEncoding('latin1').on('data', chunk => {
      text += chunk;
    });
    socket.once('close', () => done(text));
    socket.setTimeout(CALL_TIMEOUT_MS, () => socket.destroy());
  });
}

const isWell = (run: Run) => () => run.scene.isWell();

/** Heads that never end, letter by letter. */
async function slowHeads(run: Run): Promise<void> {
  const sockets = Array.from({ length: SLOW_CONNECTIONS }, () =>
    open(run, 'GET /v1/selection HTTP/1.1\r\nX-A: '),
  );
  let left = sockets.length;
  for (const socket of sockets) socket.once('close', () => left--);
  const drip = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write('a');
  }, 100);
  try {
    const startedMs = performance.now();
    await run.until('all of them are closed', () => left === 0, CLOSED_MS);
    run.note(`${sockets.length} closed after ${Math.round(performance.now() - startedMs)} ms`);
  } finally {
    clearInterval(drip);
    for (const socket of sockets) socket.destroy();
  }
  await run.mend(() => undefined, 'it is well', isWell(run));
}

/** Clients that ask for much and read nothing. */
async function noReaders(run: Run): Promise<void> {
  const { rss } = await run.scene.server.inside('memory');
  const asked = `GET /v1/selection?count=500&partial=true HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(200);
  const sockets = Array.from({ length: READERS }, () => open(run, asked).pause());
  let left = sockets.length;
  for (const socket of sockets) socket.once('close', () => left--);
  await run.last();
  const grownMiB = ((await run.scene.server.inside('memory')).rss - rss) / 1_048_576;
  run.note(`memory grew by ${Math.round(grownMiB)} MiB`);
  run.check(grownMiB < 300, 'what waits for them is bounded');
  for (const socket of sockets) socket.destroy();
  await run.mend(() => undefined, 'it is well', isWell(run));
}

/** Raw requests by what is wrong with them, and the status that they get. */
async function refusedRaw(
  run: Run,
  requests: readonly (readonly [what: string, raw: string, status: number])[],
) {
  const wrong: string[] = [];
  await run.repeat(async () => {
    for (const [what, raw, status] of requests) {
      const said = await exchange(run, raw);
      if (!said.startsWith(`HTTP/1.1 ${status} `)) wrong.push(`${what}: ${said.slice(0, 60)}`);
    }
  }, 0.5);
  run.check(wrong.length === 0, `each is refused as it should be: ${wrong.join('; ')}`);
  run.note(`${requests.length} kinds`);
  await run.mend(() => undefined, 'it is well', isWell(run));
}

const HEAD = 'GET /v1/selection HTTP/1.1\r\nHost: a\r\n';
const POST = 'POST /v1/selection HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n';
const body = (text: string) =>
  `${POST}Connection: close\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;

const HUGE: readonly (readonly [string, string, number])[] = [
  ['a long URL', get(`/v1/selection?count=${'1'.repeat(2_000)}`), 414],
  ['a large header', `${HEAD}X-A: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
  ['a large body', `${POST}Content-Length: 1000000000\r\n\r\n`, 413],
];

const SMUGGLED: readonly (readonly [string, string, number])[] = [
  ['length and chunks', `${POST}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  ['two lengths', `${POST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`, 400],
  ['an encoding that is none', `${POST}Transfer-Encoding: chunke\r\n\r\n0\r\n\r\n`, 400],
  ['a folded header', `${HEAD}X-A: a\r\n b\r\n\r\n`, 400],
  ['no host', 'GET /v1/selection HTTP/1.1\r\n\r\n', 400],
  ['a length with a sign', `${POST}Content-Length: +2\r\n\r\n{}`, 400],
];

const MALFORMED: readonly (readonly [string, string, number])[] = [
  ['half a document', body('{"count": 1'), 400],
  ['a deep document', body(`${'['.repeat(5_000)}${']'.repeat(5_000)}`), 400],
  ['a list', body('[]'), 400],
  ['a key twice', body('{"count":1,"count":2}'), 400],
  ['an unknown key', body('{"cuont":1}'), 400],
];

const POLLUTING: readonly (readonly [string, string, number])[] = [
  ['__proto__', body('{"__proto__":{"count":5}}'), 400],
  ['constructor.prototype', body('{"constructor":{"prototype":{"count":5}}}'), 400],
  ['__proto__ in the query', get('/v1/selection?__proto__[count]=5'), 400],
];

const COUNTS = [
  '0',
  '-1',
  '1.5',
  '1e9',
  '2147483648',
  '4294967297',
  '9007199254740993',
  'NaN',
  '%D9%A5',
  '',
  '0x10',
];
const BAD_COUNTS = COUNTS.map(count => [`count=${count}`, get(`/v1/selection?count=${count}`), 400] as const);

async function flood(run: Run): Promise<void> {
  const { scene, load } = run;
  load.allow(({ status, headers }) => status === 503 && headers['retry-after'] !== undefined);
  const generator = fork(GENERATOR, { stdio: 'inherit' });
  try {
    const order: LoadOrder = {
      port: portOf(run),
      requests: ['GET /v1/selection?count=110 HTTP/1.1\r\nHost: a\r\n\r\n'],
      connections: FLOOD_CONNECTIONS,
      warmupMs: 0,
      durationMs: run.seconds * 1_000,
    };
    const outcome = new Promise<LoadOutcome>(done => {
      generator.on('message', message => {
        if (typeof message === 'object') done(message as LoadOutcome);
      });
    });
    generator.send(order);
    let slowestMs = 0;
    await run.repeat(async () => {
      const askedMs = performance.now();
      const { status } = await ask(scene.url, '/livez', { timeoutMs: CALL_TIMEOUT_MS });
      run.check(status === 200, 'the probe is answered');
      slowestMs = Math.max(slowestMs, performance.now() - askedMs);
    });
    const { requests, failures, elapsedMs } = await outcome;
    const rate = Math.round((requests / elapsedMs) * 1_000);
    run.note(`${rate} answers a second, ${failures} refused; slowest probe ${Math.round(slowestMs)} ms`);
    run.check(slowestMs < PROBE_MS, `probes are answered within ${PROBE_MS} ms`);
  } finally {
    generator.kill('SIGKILL');
    await once(generator, 'exit');
  }
  await run.mend(() => undefined, 'it is well', isWell(run));
  load.allow(() => false);
}

interface Short {
  readonly nodes: readonly { readonly id: string }[];
}

/** Fewer nodes than asked for: one, then none. */
async function fewNodes(run: Run): Promise<void> {
  const { scene, load } = run;
  load.allow(({ status }) => status === 409);
  const { client } = scene.postgres;
  const short = async (path: string, status: number, count: number) => {
    const answer = await scene.server.call(path);
    const { nodes } = answer.json<Short>();
    run.check(answer.status === status, `${path}: ${answer.status} instead of ${status}`);
    run.check(nodes.length === count, `${path}: ${nodes.length} nodes instead of ${count}`);
    run.check(new Set(nodes.map(({ id }) => id)).size === nodes.length, 'no node comes twice');
  };
  const eligible = async () => {
    const { nodes } = await scene.status();
    return nodes!.vetted + nodes!.new;
  };
  const one = `SELECT id FROM nodes WHERE ${ELIGIBLE} AND vetted_at IS NOT NULL ORDER BY id LIMIT 1`;
  await client.query(`UPDATE nodes SET disqualified = now() WHERE id <> (${one})`);
  await run.until('one is left', async () => (await scene.acceptLoad()) && (await eligible()) === 1);
  await short('/v1/selection?count=1', 200, 1);
  await short('/v1/selection?count=5', 409, 1);
  await short('/v1/selection?count=5&partial=true', 200, 1);
  await run.last(0.5);
  await client.query('TRUNCATE nodes');
  await run.until('none is left', async () => (await scene.acceptLoad()) && (await eligible()) === 0);
  await short('/v1/selection?count=1', 409, 0);
  await short('/v1/selection?count=5&partial=true', 200, 0);
  await run.last(0.5);
  await run.mend(
    () => scene.restoreRows(),
    'all are served',
    async () => (await scene.acceptLoad()) && (await eligible()) > 100,
  );
  load.allow(() => false);
}

async function adminWithoutRight(run: Run): Promise<void> {
  const { scene } = run;
  const { adminUrl } = scene.server;
  const call = (authorization?: string) =>
    ask(adminUrl, '/v1/admin/refresh', {
      timeoutMs: CALL_TIMEOUT_MS,
      body: {},
      ...(authorization === undefined ? {} : { headers: { authorization } }),
    });
  run.check((await call()).status === 401, 'without a token: 401');
  run.check((await call('Bearer another-token-altogether')).status === 401, 'with a wrong one: 401');
  run.check((await call('Basic abc')).status === 401, 'with something else: 401');
  const elsewhere = await scene.server.call('/v1/admin/refresh', {});
  run.check(elsewhere.status === 404, 'the data listener does not know the route');
  run.check((await scene.server.admin('/v1/admin/refresh', {})).status === 200, 'with the right one: 200');
  await run.last(0.5);
  await run.mend(() => undefined, 'it is well', isWell(run));
}

const raw =
  (requests: readonly (readonly [string, string, number])[]): Fault['run'] =>
  run =>
    refusedRaw(run, requests);

export const CLIENT_FAULTS: readonly Fault[] = [
  { number: 'F38', name: 'clients that never finish their heads', run: slowHeads },
  {
    number: 'F38',
    name: 'clients that read nothing',
    flags: { 'http-connection-timeout-ms': '1000' },
    run: noReaders,
  },
  { number: 'F39', name: 'huge URL, header, body', run: raw(HUGE) },
  { number: 'F40', name: 'request smuggling', run: raw(SMUGGLED) },
  { number: 'F41', name: 'flood', flags: { 'http-event-loop-delay-max-ms': '50' }, run: flood },
  { number: 'F42', name: 'malformed bodies', run: raw(MALFORMED) },
  { number: 'F43', name: 'prototype pollution', run: raw(POLLUTING) },
  { number: 'F44', name: 'counts that are none', run: raw(BAD_COUNTS) },
  { number: 'F45', name: 'one node, then none', flags: { 'guard-nodes-min': '0' }, run: fewNodes },
  { number: 'F46', name: 'admin calls without the right', run: adminWithoutRight },
];
