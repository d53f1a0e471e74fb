/** F35 to F37, F47 to F49: what happens to the process as a whole, and to what it stands on. */
import { execFile } from 'node:child_process';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { platform } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, LOOPBACK } from '../../src/server/demo/free-port.ts';
import { findProgram } from '../support/server-program.ts';
import { Balancer } from './balancer.ts';
import type { Fault, FaultRun } from './fault.ts';
import { ask } from './served/http-call.ts';
import { ServedProcess } from './served/served-process.ts';

type Run = FaultRun;

const execute = promisify(execFile);
/** Faults that last so long make the long run, with the restarts that are promised of it. */
const LONG_SECONDS = 30;
const RESTARTS_LONG = 100;
/** What counts as a stall, the second that the debugger has, and some. */
const BLOCK_MS = 2_000;
const BLOCK_MS_MAX = 20_000;
const BLOCKS_MAX = 5;
/** Requests that can be under way at a moment. */
const UNDER_WAY_MAX = 64;
const CALL_TIMEOUT_MS = 5_000;
/** Goal of the paper for 100,000 nodes is 300 ms on a quiet machine. */
const FIRST_ANSWER_MS = 2_000;
const EXIT_TIMEOUT_MS = 20_000;
/** Well over what an ordinary stop takes here, and under the deadline. */
const STOPPED_MS = 12_000;
/** A balancer that stands still for a while sees it all the same. */
const SLOW_DRAIN = { 'shutdown-drain-delay-ms': '3000' };
/** No stall of a test is a hang. */
const PATIENT = { 'watchdog-hung-ms': '30000' };

/**
 * New process, ready; then the old one is told to go: again and again, under a balancer that asks /readyz.
 */
async function rollingRestarts(run: Run): Promise<void> {
  const { scene } = run;
  const balancer = new Balancer([scene.url]);
  scene.route = () => balancer.next();
  let old = scene.server;
  const launch = async (times: number) => {
    const port = await freePort();
    const flags = {
      ...SLOW_DRAIN,
      port: String(port),
      'snapshot-file': join(scene.folder, `snapshot-${times % 2}`),
    };
    return ServedProcess.start(scene.serveOptions(flags));
  };
  try {
    const restart = async (count: number) => {
      const next = await launch(count);
      await next.ready();
      balancer.add(next.url);
      await run.until('the balancer knows it', () => balancer.isReady(next.url));
      old.signal('SIGTERM');
      await run.until('the old one says that it is not ready', () => !balancer.isReady(old.url));
      await run.until('and ends', () => old.hasEnded, EXIT_TIMEOUT_MS);
      run.check(old.exitCode === 0, `with exit code 0: ${old.exitCode}`);
      balancer.remove(old.url);
      old = next;
    };
    let times = 0;
    if (run.seconds < LONG_SECONDS) times = await run.repeat(restart);
    else while (times < RESTARTS_LONG) await restart(times++);
    run.note(`${times} restarts`);
    run.count('rolling restarts', times);
    await scene.startServer();
    await scene.server.ready();
    balancer.add(scene.url);
    await run.until('the last one is known', () => balancer.isReady(scene.url));
    scene.target = scene.url;
    scene.route = undefined;
    await run.mend(
      () => undefined,
      'it is well',
      () => scene.isWell(),
    );
  } finally {
    scene.route = undefined;
    balancer.stop();
    await old.stop();
  }
}

async function killed(run: Run): Promise<void> {
  const { scene, load } = run;
  await run.until('there is a snapshot file', () => scene.isPersisted());
  const losses = load.allowLosses();
  await scene.server.kill();
  scene.target = undefined;
  await load.settled('during');
  load.allow(() => false);
  const lost = losses();
  run.check(lost <= UNDER_WAY_MAX, `no more requests are lost than were under way: ${lost}`);
  scene.loseSource();
  const startedMs = performance.now();
  await scene.startServer();
  const listensMs = performance.now();
  await run.until('it answers', async () => {
    const answer = await ask(scene.url, '/v1/selection?count=10', { timeoutMs: CALL_TIMEOUT_MS });
    return answer.status === 200;
  });
  const firstMs = performance.now() - listensMs;
  run.check(firstMs < FIRST_ANSWER_MS, `the first answer comes within ${FIRST_ANSWER_MS} ms`);
  run.note(
    `${lost} requests under way lost; up after ${Math.round(listensMs - startedMs)} ms, ` +
      `first answer ${Math.round(firstMs)} ms later`,
  );
  scene.target = scene.url;
  await run.last();
  run.check((await scene.status()).loader.restored?.generation !== undefined, 'it serves from the file');
  await run.mend(
    () => scene.proxy.mend(),
    'it loads',
    () => scene.isWell(),
  );
}

