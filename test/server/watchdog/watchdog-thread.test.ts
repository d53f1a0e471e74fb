/** The watchdog thread itself: whether there is one, where it listens, and what becomes of it. */
import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { accessWarnings } from '../../../src/server/config/access-warnings.ts';
import { loadConfig } from '../../../src/server/config.ts';
import { until } from '../../support/until.ts';
import { call, startTestServer, type TestFlags, type TestServer } from '../support/server.ts';

/** Those of the loader and of the pool. */
const OTHER_THREADS = 2;
const PROBES: TestFlags = { 'probes.address': '127.0.0.1:0' };

const workers: Worker[] = [];
const watch = (worker: Worker) => void workers.push(worker);
let server: TestServer | undefined;
beforeEach(() => {
  process.on('worker', watch);
});
afterEach(async () => {
  process.off('worker', watch);
  await server?.close();
  server = undefined;
  workers.splice(0);
});

test('it is there to watch, or to answer probes, or not at all', async () => {
  for (const [flags, threads] of [
    [{ 'watchdog.stallMs': '1000' }, 1],
    [{ ...PROBES, 'watchdog.stallMs': '0' }, 1],
    [{ 'watchdog.stallMs': '0' }, 0],
  ] as const) {
    server = await startTestServer(flags);
    expect(workers.splice(0)).toHaveLength(OTHER_THREADS + threads);
    expect(server.probesUrl === undefined).toBe(!('probes.address' in flags));
    await server.close();
  }
  server = undefined;
});

test('when nobody looks for stalls, probes are answered all the same', async () => {
  server = await startTestServer({ ...PROBES, 'watchdog.stallMs': '0', 'watchdog.hungMs': '0' });
  await until('it is ready', async () => (await call(server!.probesUrl!, '/readyz')).status === 200);
  expect((await call(server.probesUrl!, '/livez')).status).toBe(200);
  await server.cache.refresh();
  await until('it has heard of the next generation', async () => {
    return (await call(server!.probesUrl!, '/readyz')).json<{ generation: number }>().generation === 2;
  });
});

test('when it dies it is started again, at the same address', async () => {
  server = await startTestServer(PROBES);
  const { probesUrl } = server;
  const dying = workers.at(-1)!;
  const ended = once(dying, 'exit');
  await dying.terminate();
  await ended;
  await expect(call(probesUrl!, '/livez')).rejects.toThrow();
  const answers = () => call(probesUrl!, '/metrics').catch(() => undefined);
  await until('it answers again', async () => (await answers())?.status === 200);
  expect((await call(server.url, '/livez')).status).toBe(200);
});

test('an address that is in use, or that is none, is named', async () => {
  server = await startTestServer(PROBES);
  const { host, port } = new URL(server.probesUrl!);
  await expect(startTestServer({ 'probes.address': host })).rejects.toThrow(
    `cannot listen on 127.0.0.1:${port}: the port is in use; choose another with --probes-address`,
  );
  await expect(startTestServer({ 'probes.address': '8119' })).rejects.toThrow(/probes.address: .*HOST:PORT/);
  await expect(startTestServer({ 'probes.address': '127.0.0.1:65536' })).rejects.toThrow(
    /probes.address: .*HOST:PORT/,
  );
});

test('when the server is about to stop it hears so at once', async () => {
  // Beats come four times a second.
  server = await startTestServer({
    ...PROBES,
    'watchdog.stallMs': '0',
    'shutdown.drainDelayMs': '5000',
  });
  await until('it is ready', async () => (await call(server!.probesUrl!, '/readyz')).status === 200);
  const stopping = server.stop();
  // This one may overtake the beat.
  await call(server.probesUrl!, '/readyz');
  expect((await call(server.probesUrl!, '/readyz')).json()).toMatchObject({ code: 'DRAINING' });
  await stopping;
});

test('one that cannot listen was never there', async () => {
  server = await startTestServer(PROBES);
  const lines: string[] = [];
  const log = pino({}, { write: line => void lines.push(line) });
  const flags = { 'probes.address': new URL(server.probesUrl!).host };
  await expect(startTestServer(flags, log)).rejects.toThrow(/the watchdog does not listen/);
  expect(lines.filter(line => /watchdog/.test(line))).toEqual([]);
});

test.each([
  [{ 'watchdog.stallMs': '2000', 'watchdog.hungMs': '1000' }, 'watchdog.hungMs: is below watchdog.stallMs'],
  [{ 'watchdog.stallMs': '99' }, 'watchdog.stallMs: is below 100, and not 0'],
  [{ 'watchdog.hungMs': '999', 'watchdog.stallMs': '0' }, 'watchdog.hungMs: is below 1000, and not 0'],
])('times that would be alarms without a reason are refused: %j', async (flags, message) => {
  await expect(startTestServer(flags)).rejects.toThrow(message);
});

test.each([
  ['127.0.0.1:0', '127.0.0.1', 'open', false],
  ['0.0.0.0:0', '127.0.0.1', 'open', true],
  ['0.0.0.0:0', '0.0.0.0', 'open', false],
  ['0.0.0.0:0', '0.0.0.0', 'keys', true],
] as const)(
  'metrics that more can reach by it are warned of: %s beside %s, %s',
  (address, host, mode, isWarned) => {
    const document = { source: 'nodes.csv', 'probes.address': address, host };
    const options = loadConfig({ document }).server;
    const warnings = accessWarnings({ ...options, access: { ...options.access, mode } });
    expect(warnings.some(warning => warning.includes('probes.address'))).toBe(isWarned);
  },
);
