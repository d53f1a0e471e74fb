/** `sortition install-triggers` as users run it, and what `sortition check` says before and after. */
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { confirmed } from '../../src/server/cli/install-triggers.ts';
import { CREATE_NODES } from '../../src/server/demo/nodes-table.ts';
import { connectClient } from '../../src/workers/source/postgres/client.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { type TemporaryFolder, temporaryFolder } from './support/nodes.ts';
import { type Finished, runSortition } from './support/process.ts';

const PASSWORD = 'canary-77-long-enough';

let postgres: TestPostgres;
let folder: TemporaryFolder;

beforeAll(async () => {
  folder = await temporaryFolder();
  postgres = await startTestPostgres();
  await postgres.client.query(`
    CREATE ROLE owner LOGIN PASSWORD '${PASSWORD}'; GRANT CREATE, USAGE ON SCHEMA public TO owner;
    CREATE ROLE reader LOGIN PASSWORD '${PASSWORD}'`);
});
afterAll(async () => {
  await postgres.stop();
  await folder.remove();
});
beforeEach(async () => {
  await postgres.client.query(`DROP TABLE IF EXISTS nodes CASCADE; ${CREATE_NODES};
    ALTER TABLE nodes OWNER TO owner; GRANT SELECT ON nodes TO reader;
    REVOKE CREATE ON SCHEMA public FROM reader`);
  await postgres.client.query(
    `INSERT INTO nodes SELECT sha256('a'), 'a', '5.1.1.0', '5.1.1.1:1', 'DE', 2, 'e', 'w', 9e12, 1, 1, 1,
       true, now(), now(), now(), now()`,
  );
  await leaveNothing();
});

/** Functions of ours that an earlier test has left without a table. */
async function leaveNothing(): Promise<void> {
  const { rows } = await postgres.client.query<{ name: string }>(
    `SELECT oid::regprocedure::text AS name FROM pg_proc WHERE proname LIKE 'sortition%'`,
  );
  for (const { name } of rows) await postgres.client.query(`DROP FUNCTION ${name}`);
}

function run(line: string, user = 'owner'): Promise<Finished> {
  const source = postgres.url({ user, password: PASSWORD });
  return runSortition(line.split(' '), { cwd: folder.path, environment: { SORTITION_SOURCE: source } });
}

async function triggerCount(): Promise<number> {
  const { rows } = await postgres.client.query<{ count: number }>(
    `SELECT count(*)::int FROM pg_trigger WHERE tgname LIKE 'sortition%'`,
  );
  return rows[0]!.count;
}

