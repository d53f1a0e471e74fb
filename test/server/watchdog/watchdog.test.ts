/**
 * The watchdog of a served process whose main thread stands still: what probes are told meanwhile, what is
 * logged of it, and what is counted; and HTTP threads that hang.
 */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { freePort } from '../../../src/server/demo/free-port.ts';
import { ServedProcess, type ServeFlags } from '../../faults/served/served-process.ts';
import { until } from '../../support/until.ts';
import { nodesCsv, type TemporaryFolder, temporaryFolder, testNodes } from '../support/nodes.ts';

/** A main thread that is late because the machine is busy does not stand still for so long. */
const STALL_MS = 1_000;
const HUNG_MS = 2_000;
/** No stall of a test is a hang. */
const PATIENT: ServeFlags = { 'watchdog-hung-ms': '60000' };
/** From when it is not ready: the next look, the second that the debugger has, and some. */
const ASKED_MS = 2_500;
const BUSY_TIMES_MAX = 5;
/** Then it goes on by itself, where a test has failed that would have told it to. */
const STILL_MS_MAX = 30_000;
const FLAGS: ServeFlags = {
  port: '0',
  'probes-address': '127.0.0.1:0',
  'watchdog-stall-ms': String(STALL_MS),
  'watchdog-hung-ms': String(HUNG_MS),
  'http-threads': '1',
  'worker-pool-threads': '1',
  'http-event-loop-delay-max-ms': '0',
  'shutdown-drain-delay-ms': '0',
  'log-format': 'json',
};

let folder: TemporaryFolder;
let server: ServedProcess | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
  await folder.remove();
});

interface StallLine {
  readonly level: number;
  readonly msg: string;
  readonly stalledMs: number;
  readonly stack?: readonly string[];
  readonly noStack?: string;
}

async function start(flags: ServeFlags = {}): Promise<ServedProcess> {
  folder = await temporaryFolder();
  const source = await folder.file('nodes.csv', nodesCsv(testNodes()));
  server = await ServedProcess.start({ flags: { ...FLAGS, source, ...flags }, cwd: folder.path });
  await server.ready();
  return server;
}

const probe = (path: string) => server!.probe(path);

function stallLines(pattern: RegExp): StallLine[] {
  return (server!.log as readonly unknown[] as StallLine[]).filter(({ msg }) => pattern.test(msg));
}

const STOOD_STILL = /has stood still/;
const HANGS = /hangs/;

const inMain = (expression: string) => server!.inside('evaluate', { thread: 'main', expression });
/** It stands still until this is there, and not for a time: whoever watches may stand still as well. */
const goOn = () => join(folder.path, 'go-on');

async function busy(): Promise<void> {
  await rm(goOn(), { force: true });
  await inMain(`setTimeout(function busyWork() {
    const { existsSync } = process.getBuiltinModule('node:fs');
    const end = Date.now() + ${STILL_MS_MAX};
    while (!existsSync(${JSON.stringify(goOn())}) && Date.now() < end);
  }, 1)`);
}

/** Not the debugger's to stop. */
async function asleep(): Promise<void> {
  await rm(goOn(), { force: true });
  const command = `for i in $(seq ${STILL_MS_MAX / 100}); do test -e '${goOn()}' && break; sleep 0.1; done`;
  const work = `process.getBuiltinModule('node:child_process').execSync(${JSON.stringify(command)})`;
  await inMain(`setTimeout(() => ${work}, 1)`);
}

/** Tells it, and returns when its event loop turns again. */
async function goesOn(): Promise<void> {
  await writeFile(goOn(), '');
  await until('the main thread answers', async () => (await server!.call('/livez')).status === 200);
}

/** It is seen to stand still, and goes on when the debugger has been asked. */
async function standsStill(): Promise<void> {
  await until('it is not ready', async () => (await probe('/readyz')).status === 503);
  const seenMs = performance.now();
  await until('the debugger has been asked', () => performance.now() > seenMs + ASKED_MS);
  await goesOn();
}

const isBusyWork = ({ stack = [] }: StallLine) => stack.join('\n').includes('busyWork');

/** What is said of a stall that is over. */
async function stallLine(isIt: (line: StallLine) => boolean): Promise<StallLine> {
  await until('the stall is logged', () => stallLines(STOOD_STILL).some(isIt));
  return stallLines(STOOD_STILL).find(isIt)!;
}

