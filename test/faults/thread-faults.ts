/** F13 to F18, F37: threads of the served process that throw, end, hang or run out of memory. */
import type { Fault, FaultRun } from './fault.ts';
import type { ThreadKind, TrapAction } from './served/inside-messages.ts';
import type { ServedScene } from './served-scene.ts';
import { DELTA_STEPS, LOAD_STEPS, placeOf, type Step } from './steps.ts';

type Run = FaultRun<ServedScene>;

const BATCH = { requests: [{ count: 10 }, { count: 5 }] };
/** The deadline of a task of the pool is ten times it. */
const SHORT_HANDLER_FLAGS = { 'http-handler-timeout-ms': '100' };
const STALL_MS = 400;

const SERVES_AGAIN = /an HTTP thread serves again/;

const EXIT = 'process.exit(5)';
const THROW = 'queueMicrotask(() => { throw new Error("a bug in a worker") })';
const SPIN = 'for (;;) {}';
/** Not in the debugger's own call: what runs out of memory there ends the process. */
const HOG = '() => { let list; for (;;) list = { list }; }';
const FILL_WORKER_HEAP = `queueMicrotask(${HOG})`;
const FILL_LOADER_HEAP = `setTimeout(${HOG}, 1)`;
const REJECT = 'void Promise.reject(new Error("a bug in the loader"))';

async function threadsOf(run: Run, thread: ThreadKind): Promise<readonly number[]> {
  return run.scene.server.inside('threads', { thread });
}

/** Has every thread of that kind replaced by another, by what is done to it. */
async function replaced(run: Run, thread: ThreadKind, harm: () => Promise<unknown>): Promise<void> {
  const before = await threadsOf(run, thread);
  await harm();
  await run.until('another thread has its place', async () => {
    const now = await threadsOf(run, thread);
    return now.length >= before.length && before.every(id => !now.includes(id));
  });
}

/** Batches need the pool: they fail while it has nobody, and as soon as it has, they do not. */
async function batchesWork(run: Run): Promise<boolean> {
  const answer = await run.scene.server.call('/v1/selections', BATCH);
  return answer.status === 200;
}

function harmWorkers(harms: readonly string[], share = 1): Fault['run'] {
  return async run => {
    const { server } = run.scene;
    const times = await run.repeat(async count => {
      const expression = harms[count % harms.length]!;
      await replaced(run, 'selection', async () => {
        await server.inside('evaluate', { thread: 'selection', expression });
        // A worker that waits for a task runs nothing before it has one, and this one may be lost with it.
        await batchesWork(run).catch(() => false);
      });
      await run.until('batches are answered', () => batchesWork(run));
    }, share);
    run.note(`${times} times`);
    run.check(!server.hasEnded, 'the process lives');
    await run.mend(
      () => undefined,
      'batches are answered',
      () => batchesWork(run),
    );
  };
}

async function terminatedReaders(run: Run): Promise<void> {
  const { server } = run.scene;
  const times = await run.repeat(async () => {
    await replaced(run, 'selection', () => server.inside('terminate', { thread: 'selection', count: 1 }));
    await run.until('batches are answered', () => batchesWork(run));
  });
  run.note(`${times} terminated`);
  await run.mend(
    () => undefined,
    'batches are answered',
    () => batchesWork(run),
  );
}

function isOfEndedThread(error: Error): boolean {
  const { code, message } = error as NodeJS.ErrnoException;
  return /ECONNRESET|hang up|no answer/.test(`${code} ${message}`);
}

/** From now on no connection may break. */
async function serveWithoutLoss(run: Run): Promise<void> {
  await run.last(0.5);
  run.load.allow(() => false);
  await run.mend(
    () => undefined,
    'it is well',
    () => run.scene.isWell(),
  );
}

