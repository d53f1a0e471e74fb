/**
 * The command line: help, typos, exit codes, JSON, and one clear line for every error, never a stack trace.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CONFIG_KEY_NAMES, configKey, flagName } from '../../src/server/config/table.ts';
import { nodesCsv, type TemporaryFolder, temporaryFolder, testNodes } from './support/nodes.ts';
import { type Finished, runSortition } from './support/process.ts';
import { type SelectionAnswer, startTestServer, type TestServer } from './support/server.ts';

let folder: TemporaryFolder;
let server: TestServer;
beforeAll(async () => {
  folder = await temporaryFolder();
  await folder.file('nodes.csv', nodesCsv(testNodes()));
  server = await startTestServer();
});
afterAll(async () => {
  await server.close();
  await folder.remove();
});

function run(line: string, environment: Readonly<Record<string, string>> = {}): Promise<Finished> {
  return runSortition(line.split(' ').filter(Boolean), { cwd: folder.path, environment });
}

describe('help', () => {
  test('names every command, and each command its options with an example', async () => {
    const help = await run('--help');
    expect(help.code).toBe(0);
    const commands = ['demo', 'serve', 'select', 'status', 'check', 'install-triggers', 'inspect', 'bench'];
    const pages = await Promise.all(commands.map(command => run(`${command} --help`)));
    for (const [index, command] of commands.entries()) {
      expect(help.stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'));
      expect(pages[index]?.code).toBe(0);
      expect(pages[index]?.stdout).toMatch(/^Examples?:$/m);
    }
  });

  test('of serve shows every key that has a flag', async () => {
    const { stdout } = await run('serve --help');
    for (const name of CONFIG_KEY_NAMES) {
      if (!configKey(name).fileOnly) expect(stdout).toContain(`--${flagName(name)} `);
    }
  });

  test('--version is a version', async () => {
    expect((await run('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('errors', () => {
  test.each<[string, number, RegExp]>([
    ['serv', 2, /unknown command 'serv'\n\(Did you mean serve\?\)/],
    ['serve --prot 1', 2, /unknown option '--prot'\n\(Did you mean --port\?\)/],
    ['serve', 2, /^error: source: missing/],
    [
      'serve --source nodes.csv --port 99999',
      2,
      /--port: "99999" is not accepted: expected an integer from 0 to 65535/,
    ],
    ['serve --source nodes.csv --admin-host 0.0.0.0', 2, /admin\.token: missing/],
    ['serve --source nodes.csv --config none-such.json', 2, /none-such\.json/],
    ['serve --source nodes.txt', 2, /"nodes\.txt" is no source/],
    ['select --source nodes.csv --count 0', 2, /^error: count is 0; it is an integer from 1 to 1000$/m],
    ['select --source nodes.csv --count x', 2, /--count x: expected a number/],
    ['select --source nodes.csv --placement x', 2, /there is no placement "x"; known: default/],
    [
      'select --url http://127.0.0.1:65534',
      1,
      /no answer from http:\/\/127\.0\.0\.1:65534: the connection was refused/,
    ],
    ['select --url nonsense', 2, /expected http:\/\/host:port/],
    ['status --url http://127.0.0.1:65534', 1, /no answer from/],
    ['inspect none-such', 1, /cannot read none-such/],
    ['inspect nodes.csv', 1, /^error: nodes\.csv: not a snapshot/],
    ['inspect', 2, /missing required argument 'file'/],
    ['bench --source nodes.csv --seconds 0', 2, /--seconds 0: expected a number above 0, up to 60/],
  ])('%s: exit code %i and one clear line', async (line, code, message) => {
    const { code: actual, stderr, stdout } = await run(line);
    expect(stderr).toMatch(message);
    expect(actual).toBe(code);
    expect(stdout).toBe('');
    expect(stderr).not.toMatch(/\n\s+at |node:internal|undefined/);
  });

  test('the stack is shown when asked for', async () => {
    expect((await run('inspect none-such --debug')).stderr).toMatch(/\n.* at /);
    expect((await run('inspect none-such', { SORTITION_DEBUG: '1' })).stderr).toMatch(/\n.* at /);
  });

  test('an unknown variable refuses to start, with the nearest one', async () => {
    const { code, stderr } = await run('serve --source nodes.csv', { SORTITION_PROT: '1' });
    expect(code).toBe(2);
    expect(stderr).toContain('SORTITION_PROT: unknown variable (did you mean "SORTITION_PORT"?)');
  });
});

describe('select', () => {
  test('loads a source once and prints a table, or JSON', async () => {
    const text = await run('select --source nodes.csv --count 4');
    expect(text.code).toBe(0);
    expect(text.stdout.split('\n')[0]).toMatch(/^id +ip +port +pool$/);
    expect(text.stdout).toMatch(/4 nodes of generation 1/);
    const json = await run('select --source nodes.csv --count 4 --json --order vetted-first');
    expect((JSON.parse(json.stdout) as SelectionAnswer).nodes).toHaveLength(4);
  });

  test('asks a running server', async () => {
    const { code, stdout } = await run(`select --url ${server.url} --count 7 --json`);
    expect(code).toBe(0);
    expect((JSON.parse(stdout) as SelectionAnswer).nodes).toHaveLength(7);
    const refused = await run(`select --url ${server.url} --count 1001`);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/^error: REQUEST_INVALID: count is 1001/);
  });

  test('says why there are too few, with exit code 1 unless that is fine', async () => {
    for (const from of ['--source nodes.csv', `--url ${server.url}`]) {
      const short = await run(`select ${from} --count 900 --new-fraction 0 --json`);
      expect(short.code).toBe(1);
      expect(JSON.parse(short.stdout)).toMatchObject({ shortage: { requested: 900 } });
    }
    expect((await run('select --source nodes.csv --count 900 --partial')).code).toBe(0);
  });
});

describe('status', () => {
  test('shows a running server, as text and as JSON', async () => {
    const text = await run(`status --url ${server.url}`);
    expect(text.code).toBe(0);
    expect(text.stdout).toMatch(/^ready +yes$/m);
    expect(text.stdout).toMatch(/400 vetted, 100 new/);
    const json = await run(`status --url ${server.url} --json`);
    expect(JSON.parse(json.stdout)).toMatchObject({ ready: true, generation: 1 });
  });
});

describe('check', () => {
  test('passes a good source step by step', async () => {
    const { code, stdout } = await run('check --source nodes.csv');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^✓ configuration/);
    expect(stdout).toMatch(/^✓ rows: 500 rows/m);
    const json = await run('check --source nodes.csv --json');
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: true });
  });

  test('names what is wrong, with a hint, and exits with 1', async () => {
    const missing = await run('check --source none-such.csv');
    expect(missing.code).toBe(1);
    expect(missing.stdout).toMatch(/^✗ file: "none-such\.csv" does not exist\n {2}→ /m);
    const config = await run('check --source nodes.csv --serve-from heap');
    expect(config.code).toBe(1);
    expect(config.stdout).toMatch(/^✗ configuration: flags: --serve-from: "heap"/);
    const json = await run('check --source none-such.csv --json');
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: false });
  });
});

describe('inspect', () => {
  test('shows a snapshot file that a server has written', async () => {
    await run('select --source nodes.csv --count 1 --snapshot-file nodes.snapshot');
    const { code, stdout, stderr } = await run('inspect nodes.snapshot --json');
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      generation: 1,
      digestMatches: true,
      nodes: { total: 500, vetted: 400 },
    });
    const text = await run('inspect nodes.snapshot');
    expect(text.stdout).toMatch(/✓ matches the content/);
    expect(text.stdout).toMatch(/^row +\d+ +32000 +64$/m);
  });
});

describe('bench', () => {
  interface Report {
    readonly environment: Readonly<Record<string, string | number>>;
    readonly results: readonly Readonly<Record<string, string | number>>[];
  }
  const json = async (line: string) => JSON.parse((await run(`${line} --json`)).stdout) as Report;

  test('measures every form of an answer beside a floor, and says of what and on what machine', async () => {
    const { environment, results } = await json('bench --source nodes.csv --count 20 --seconds 0.05');
    expect(environment).toMatchObject({
      node: `Node ${process.version}`,
      generation: 1,
      nodes: 500,
      vetted: 400,
      new: 100,
      networks: 400,
      placement: 'default',
      count: 20,
      found: 20,
    });
    expect(environment.source).toContain('nodes.csv');
    const names = results.map(({ name }) => name);
    const forms = ['select', 'select, every node read', 'records', 'JSON', 'MessagePack'];
    expect(names).toEqual(['floor: an empty call', ...forms]);
    for (const { name, p50_us, p99_us, per_second, samples } of results) {
      expect(p50_us, String(name)).toBeGreaterThanOrEqual(0);
      expect(p99_us, String(name)).toBeGreaterThanOrEqual(Number(p50_us));
      expect(per_second, String(name)).toBeGreaterThan(0);
      expect(samples, String(name)).toBeGreaterThan(0);
    }
    const bytes = Object.fromEntries(results.map(result => [result.name, Number(result.bytes)]));
    expect(bytes.records).toBe(20 * 52);
    expect(bytes.JSON).toBeGreaterThan(bytes.MessagePack!);
    expect(bytes.MessagePack).toBeGreaterThan(20 * 40);
  });

  test('prints a table for people', async () => {
    const { code, stdout, stderr } = await run('bench --source nodes.csv --count 20 --seconds 0.05');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^nodes +500: 400 vetted, 100 new, in 400 networks$/m);
    expect(stdout).toMatch(/^generation +1, [\d,]+ bytes, loaded in \d/m);
    expect(stdout).toMatch(/^one call +p50 µs +mean µs +p99 µs +calls a second +bytes$/m);
    expect(stdout).toMatch(/^MessagePack( +[\d.]+){5}$/m);
  });

  test('takes a placement of the configuration, and says when there are too few nodes', async () => {
    const placements = { few: { newFraction: 0, filter: { countries: ['DE'] } } };
    await folder.file('bench.json', JSON.stringify({ source: 'nodes.csv', placements }));
    const line = 'bench --config bench.json --seconds 0.05 --count 900 --placement';
    const { environment } = await json(`${line} few`);
    expect(environment).toMatchObject({ placement: 'few', count: 900 });
    expect(environment.found).toBeLessThan(500);
    expect((await run(`${line} few`)).stdout).toMatch(/; only \d+ are to be had$/m);
    const unknown = await run(`${line} none-such`);
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toMatch(/there is no placement "none-such"; known: default, few/);
  });
});

describe('serve --print-config', () => {
  test('shows what is in force, without secrets', async () => {
    await folder.file('config.json', JSON.stringify({ port: 9000, refresh: { everyMs: 5_000 } }));
    const { code, stdout } = await run(
      'serve --config config.json --source postgres://u:canary-77@h/d --host 127.0.0.2 --print-config',
      { SORTITION_PORT: '9001', SORTITION_ADMIN_TOKEN: 'canary-77-long-enough' },
    );
    expect(code).toBe(0);
    expect(stdout).not.toContain('canary-77');
    expect(JSON.parse(stdout)).toMatchObject({ port: 9_001, host: '127.0.0.2', 'refresh.everyMs': 5_000 });
  });
});
