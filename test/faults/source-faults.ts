/** F1 to F7: what databases and the way to them do. */
import { rm } from 'node:fs/promises';
import type { Fault, FaultRun } from './fault.ts';
import { ask } from './served/http-call.ts';
import type { ServedScene } from './served-scene.ts';

/** From a process that listens to its first right answer. */
const FIRST_ANSWER_MS = 2_000;
const CALL_TIMEOUT_MS = 5_000;
/** Bytes of a connection after which it is cut: from the first to more than a load has. */
const CUT_BYTES_MAX = 400_000;
const DRIP_BYTES_PER_SECOND = 4_000;
/** What asks for changes meets neither lock nor drip, and rightly says that there were none. */
const LOADS_ALONE = { 'source-changes': 'none' };

type Run = FaultRun<ServedScene>;

/**
 * The source does not answer: what is served stays, is ready, and says that it gets old. Returns the code of
 * the first failure that was seen.
 */
async function servesLastGood({ scene, check, until }: Bound): Promise<string> {
  let status = await scene.status();
  await until('a load has failed', async () => {
    status = await scene.status();
    return status.loader.lastError !== undefined;
  });
  const { ready, loader, generation, ageMs } = status;
  const { code } = loader.lastError!;
  check(ready && generation > 0 && ageMs !== null, 'it is ready, with the last good generation');
  check((await scene.server.call('/readyz')).status === 200, '/readyz says yes');
  check(code.startsWith('SOURCE_'), `the failure is of the source: ${code}`);
  await until(
    'the metric of failures in a row is up',
    async () => (await scene.server.metric('failures_consecutive')) > 0,
  );
  await until('the log says that the last good one stays', () =>
    scene.server.hasLogged(/the last good one stays/),
  );
  return code;
}

type Bound = Pick<Run, 'scene' | 'check' | 'until'>;
const bound = (run: Run): Bound => ({
  scene: run.scene,
  check: (holds, what) => run.check(holds, what),
  until: (what, condition, ms) => run.until(what, condition, ms),
});

const isWell = (run: Run) => () => run.scene.isWell();

async function bootFromDisk(run: Run): Promise<void> {
  const { scene } = run;
  await run.until('there is a snapshot file', () => scene.isPersisted());
  await scene.stopServer();
  scene.loseSource();
  await scene.startServer();
  const listensMs = performance.now();
  await run.until('it answers', async () => {
    const answer = await ask(scene.url, '/v1/selection?count=10', { timeoutMs: CALL_TIMEOUT_MS });
    return answer.status === 200;
  });
  const firstMs = performance.now() - listensMs;
  run.note(`first answer ${Math.round(firstMs)} ms after it listens`);
  run.check(firstMs < FIRST_ANSWER_MS, `the first answer comes within ${FIRST_ANSWER_MS} ms`);
  scene.target = scene.url;
  const { loader, ready } = await scene.status();
  run.check(ready && loader.restored?.generation !== undefined, 'it is ready, from the snapshot file');
  run.check(loader.lastLoad === undefined, 'and has loaded nothing');
  run.hit('restore');
  await run.last();
  await run.until('the failure shows', async () => (await scene.status()).loader.lastError !== undefined);
  await run.mend(() => scene.proxy.mend(), 'it loads', isWell(run));
}

async function bootWithNothing(run: Run): Promise<void> {
  const { scene, load } = run;
  await scene.stopServer();
  await rm(scene.snapshotFile);
  await rm(`${scene.snapshotFile}.previous`, { force: true });
  scene.proxy.refuse();
  scene.proxy.cut();
  await scene.startServer();
  load.allow(({ status, text }) => status === 503 && text.includes('SNAPSHOT_NOT_READY'));
  scene.target = scene.url;
  run.check((await scene.server.call('/livez')).status === 200, '/livez says yes');
  const ready = await scene.server.call('/readyz');
  run.check(ready.status === 503, '/readyz says no');
  await run.until('/readyz says why', async () => /SOURCE_/.test((await scene.server.call('/readyz')).text));
  await run.last();
  run.check(!scene.server.hasEnded, 'the process stays');
  run.check((await scene.status()).loader.restarts === 0, 'and so does the loader');
  run.check(load.counts('during').refused > 0, 'requests were refused');
  await run.mend(() => scene.proxy.mend(), 'it is ready', isWell(run));
  load.allow(() => false);
}