/** Busy again until a stall is logged so: a machine that is busy, too, may leave the debugger no time. */
async function busyUntilLogged(
  isIt: (line: StallLine) => boolean,
  meanwhile: () => Promise<void> = async () => undefined,
): Promise<StallLine> {
  for (let times = 0; times < BUSY_TIMES_MAX; times++) {
    const before = stallLines(STOOD_STILL).length;
    await busy();
    await meanwhile();
    await standsStill();
    await until('the stall is logged', () => stallLines(STOOD_STILL).length > before);
    const line = stallLines(STOOD_STILL).find(isIt);
    if (line !== undefined) return line;
  }
  throw new Error(`not among ${JSON.stringify(stallLines(STOOD_STILL))}`);
}

test('while the main thread is busy: alive, not ready, metrics; then logged with the stack', async () => {
  await start(PATIENT);
  expect((await probe('/readyz')).json()).toEqual({ status: 'ready', generation: 1 });
  const line = await busyUntilLogged(isBusyWork, async () => {
    await until('it is not ready', async () => (await probe('/readyz')).status === 503);
    expect((await probe('/readyz')).json()).toMatchObject({ code: 'STALLED' });
    expect((await probe('/livez')).status).toBe(200);
    const metrics = await probe('/metrics');
    expect(metrics.text).toMatch(/^sortition_generation 1$/m);
    expect(Number(/^sortition_metrics_age_seconds (\S+)$/m.exec(metrics.text)![1])).toBeGreaterThan(0);
  });
  expect(line.stalledMs).toBeGreaterThan(STALL_MS);
  await until('it is ready again', async () => (await probe('/readyz')).status === 200);
  expect(stallLines(HANGS)).toEqual([]);
  // A machine that is busy enough makes stalls of its own.
  const all = stallLines(STOOD_STILL).map(({ stalledMs }) => stalledMs);
  const totalMs = all.reduce((sum, ms) => sum + ms, 0);
  expect((await server!.status()).stalls).toEqual({ count: all.length, totalMs });
  expect(await server!.metric('stalls_total')).toBe(all.length);
});

test('while it hangs for longer: not alive, and logged at once, by the watchdog itself', async () => {
  await start();
  await busy();
  await until('it is not alive', async () => (await probe('/livez')).status === 503);
  await until('it is logged', () => stallLines(HANGS).length === 1);
  expect(stallLines(STOOD_STILL).filter(isBusyWork)).toEqual([]);
  expect(stallLines(HANGS)[0]!.stack!.join('\n')).toContain('busyWork');
  await goesOn();
  await stallLine(isBusyWork);
  expect((await probe('/livez')).status).toBe(200);
  expect(stallLines(HANGS)).toHaveLength(1);
});

test('it is asked once a minute what it is at, and always when it hangs', async () => {
  // The first two are far from a hang.
  await start({ 'watchdog-hung-ms': '8000' });
  await busyUntilLogged(({ stack }) => stack !== undefined);
  await busyUntilLogged(({ noStack = '' }) => /less than 60000 ms/.test(noStack));
  await busy();
  await until('the hang is logged', () => stallLines(HANGS).length === 1);
  expect(stallLines(HANGS)[0]!.stack!.join('\n')).toContain('busyWork');
  await goesOn();
});

test('in lines for people, too, a hang is logged while it lasts', async () => {
  folder = await temporaryFolder();
  const source = await folder.file('nodes.csv', nodesCsv(testNodes()));
  const port = String(await freePort());
  server = ServedProcess.launch({
    flags: { ...FLAGS, source, port, 'log-format': 'pretty' },
    cwd: folder.path,
  });
  server.listensAt(`http://127.0.0.1:${port}`);
  await server.ready();
  await busy();
  await until('it is logged', () => server!.said.includes('the main thread hangs'));
  expect(server!.said).not.toContain('has stood still');
  await goesOn();
});

