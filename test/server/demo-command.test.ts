/** `sortition demo` as a user sees it: an answer within seconds, and nothing left behind at Ctrl-C. */
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { type TemporaryFolder, temporaryFolder } from './support/nodes.ts';
import { type Spawned, sortition } from './support/process.ts';
import { call, type SelectionAnswer } from './support/server.ts';

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

const FIRST_ANSWER_MS = 30_000;

function clusters(): string[] {
  return readdirSync(tmpdir()).filter(name => name.startsWith('sortition-postgres-'));
}

/** What it says of itself: that the machine had no time for its event loop is not its fault. */
function problems({ stderr }: Spawned): string[] {
  return stderr()
    .split('\n')
    .filter(line => line !== '' && !line.includes('the event loop'));
}

test('answers within 30 s, keeps loading, and ends without leaving a process or a file', async () => {
  const before = clusters();
  const startedAt = performance.now();
  const demo = sortition(['demo'], { cwd: folder.path });
  await until('the demo says what to try', () => demo.stdout().includes('Ctrl-C ends everything'), 30_000);
  const url = /curl '(http:\/\/127\.0\.0\.1:\d+)\//.exec(demo.stdout())![1]!;
  const answer = await call(url, '/v1/selection?count=110');
  expect(performance.now() - startedAt).toBeLessThan(FIRST_ANSWER_MS);
  expect(answer.json<SelectionAnswer>().nodes).toHaveLength(110);
  expect(demo.stdout()).toContain(`Documentation: `);
  await until('a second generation comes', async () => {
    return (await call(url, '/v1/status')).json<{ generation: number }>().generation > 1;
  });
  const mine = clusters().filter(name => !before.includes(name));
  expect(mine.length).toBeGreaterThanOrEqual(1);
  demo.child.kill('SIGINT');
  expect(await demo.ended).toBe(0);
  expect(demo.stdout()).toContain('nothing is left behind');
  expect(problems(demo)).toEqual([]);
  await expect(call(url, '/livez')).rejects.toThrow();
  // Other tests may run clusters of their own at this moment: at least one of those that came with the demo
  // is gone.
  expect(mine.some(name => !existsSync(`${tmpdir()}/${name}`))).toBe(true);
});

test.each([
  ['the database cluster is made', 'creating the database cluster'],
  ['the server runs', 'Ctrl-C ends everything'],
])('Ctrl-C in the terminal while %s ends it in order', async (_, said) => {
  const before = clusters();
  const demo = sortition(['demo'], { cwd: folder.path, group: true });
  await until(`the demo says "${said}"`, () => demo.stdout().includes(said), 30_000);
  const mine = clusters().filter(name => !before.includes(name));
  process.kill(-demo.child.pid!, 'SIGINT');
  expect(await demo.ended).toBe(0);
  expect(demo.stdout()).toContain('nothing is left behind');
  expect(problems(demo)).toEqual([]);
  expect(mine.some(name => !existsSync(`${tmpdir()}/${name}`))).toBe(true);
});
