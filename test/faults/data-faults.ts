/** F8 to F12: rows that are wrong, too many, or gone; and clocks. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServerStatus } from '../../src/server/server-status.ts';
import { aptGet, mayInstall } from '../support/server-program.ts';
import type { Fault, FaultRun } from './fault.ts';
import { CAPACITY_NODES, ELIGIBLE, NODES } from './served-scene.ts';

type Run = FaultRun;

const DAY_MS = 86_400_000;
const eligible = ({ nodes }: ServerStatus) => (nodes === null ? 0 : nodes.vetted + nodes.new);

/** A load is refused by that validator, and everything says so; what is served stays. */
async function refusedBy(run: Run, validator: string): Promise<ServerStatus> {
  const { scene } = run;
  const isRefusing = async () => {
    const { guard } = (await scene.status()).loader;
    return guard?.refusing?.validators.some(name => name === validator) === true;
  };
  await run.until(`"${validator}" refuses`, isRefusing);
  const status = await scene.status();
  const { lastError } = status.loader;
  run.check(status.ready, 'it stays ready');
  run.check(lastError?.code === 'SNAPSHOT_REJECTED', `the status says why: ${lastError?.code}`);
  const metric = `loads_refused_total{validator="${validator}"}`;
  await run.until('the metric of refused loads is up', async () => (await scene.server.metric(metric)) > 0);
  await run.until('the log says so', () => scene.server.hasLogged(/SNAPSHOT_REJECTED/));
  for (const step of ['build', 'validate', 'judge'] as const) run.hit(step);
  return status;
}

async function mendRows(run: Run): Promise<void> {
  const { scene } = run;
  await run.mend(
    () => scene.restoreRows(),
    'what was there at first is served',
    async () => (await scene.acceptLoad()) && (await scene.isWell()),
  );
}

async function duplicateIds(run: Run): Promise<void> {
  const { scene } = run;
  const { client } = scene.postgres;
  await client.query('ALTER TABLE nodes DROP CONSTRAINT nodes_pkey');
  try {
    await client.query('INSERT INTO nodes SELECT * FROM nodes_kept LIMIT 5');
    await run.until('a few are left out, and counted', async () => {
      const { lastLoad } = (await scene.status()).loader;
      return (lastLoad?.refused['id-duplicate'] ?? 0) > 0;
    });
    await client.query('INSERT INTO nodes SELECT * FROM nodes_kept WHERE get_byte(id, 0) >= 128');
    await refusedBy(run, 'duplicate-ids');
    await run.last();
    await scene.restoreRows();
  } finally {
    await client.query('DELETE FROM nodes AS a USING nodes AS b WHERE a.id = b.id AND a.ctid > b.ctid');
    await client.query('ALTER TABLE nodes ADD PRIMARY KEY (id)');
  }
  await mendRows(run);
}

/** What is no address that a client may be sent to. */
const BAD_ADDRESSES = [
  '127.0.0.1:28967',
  '169.254.169.254:80',
  '10.1.2.3:28967',
  '[::1]:28967',
  '[::ffff:127.0.0.1]:28967',
  '93.184.216.34:0',
  '93.184.216.34:65536',
  'not an address',
];

async function badAddresses(run: Run): Promise<void> {
  const { scene } = run;
  const { client } = scene.postgres;
  const { rows } = await client.query(
    `SELECT encode(id, 'hex') AS id FROM nodes WHERE ${ELIGIBLE} ORDER BY id LIMIT ${BAD_ADDRESSES.length}`,
  );
  const ids = (rows as { id: string }[]).map(({ id }) => id);
  for (const [i, address] of BAD_ADDRESSES.entries()) {
    await client.query(`UPDATE nodes SET last_ip_port = $1 WHERE id = decode($2, 'hex')`, [address, ids[i]]);
  }
  await run.until('the rows are left out, and counted by reason', async () => {
    const { lastLoad } = (await scene.status()).loader;
    const reasons = Object.values(lastLoad?.refused ?? {});
    return reasons.reduce((sum, count) => sum + count, 0) >= BAD_ADDRESSES.length;
  });
  const { lastLoad } = (await scene.status()).loader;
  run.note(
    Object.entries(lastLoad!.refused)
      .map(([reason, count]) => `${reason} ${count}`)
      .join(', '),
  );
  run.check(Object.keys(lastLoad!.refused).length >= 3, 'there are several reasons');
  const found = (await scene.server.call('/v1/lookup', { ids })).json<{ nodes: (object | null)[] }>();
  run.check(
    found.nodes.every(node => node === null),
    'none of them can be looked up',
  );
  await client.query(
    `UPDATE nodes SET last_ip_port = '127.0.0.1:1' WHERE ${ELIGIBLE} AND get_byte(id, 5) < 64`,
  );
  await refusedBy(run, 'rejected-rows');
  await run.last();
  await mendRows(run);
}

async function growth(run: Run): Promise<void> {
  const { scene } = run;
  const before = eligible(await scene.status());
  await scene.addRows(NODES / 2);
  await run.until('half as many more are served', async () => eligible(await scene.status()) > before * 1.3);
  const most = eligible(await scene.status());
  await scene.addRows(2 * NODES);
  const refused = await refusedBy(run, 'growth');
  run.check(eligible(refused) <= most * 2, 'the growth is not served');
  await scene.addRows(CAPACITY_NODES);
  await run.until('what is beyond the capacity is refused', async () => {
    const { lastError } = (await scene.status()).loader;
    return lastError?.code === 'CAPACITY_EXCEEDED';
  });
  const { ready, loader } = await scene.status();
  run.check(ready && loader.restarts === 0, 'it stays ready, and its loader lives');
  await run.last();
  await mendRows(run);
}