async function terminatedHttpThread(run: Run): Promise<void> {
  const { scene, load } = run;
  // Its connections break: that is what it costs, and the limit of it.
  load.allow(() => false, isOfEndedThread);
  const before = (await scene.status()).httpThreadRestarts;
  const loggedBefore = scene.server.log.length;
  await replaced(run, 'http', () => scene.server.inside('terminate', { thread: 'http', count: 1 }));
  await run.until('it shows', async () => (await scene.status()).httpThreadRestarts > before);
  await run.until('it serves again', () => scene.server.hasLogged(SERVES_AGAIN, loggedBefore));
  const { refused } = load.counts('during');
  run.note(`${refused} requests lost with their connections`);
  run.check(refused <= 64, 'no more than were under way');
  await serveWithoutLoss(run);
}

async function hungHttpThread(run: Run): Promise<void> {
  const { scene } = run;
  const { server } = scene;
  // Its connections wait until it is replaced, and break then: that is what it costs, and the limit of it.
  run.load.allow(() => false, isOfEndedThread);
  const { httpThreadRestarts } = await scene.status();
  const loggedBefore = server.log.length;
  const startedMs = performance.now();
  run.check((await server.inside('evaluate', { thread: 'http', expression: SPIN })) === 1, 'one hangs');
  await run.until('it is replaced', async () => {
    // Half of the questions go to the one that hangs.
    const status = await scene.status().catch(() => undefined);
    return status !== undefined && status.httpThreadRestarts > httpThreadRestarts;
  });
  await run.until('the new one serves', () => server.hasLogged(SERVES_AGAIN, loggedBefore));
  run.note(`replaced after ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`);
  await serveWithoutLoss(run);
}

/** A row changes, so that there is a delta. */
async function touchRow(scene: ServedScene): Promise<void> {
  await scene.postgres.client.query(
    `UPDATE nodes SET last_ip_port = split_part(last_ip_port, ':', 1) || ':' || (20000 + random() * 9999)::int
      WHERE id = (SELECT id FROM nodes WHERE last_ip_port NOT LIKE '[%' AND disqualified IS NULL
        AND exit_finished_at IS NULL AND last_contact_success > now() - interval '1 hour' LIMIT 1)`,
  );
}

/** Catches the loader at the step, does that to it, and waits until all is well again. */
async function caughtAt(run: Run, step: Step, action: TrapAction): Promise<void> {
  const { scene } = run;
  const { server } = scene;
  const place = placeOf(step);
  const { restarts } = (await scene.status()).loader;
  await server.inside('set', { trap: { place, action, times: 1 } });
  // Only a loader that has just started comes there.
  if (step === 'start') await server.inside('terminate', { thread: 'loader', count: 1 });
  await run.until(`the loader comes to "${step}"`, async () => {
    if (DELTA_STEPS.includes(step)) await touchRow(scene);
    return (await server.inside('sprung', { place })) > 0;
  });
  run.hit(step);
  if (action.kind !== 'stall') {
    await run.until('it is started again', async () => (await scene.status()).loader.restarts > restarts);
  }
  const { succeeded } = await scene.refreshes();
  await run.until('it loads', async () => (await scene.refreshes()).succeeded > succeeded);
}

function loaderAtSteps(steps: readonly Step[], actions: readonly TrapAction[]): Fault['run'] {
  return async run => {
    const { server } = run.scene;
    const { generation } = await run.scene.status();
    let killed = 0;
    const rounds = await run.repeat(async round => {
      for (const [i, step] of steps.entries()) {
        await caughtAt(run, step, actions[(i + round) % actions.length]!);
        killed++;
      }
    });
    run.note(`${killed} times at ${steps.length} steps, ${rounds} rounds`);
    const status = await run.scene.status();
    run.check(status.generation > generation, 'generations went on');
    await run.until(
      'the log says so',
      () => server.hasLogged(/the loader thread had to be started again/) || actions[0]!.kind === 'stall',
    );
    await run.mend(
      () => server.inside('clear'),
      'it is well',
      () => run.scene.isWell(),
    );
  };
}