describe('install-triggers', () => {
  test('shows the statements, runs them, says how to undo it; again there is nothing to do', async () => {
    const { code, stdout, stderr } = await run('install-triggers --yes');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^-- On table public\.nodes, as user "owner":\n\nBEGIN;\n/);
    expect(stdout).toMatch(/CREATE TRIGGER sortition_update AFTER UPDATE ON public\.nodes/);
    expect(stdout).toMatch(/Undo it: sortition install-triggers --remove\n$/);
    expect(stdout).not.toContain(PASSWORD);
    expect(await triggerCount()).toBe(4);
    const again = await run('install-triggers --yes');
    expect(again.stdout).toBe('The triggers on table public.nodes are as they should be.\n');
    const check = await run('check');
    expect(check.stdout).toMatch(/^✓ changes: known at once, by triggers/m);
    const removed = await run('install-triggers --remove --yes');
    expect(removed.stdout).toMatch(/DROP FUNCTION[\s\S]*Done: table public\.nodes is as it was before/);
    expect(await triggerCount()).toBe(0);
    expect((await run('install-triggers --remove --yes')).stdout).toMatch(/has no triggers of ours/);
    expect((await run('check')).stdout).toMatch(/^✓ changes: known within 1000 ms, by polling "updated_at"/m);
  });

  test('prints a script that another session runs as it is, and does nothing itself', async () => {
    const { code, stdout } = await run('install-triggers --print', 'reader');
    expect(code).toBe(0);
    expect(await triggerCount()).toBe(0);
    const owner = await connectClient(postgres.url({ user: 'owner', password: PASSWORD }), 'psql');
    await owner.query(stdout);
    await owner.end();
    expect(await triggerCount()).toBe(4);
    expect((await run('install-triggers --print', 'reader')).stdout).toMatch(
      /^-- .*: nothing is to be done$/m,
    );
    const removal = await run('install-triggers --print --remove', 'reader');
    await postgres.client.query(removal.stdout);
    expect(await triggerCount()).toBe(0);
  });

  test('does nothing without a terminal to ask on, or without --yes beside --json', async () => {
    const unasked = await run('install-triggers');
    expect(unasked.code).toBe(2);
    expect(unasked.stdout).toContain('CREATE TRIGGER');
    expect(unasked.stderr).toBe(
      'error: nothing was done: say --yes to run these statements without being asked\n',
    );
    expect((await run('install-triggers --json')).stderr).toMatch(
      /^error: --json: say --yes or --print too$/m,
    );
    expect(await triggerCount()).toBe(0);
  });

  test('prints JSON for scripts', async () => {
    const printed = await run('install-triggers --print --json');
    const installed = await run('install-triggers --yes --json');
    const again = await run('install-triggers --yes --json');
    const [plan, done, nothing] = [printed, installed, again].map(
      ({ stdout }) => JSON.parse(stdout) as object,
    );
    expect(plan).toMatchObject({ on: 'table public.nodes', user: 'owner', missingRights: [], done: false });
    expect(done).toEqual({ ...plan, done: true });
    expect(nothing).toMatchObject({ statements: [], done: false });
  });

  test('names the rights that are missing, and takes the least that are needed', async () => {
    const { code, stderr } = await run('install-triggers --yes', 'reader');
    expect(code).toBe(1);
    expect(stderr).toContain(
      'user "reader" may not do this to table public.nodes; it needs: ' +
        'GRANT CREATE ON SCHEMA public TO reader; GRANT TRIGGER ON public.nodes TO reader. ' +
        'Or let the owner run what --print prints',
    );
    await postgres.client.query(
      `GRANT CREATE ON SCHEMA public TO reader; GRANT TRIGGER ON public.nodes TO reader`,
    );
    expect((await run('install-triggers --yes', 'reader')).code).toBe(0);
    expect(await triggerCount()).toBe(4);
    // To drop a trigger takes the owner of the table.
    const removal = await run('install-triggers --remove --yes', 'reader');
    expect(removal.stderr).toMatch(/it needs: to own public\.nodes/);
    expect(await triggerCount()).toBe(4);
  });

  test('gives up when others hold the table, and has done nothing', async () => {
    await postgres.client.query('BEGIN; LOCK TABLE nodes IN ROW EXCLUSIVE MODE');
    const { code, stderr } = await run('install-triggers --yes');
    await postgres.client.query('COMMIT');
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /another session holds table public\.nodes for longer than 3000 ms; nothing was done/,
    );
    expect(await triggerCount()).toBe(0);
    const left = await postgres.client.query(`SELECT 1 FROM pg_proc WHERE proname LIKE 'sortition%'`);
    expect(left.rows).toEqual([]);
  });

  test('watches the attributes of the placements that are configured', async () => {
    const placements = { eu: { filter: { countries: ['DE'] } }, spread: { distinct: 'wallet' } };
    await folder.file('config.json', JSON.stringify({ placements }));
    const { stdout } = await run('install-triggers --config config.json --print');
    expect(stdout).toContain('n."country_code"::text');
    expect(stdout).toContain('n."wallet"::text');
    expect((await run('install-triggers --print')).stdout).not.toContain('"wallet"');
  });

  test.each([
    ['install-triggers --yes --source nodes.csv', 2, /a file has no triggers/],
    [
      'install-triggers --yes --source-table node',
      1,
      /has no table or view "node" \(did you mean "nodes"\?\)/,
    ],
    [
      'install-triggers --yes --source-columns freeDisk=fre_disk',
      1,
      /no column "fre_disk" \(nearest: "free_disk"\)/,
    ],
    ['install-triggers --source-changes sometimes', 2, /--source-changes: "sometimes" is not accepted/],
  ])('%s: exit code %i and one clear line', async (line, code, message) => {
    const finished = await run(line);
    expect(finished.stderr).toMatch(message);
    expect(finished.code).toBe(code);
    expect(finished.stderr).not.toMatch(/\n\s+at |node:internal|undefined/);
    expect(await triggerCount()).toBe(0);
  });
});

describe('the question', () => {
  test.each([
    ['y\n', true],
    [' YES \n', true],
    ['\n', false],
    ['yeah\n', false],
    ['n\n', false],
    ['', false],
  ])('answered by %j is %s', async (answer, expected) => {
    const input = new PassThrough();
    input.end(answer);
    expect(await confirmed(input, new PassThrough())).toBe(expected);
  });
});