async function massDisappearance(run: Run): Promise<void> {
  const { scene } = run;
  const { client } = scene.postgres;
  const before = eligible(await scene.status());
  const disqualify = (bytes: number) =>
    client.query(`UPDATE nodes SET disqualified = now() WHERE ${ELIGIBLE} AND get_byte(id, 7) < ${bytes}`);
  const refuseDrop = async (what: string) => {
    const status = await refusedBy(run, 'drop');
    run.check(eligible(status) >= before * 0.79, `${what}: at least what one drop leaves is served`);
    await scene.restoreRows();
    await run.until('it loads again', () => scene.isWell());
  };
  await disqualify(128);
  await refuseDrop('half of them gone');
  await client.query('TRUNCATE nodes');
  await refusedBy(run, 'fewest-nodes');
  await run.last();
  await scene.restoreRows();
  await run.until('it loads again', () => scene.isWell());
  await client.query(`DELETE FROM nodes WHERE ${ELIGIBLE} AND get_byte(id, 7) < 100`);
  await refusedBy(run, 'drop');
  const allowed = await scene.server.admin('/v1/admin/override', {
    validators: ['drop'],
    expiresSeconds: 60,
  });
  run.check(allowed.status === 200, 'an operator may override');
  await run.until('the drop is served, once', async () => eligible(await scene.status()) < before * 0.7);
  const { guard } = (await scene.status()).loader;
  run.check(guard?.override === null, 'the override is used up');
  await mendRows(run);
}

/** Each load drops less than a load may, and together they drop more than an hour may. */
async function slowBoil(run: Run): Promise<void> {
  const { scene } = run;
  const before = eligible(await scene.status());
  for (let bytes = 20; bytes <= 200; bytes += 20) {
    const { loader } = await scene.status();
    if (loader.guard?.refusing !== null && loader.guard?.refusing !== undefined) break;
    const again = await scene.loadedAgain();
    const where = `${ELIGIBLE} AND get_byte(id, 9) < ${bytes}`;
    await scene.postgres.client.query(`UPDATE nodes SET disqualified = now() WHERE ${where}`);
    await run.until('the drop is served or refused', async () => {
      const { guard } = (await scene.status()).loader;
      return (guard?.refusing ?? null) !== null || (await again());
    });
  }
  const status = await refusedBy(run, 'drop-in-an-hour');
  run.note(`${before} → ${eligible(status)} nodes, then refused`);
  run.check(eligible(status) >= before * 0.49, 'half of them are left');
  await run.last();
  await mendRows(run);
}

const FAKETIME_LIBRARIES = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1',
  '/usr/lib/faketime/libfaketimeMT.so.1',
];
const fakeTimeLibrary = () => FAKETIME_LIBRARIES.find(path => existsSync(path));

async function noFakeTime(): Promise<string | undefined> {
  if (fakeTimeLibrary() !== undefined) return undefined;
  if (!mayInstall()) return 'needs libfaketime, or root on Debian to bring it in';
  await aptGet(['install', '--no-install-recommends', 'libfaketime']).catch(() => undefined);
  return fakeTimeLibrary() === undefined ? 'libfaketime cannot be installed here' : undefined;
}

async function clockSteps(run: Run): Promise<void> {
  const { scene } = run;
  const file = join(scene.folder, 'faketime');
  const step = (text: string) => writeFile(file, `${text}\n`);
  await step('+0');
  await scene.restartServer({
    environment: {
      LD_PRELOAD: fakeTimeLibrary()!,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
  });
  await run.until('it has loaded', () => scene.isWell());
  const before = eligible(await scene.status());
  for (const [text, days] of [
    ['+1d', 1],
    ['-1d', -1],
    ['+400d', 400],
  ] as const) {
    await step(text);
    await run.until('the clock of the server has stepped', async () => {
      const { lastLoad } = (await scene.status()).loader;
      const offMs = Date.parse(lastLoad!.readAt) - Date.now();
      return Math.abs(offMs - days * DAY_MS) < DAY_MS / 2;
    });
    await run.last(1 / 3);
    const status = await scene.status();
    run.check(status.ageMs !== null && status.ageMs < 2_000, `the age stays true: ${status.ageMs} ms`);
    run.check(status.loader.lastError === undefined, 'loads go on');
    run.check(Math.abs(eligible(status) - before) < before * 0.02, 'no node leaves because of a clock');
  }
  await run.mend(() => step('+0'), 'it loads', await scene.loadedAgain());
  // The next fault gets a server with a clock that nobody touches.
  await scene.restartServer();
}

export const DATA_FAULTS: readonly Fault[] = [
  { number: 'F8', name: 'ids that come twice', run: duplicateIds },
  { number: 'F9', name: 'addresses that are none, or special-use', run: badAddresses },
  {
    number: 'F10',
    name: 'growth: some, too much at once, beyond capacity',
    // By loads alone: of deltas each one is measured by the one before it.
    flags: { 'guard-growth-factor-max': '2', 'source-changes': 'none' },
    run: growth,
  },
  { number: 'F11', name: 'mass disappearance: half, all; one override', run: massDisappearance },
  { number: 'F11', name: 'slow boil: small drops in a row', run: slowBoil },
  { number: 'F12', name: 'wall clock steps by days', unavailable: noFakeTime, run: clockSteps },
];