const ENDS: readonly TrapAction[] = [{ kind: 'exit' }, { kind: 'terminate' }];

async function killedAtRandom(run: Run): Promise<void> {
  const { scene } = run;
  const { server } = scene;
  const { setTimeout: delay } = await import('node:timers/promises');
  const { restarts } = (await scene.status()).loader;
  const times = await run.repeat(async () => {
    await delay(run.draw(300));
    await server.inside('terminate', { thread: 'loader', count: 1 });
    await run.until('there is a loader', async () => (await threadsOf(run, 'loader')).length > 0);
  });
  run.note(`${times} kills`);
  await run.until(
    'the metric of restarts is up',
    async () => (await server.metric('loader_restarts_total')) > restarts,
  );
  await run.mend(() => undefined, 'it loads', await scene.loadedAgain(), 40_000);
}

function harmLoader(expression: string): Fault['run'] {
  return async run => {
    const { scene } = run;
    const { restarts } = (await scene.status()).loader;
    await scene.server.inside('evaluate', { thread: 'loader', expression });
    await run.until(
      'the loader is started again',
      async () => (await scene.status()).loader.restarts > restarts,
      30_000,
    );
    const { lastError } = (await scene.status()).loader;
    run.check(
      lastError === undefined || lastError.code === 'LOADER_LOST' || lastError.code.startsWith('SOURCE_'),
      `the status says what was: ${lastError?.code}`,
    );
    await run.until('the log says so', () => scene.server.hasLogged(/LOADER_LOST/));
    await run.mend(() => undefined, 'it loads', await scene.loadedAgain());
  };
}

async function spinningLoader(run: Run): Promise<void> {
  const { scene } = run;
  await scene.server.inside('evaluate', { thread: 'loader', expression: SPIN });
  scene.load.silentSince(performance.now());
  await run.last();
  run.check((await scene.status()).ready, 'it is ready');
  await run.mend(
    () => scene.server.inside('terminate', { thread: 'loader', count: 1 }),
    'it loads',
    await scene.loadedAgain(),
  );
}

/** By default a heap may grow to gigabytes, which takes longer than a fault lasts. */
const HEAP_FLAGS = ['--max-old-space-size=128'];

async function loaderWithoutMemory(run: Run): Promise<void> {
  const { scene } = run;
  await scene.restartServer({ nodeFlags: HEAP_FLAGS });
  await harmLoader(FILL_LOADER_HEAP)(run);
  await scene.restartServer();
}

export const THREAD_FAULTS: readonly Fault[] = [
  { number: 'F13', name: 'a worker exits or throws', run: harmWorkers([EXIT, THROW]) },
  { number: 'F14', name: 'a worker runs out of memory', run: harmWorkers([FILL_WORKER_HEAP], 0.5) },
  { number: 'F15', name: 'a worker spins', flags: SHORT_HANDLER_FLAGS, run: harmWorkers([SPIN], 0.1) },
  { number: 'F16', name: 'a worker is terminated while it reads', run: terminatedReaders },
  { number: 'F16', name: 'an HTTP thread is terminated', run: terminatedHttpThread },
  { number: 'F37', name: 'an HTTP thread hangs', run: hungHttpThread },
  {
    number: 'F17',
    name: 'loader ended at each step of a load and a delta',
    run: loaderAtSteps([...LOAD_STEPS, ...DELTA_STEPS, 'start'], ENDS),
  },
  { number: 'F17', name: 'loader terminated at any moment', run: killedAtRandom },
  {
    number: 'F17',
    name: 'loader stands still before and after publishing',
    run: loaderAtSteps(['publish', 'persist'], [{ kind: 'stall', ms: STALL_MS }]),
  },
  { number: 'F18', name: 'unhandled rejection in the loader', run: harmLoader(REJECT) },
  { number: 'F18', name: 'loader spins', run: spinningLoader },
  {
    number: 'F18',
    name: 'loader runs out of memory',
    run: loaderWithoutMemory,
  },
];