async function lostDuringRefresh(run: Run): Promise<void> {
  const { scene } = run;
  const before = await scene.refreshes();
  const { generation } = await scene.status();
  const times = await run.repeat(async () => {
    // As many small ones as large ones.
    const bytes = Math.floor(CUT_BYTES_MAX ** run.random());
    const { failed, succeeded } = await scene.refreshes();
    scene.proxy.cutAfter('toClient', bytes);
    scene.proxy.cut();
    await run.until('a load has met it', async () => {
      const now = await scene.refreshes();
      return now.failed > failed || now.succeeded > succeeded + 1;
    });
  });
  const { failed } = await scene.refreshes();
  run.note(`cut at ${times} places, ${failed - before.failed} loads failed`);
  scene.loseSource();
  await servesLastGood(bound(run));
  run.check((await scene.status()).generation >= generation, 'the generation has not gone back');
  run.hit('read', failed - before.failed);
  await run.mend(() => scene.proxy.mend(), 'it loads', isWell(run));
}

async function killedSessions(run: Run): Promise<void> {
  const { scene } = run;
  const kill = `SELECT count(pg_terminate_backend(pid))::int AS count FROM pg_stat_activity
    WHERE application_name LIKE 'sortition%'
      AND application_name NOT IN ('sortition test', 'sortition fault')`;
  let killed = 0;
  await run.repeat(async () => {
    const { rows } = await scene.postgres.client.query(kill);
    killed += (rows[0] as { count: number }).count;
  });
  run.check(killed > 0, 'sessions were killed');
  run.note(`${killed} sessions killed`);
  await run.mend(() => undefined, 'it loads', await scene.loadedAgain());
}

async function hungQuery(run: Run): Promise<void> {
  const { scene } = run;
  const other = await scene.connect();
  try {
    await other.query('BEGIN');
    await other.query('LOCK TABLE nodes IN ACCESS EXCLUSIVE MODE');
    scene.load.silentSince(performance.now());
    await run.last();
    const code = await servesLastGood(bound(run));
    run.check(code === 'SOURCE_TIMEOUT', `it is a timeout: ${code}`);
    const { rows } = await other.query(
      `SELECT count(*)::int AS count FROM pg_stat_activity WHERE wait_event_type = 'Lock'`,
    );
    const { count } = rows[0] as { count: number };
    run.check(count <= 2, `no more than two sessions wait for the table: ${count}`);
    await run.mend(() => other.query('ROLLBACK'), 'it loads', isWell(run));
  } finally {
    await other.end();
  }
}

async function slowDrip(run: Run): Promise<void> {
  const { scene } = run;
  scene.proxy.drip(DRIP_BYTES_PER_SECOND);
  scene.load.silentSince(performance.now());
  await run.last();
  const code = await servesLastGood(bound(run));
  run.check(code === 'SOURCE_TIMEOUT', `it is a timeout: ${code}`);
  await run.mend(
    () => {
      scene.proxy.mend();
      scene.proxy.cut();
    },
    'it loads',
    isWell(run),
  );
}

async function stalledWay(run: Run): Promise<void> {
  const { scene } = run;
  scene.proxy.swallow('toClient');
  scene.load.silentSince(performance.now());
  await run.last();
  await servesLastGood(bound(run));
  await run.mend(() => scene.proxy.mend(), 'it loads', isWell(run));
}

/**
 * Without TLS nothing protects a row on its way: what is garbled in the middle of one is a row. So it is
 * no fault of the server's to serve it; it is one to fall over it, or not to be rid of it afterwards.
 */
async function garbledWay(run: Run): Promise<void> {
  const { scene } = run;
  scene.trustsRows = false;
  const { random } = run;
  const before = await scene.refreshes();
  await run.repeat(async times => {
    scene.proxy.garble({ share: 0.3, random });
    if (times % 2 === 1) scene.proxy.duplicate({ share: 0.2, random });
    scene.proxy.cut();
    const { failed, succeeded } = await scene.refreshes();
    await run.until('a load has met it', async () => {
      const now = await scene.refreshes();
      return now.failed > failed || now.succeeded > succeeded + 1;
    });
  });
  const { failed } = await scene.refreshes();
  run.note(`${failed - before.failed} loads failed`);
  scene.proxy.mend();
  await run.mend(() => scene.proxy.cut(), 'it loads', await scene.loadedAgain());
  await scene.load.settled('during');
  scene.trustsRows = true;
}