async function blockedLoop(run: Run): Promise<void> {
  const { scene, load } = run;
  const { server } = scene;
  const { generation, stalls } = await scene.status();
  const isReady = async () => (await server.probe('/readyz')).status === 200;
  // Until it is told, and not for a time: whoever watches may stand still for a while as well.
  const told = join(scene.folder, 'go-on');
  const expression = `(function busyWork() {
    const { existsSync } = process.getBuiltinModule('node:fs');
    const end = Date.now() + ${BLOCK_MS_MAX};
    while (!existsSync(${JSON.stringify(told)}) && Date.now() < end);
  })()`;
  let answeredMeanwhile = 0;
  const block = async () => {
    await rm(told, { force: true });
    const { answered } = load.counts('during');
    const blockedMs = performance.now();
    await server.inside('evaluate', { thread: 'main', expression });
    await run.until('the watchdog says that it is not ready', async () => !(await isReady()));
    run.check((await server.probe('/livez')).status === 200, 'the watchdog says that it lives');
    run.check((await server.probe('/metrics')).status === 200, 'metrics are to be had');
    await run.until('the other HTTP thread answers', () => load.counts('during').answered > answered);
    await run.until('it has lasted', () => performance.now() > blockedMs + BLOCK_MS);
    answeredMeanwhile += load.counts('during').answered - answered;
    await writeFile(told, '');
    await run.until('it answers again', async () => (await server.call('/livez')).status === 200);
    await run.until('it is ready again', isReady);
  };
  let times = 0;
  // A machine that is busy as well may leave the debugger no time: then it is asked anew.
  const isOver = async () => {
    await run.until(
      'each is counted',
      async () => (await scene.status()).stalls.count >= stalls.count + times,
    );
    return times >= BLOCKS_MAX || server.hasLogged(/busyWork.*stood still/);
  };
  do times += await run.repeat(block);
  while (!(await isOver()));
  run.note(`blocked ${times} times; ${answeredMeanwhile} answers meanwhile by the other thread`);
  await run.until('what it was at is logged', () => server.hasLogged(/busyWork.*stood still/));
  await run.until('loads go on', async () => (await scene.status()).generation > generation);
  run.check((await scene.status()).loader.restarts === 0, 'no thread is taken for dead');
  await run.mend(
    () => rm(told),
    'it is well',
    () => scene.isWell(),
  );
}

/** What it is started with, beside what is right; and what it names. */
type WrongStart = readonly [
  flags: Record<string, string>,
  environment: Record<string, string>,
  named: RegExp,
];

const WRONG_STARTS: readonly WrongStart[] = [
  [{ 'refresh-every-ms': 'soon' }, {}, /refresh-every-ms|refresh\.everyMs/],
  [{ 'refresh-evry-ms': '1000' }, {}, /refresh-evry-ms/],
  [{ 'refresh-every-ms': '1' }, {}, /refresh-every-ms|refresh\.everyMs/],
  [{}, { SORTITION_PORTT: '1' }, /SORTITION_PORTT/],
  [{ source: 'nowhere.xyz' }, {}, /nowhere\.xyz|source/],
  [{ 'admin-host': '0.0.0.0', 'admin-token': 'short' }, {}, /admin/],
];

async function refusesToStart(run: Run, [flags, environment, named]: WrongStart): Promise<void> {
  const port = String(await freePort());
  const server = ServedProcess.launch({ ...run.scene.serveOptions({ port, ...flags }), environment });
  await run.until('it ends', () => server.hasEnded, EXIT_TIMEOUT_MS).finally(() => server.kill());
  run.check(server.exitCode !== 0, `it refuses to start with ${JSON.stringify({ flags, environment })}`);
  run.check(named.test(server.said), `and names ${named}: ${server.said.slice(-300)}`);
}

async function wrongConfiguration(run: Run): Promise<void> {
  const { scene } = run;
  // In the short form not all of them: which ones, the seed says. Two at a time: this machine serves.
  const first = run.draw(WRONG_STARTS.length);
  const pairs = await run.repeat(async times => {
    const pair = [0, 1].map(i => WRONG_STARTS[(first + 2 * times + i) % WRONG_STARTS.length]!);
    await Promise.all(pair.map(wrong => refusesToStart(run, wrong)));
  });
  run.note(`${2 * pairs} wrong configurations`);
  await run.mend(
    () => undefined,
    'the one that runs is well',
    () => scene.isWell(),
  );
}