test('a thread that may be at a breakpoint neither stalls nor hangs', async () => {
  folder = await temporaryFolder();
  const source = await folder.file('nodes.csv', nodesCsv(testNodes()));
  const nodeFlags = ['--inspect=127.0.0.1:0'];
  server = await ServedProcess.start({ flags: { ...FLAGS, source }, cwd: folder.path, nodeFlags });
  await server.ready();
  await busy();
  const startedMs = performance.now();
  while (performance.now() < startedMs + HUNG_MS + STALL_MS)
    expect((await probe('/readyz')).status).toBe(200);
  await goesOn();
  expect((await server.status()).stalls.count).toBe(0);
});

test('inside a call of the system nobody can say where: logged, and nothing stays paused', async () => {
  // A hang would be asked about anew, perhaps until it goes on.
  await start(PATIENT);
  await asleep();
  await standsStill();
  const line = await stallLine(({ noStack = '' }) => /a call of the system/.test(noStack));
  expect(line.stalledMs).toBeGreaterThan(STALL_MS);
  await busyUntilLogged(isBusyWork);
});

test('a process that was stopped has not stood still', async () => {
  await start(PATIENT);
  server!.signal('SIGSTOP');
  await sleep(2 * STALL_MS);
  server!.signal('SIGCONT');
  expect((await probe('/readyz')).status).toBe(200);
  await busy();
  await standsStill();
  // Longer than it was stopped.
  await stallLine(({ stalledMs }) => stalledMs > 3 * STALL_MS);
  expect(stallLines(STOOD_STILL)).toHaveLength(1);
});

test('the reasons of the main thread are said: draining, until it has ended', async () => {
  await start({ 'shutdown-drain-delay-ms': '5000' });
  server!.signal('SIGTERM');
  await until('it says so', async () => (await probe('/readyz')).status === 503);
  expect((await probe('/readyz')).json()).toMatchObject({ code: 'DRAINING' });
  expect((await probe('/livez')).status).toBe(200);
  await server!.ended();
  expect(server!.exitCode).toBe(0);
});

test('before the first load it is not ready, and says why', async () => {
  folder = await temporaryFolder();
  const flags = {
    ...FLAGS,
    source: 'later.csv',
    'refresh-backoff-first-ms': '20',
    'refresh-backoff-longest-ms': '100',
  };
  server = await ServedProcess.start({ flags, cwd: folder.path });
  await until('the load has failed', async () =>
    (await probe('/readyz')).text.includes('SOURCE_UNAVAILABLE'),
  );
  expect((await probe('/readyz')).json()).toMatchObject({ code: 'SNAPSHOT_NOT_READY' });
  await folder.file('later.csv', nodesCsv(testNodes()));
  await until('it is ready', async () => (await probe('/readyz')).status === 200);
});

test('an HTTP thread that cannot be ended is said to hang at once, and holds up no shutdown', async () => {
  await start({ 'http-threads': '2', 'shutdown-deadline-ms': '1000' });
  const expression = `process.getBuiltinModule('node:child_process').execSync('sleep 30')`;
  await server!.inside('evaluate', { thread: 'http', expression });
  await until('it is logged', () => stallLines(/an HTTP thread hangs/).length === 1);
  const stopping = performance.now();
  server!.signal('SIGTERM');
  await server!.ended();
  expect(performance.now() - stopping).toBeLessThan(20_000);
});

test('an HTTP thread that hangs is replaced', async () => {
  await start({ 'http-threads': '2' });
  const [before] = await server!.inside('threads', { thread: 'http' });
  await server!.inside('evaluate', { thread: 'http', expression: 'for (;;) {}' });
  await until('another one serves', () => server!.hasLogged(/an HTTP thread serves again/));
  const [now] = await server!.inside('threads', { thread: 'http' });
  expect(now).not.toBe(before);
  const lines = server!.log.filter(({ msg }) => /an HTTP thread has ended/.test(msg));
  expect(lines).toMatchObject([{ httpThread: 1, reason: 'its event loop has stood still for 3 s' }]);
  const answers = await Promise.all(Array.from({ length: 40 }, () => server!.call('/v1/selection?count=3')));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect((await server!.status()).httpThreadRestarts).toBe(1);
});

test('what it is not asked for is refused as everywhere', async () => {
  await start();
  expect((await probe('/v1/selection')).json()).toMatchObject({ code: 'NOT_FOUND' });
  expect((await probe('/readyz?verbose')).status).toBe(200);
});