/** What is done to the table, what is named, and how it is undone. */
const SCHEMA_CHANGES: readonly (readonly [harm: string, named: RegExp, mended: string])[] = [
  [
    'ALTER TABLE nodes RENAME COLUMN last_ip_port TO ip_port',
    /last_ip_port/,
    'ALTER TABLE nodes RENAME COLUMN ip_port TO last_ip_port',
  ],
  [
    'ALTER TABLE nodes RENAME COLUMN vetted_at TO vetted',
    /vetted_at/,
    'ALTER TABLE nodes RENAME COLUMN vetted TO vetted_at',
  ],
  [
    'ALTER TABLE nodes ALTER COLUMN free_disk TYPE text USING free_disk::text',
    /free_disk|text/,
    'ALTER TABLE nodes ALTER COLUMN free_disk TYPE bigint USING free_disk::bigint',
  ],
  ['ALTER TABLE nodes RENAME TO nodes_of_old', /nodes/, 'ALTER TABLE nodes_of_old RENAME TO nodes'],
];

async function wrongSchema(run: Run): Promise<void> {
  const { scene } = run;
  const { client } = scene.postgres;
  for (const [harm, named, mended] of SCHEMA_CHANGES) {
    await client.query(harm);
    try {
      await run.until(`${named} is named`, async () =>
        named.test((await scene.status()).loader.lastError?.message ?? ''),
      );
      run.check((await scene.status()).ready, 'it stays ready');
      await run.last(1 / SCHEMA_CHANGES.length);
    } finally {
      await client.query(mended);
    }
    await run.until('it loads', isWell(run));
  }
  await run.mend(() => undefined, 'it loads', await scene.loadedAgain());
}

/** Two nodes whose ports are always the same, in every committed state of the table. */
async function readSkew(run: Run): Promise<void> {
  const { scene } = run;
  const { client } = scene.postgres;
  const { rows } = await client.query(
    `SELECT encode(id, 'hex') AS id FROM nodes WHERE last_ip_port NOT LIKE '[%' AND disqualified IS NULL
        AND exit_finished_at IS NULL AND last_contact_success > now() - interval '1 hour' ORDER BY id`,
  );
  const all = (rows as { id: string }[]).map(({ id }) => id);
  const pair = [all[0]!, all.at(-1)!];
  let port = 20_000;
  const move = () =>
    client.query(
      `UPDATE nodes SET last_ip_port = split_part(last_ip_port, ':', 1) || ':' || $1
        WHERE encode(id, 'hex') = ANY($2)`,
      [String(++port), pair],
    );
  await move();
  await run.until('the pair is there', async () => (await portsOf(scene, pair)).every(each => each > 20_000));
  const seen = new Set<number>();
  await run.repeat(async () => {
    await move();
    const ports = await portsOf(scene, pair);
    run.check(ports[0] === ports[1], `both rows are of one moment: ports ${ports.join(' and ')}`);
    seen.add(ports[0]!);
  });
  run.note(`${seen.size} states seen, none mixed`);
  await run.mend(
    () => undefined,
    'the newest state is there',
    async () => (await portsOf(scene, pair)).every(each => each === port),
  );
}

async function portsOf(scene: ServedScene, ids: readonly string[]): Promise<number[]> {
  const answer = await scene.server.call('/v1/lookup', { ids });
  const { nodes } = answer.json<{ nodes: readonly ({ port: number } | null)[] }>();
  return nodes.map(node => node?.port ?? 0);
}

export const SOURCE_FAULTS: readonly Fault[] = [
  { number: 'F1', name: 'database down at the start, snapshot file present', run: bootFromDisk },
  { number: 'F2', name: 'database down at the start, no snapshot file', run: bootWithNothing },
  { number: 'F3', name: 'database lost during a load, at byte k', run: lostDuringRefresh },
  { number: 'F3', name: 'sessions killed in the database', run: killedSessions },
  { number: 'F3', name: 'bytes from the database garbled and doubled', run: garbledWay },
  { number: 'F4', name: 'hung query (table locked)', flags: LOADS_ALONE, run: hungQuery },
  { number: 'F4', name: 'database is a black hole', run: stalledWay },
  { number: 'F5', name: 'slow drip', flags: LOADS_ALONE, run: slowDrip },
  { number: 'F6', name: 'wrong schema: column, type, table', run: wrongSchema },
  { number: 'F7', name: 'read skew under a concurrent writer', run: readSkew },
];