/** A pipe that is full and that nobody reads. */
async function fullPipe(folder: string): Promise<number> {
  const path = join(folder, `log-${performance.now()}`);
  await execute('mkfifo', [path]);
  const filling = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const junk = Buffer.alloc(4_096, '#');
  try {
    for (;;) writeSync(filling, junk);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  }
  // What is given to the server blocks, as a pipe of a shell does.
  const blocking = openSync(path, constants.O_RDWR);
  closeSync(filling);
  return blocking;
}

async function blockedLog(run: Run): Promise<void> {
  const { scene } = run;
  const pipe = await fullPipe(scene.folder);
  await scene.stopServer();
  const server = ServedProcess.launch({ ...scene.serveOptions({ 'log-level': 'trace' }), logTo: pipe });
  try {
    server.listensAt(scene.url);
    await server.ready();
    scene.load.forgetGenerations();
    scene.route = () => scene.url;
    const { generation } = await server.status();
    await run.last();
    await run.until('loads go on', async () => (await server.status()).generation > generation);
    scene.route = () => undefined;
    await scene.load.settled('during');
    const stoppingMs = performance.now();
    server.signal('SIGTERM');
    await run.until('it has ended', () => server.hasEnded, STOPPED_MS);
    const tookMs = Math.round(performance.now() - stoppingMs);
    run.note(`ended ${tookMs} ms after the signal`);
  } finally {
    await server.kill();
    closeSync(pipe);
    scene.route = undefined;
  }
  await scene.startServer({});
  await scene.server.ready();
  scene.target = scene.url;
  await run.mend(
    () => undefined,
    'it is well',
    () => scene.isWell(),
  );
}

async function noPrlimit(): Promise<string | undefined> {
  if (platform() !== 'linux') return 'needs Linux';
  return (await findProgram(['prlimit'])) === undefined ? 'needs the program prlimit' : undefined;
}

/** Room for what the process itself opens: files of loads, connections to the database. */
const SPARE_DESCRIPTORS = 4;
const CONNECTIONS = 100;

async function noDescriptors(run: Run): Promise<void> {
  const { scene, load } = run;
  const { pid } = scene.server;
  const open = (await readdir(`/proc/${pid}/fd`)).length;
  const limit = (count: number) => execute('prlimit', ['--pid', String(pid), `--nofile=${count}:`]);
  const { stdout } = await execute('prlimit', [
    '--pid',
    String(pid),
    '--nofile',
    '--output=SOFT',
    '--noheadings',
  ]);
  // Connections that the load opens anew meanwhile are refused like anybody's.
  load.allow(
    () => false,
    error => (error as NodeJS.ErrnoException).code === 'ECONNRESET',
  );
  await limit(open + SPARE_DESCRIPTORS);
  const sockets: Socket[] = [];
  try {
    for (let i = 0; i < CONNECTIONS; i++) {
      const socket = connect({ port: Number(new URL(scene.url).port), host: LOOPBACK });
      socket.on('error', () => undefined);
      sockets.push(socket);
    }
    await run.last();
    run.check(!scene.server.hasEnded, 'the process lives');
    const during = load.counts('during');
    await run.until('whoever is connected is served', () => during.answered > during.sent * 0.8);
    run.note(`${open} descriptors, ${during.refused} new connections of the load refused`);
  } finally {
    for (const socket of sockets) socket.destroy();
    await limit(Number(stdout.trim()));
  }
  await run.mend(
    () => undefined,
    'new connections are taken',
    async () => {
      const answer = await scene.server.call('/livez').catch(() => undefined);
      return answer?.status === 200 && (await scene.isWell());
    },
  );
  load.allow(() => false);
}

export const PROCESS_FAULTS: readonly Fault[] = [
  {
    number: 'F35',
    name: 'SIGTERM: rolling restarts behind a balancer',
    flags: SLOW_DRAIN,
    run: rollingRestarts,
  },
  { number: 'F36', name: 'SIGKILL, and a start with the source away', run: killed },
  { number: 'F37', name: 'main event loop blocked for seconds', flags: PATIENT, run: blockedLoop },
  { number: 'F47', name: 'wrong configuration', run: wrongConfiguration },
  { number: 'F48', name: 'log is a full pipe that nobody reads', run: blockedLog },
  { number: 'F49', name: 'no file descriptors left', unavailable: noPrlimit, run: noDescriptors },
];
