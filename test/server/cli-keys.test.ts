/** `sortition keys`, and the commands that ask a server which wants one. */
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestOf } from '../../src/server/access/identity.ts';
import { parseAdministrators, parseIdentities } from '../../src/server/access/identity-file.ts';
import { type TemporaryFolder, temporaryFolder } from './support/nodes.ts';
import { runSortition } from './support/process.ts';
import { startTestServer, type TestServer } from './support/server.ts';

let folder: TemporaryFolder;
let server: TestServer;
let keyFile: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  const { stdout } = await runSortition(['keys', 'small', '--count', '5', '--json'], { cwd: folder.path });
  const { key, line } = JSON.parse(stdout) as { key: string; line: string };
  keyFile = await folder.file('key', `${key}\n`);
  const file = await folder.file('keys', `${line}\n`);
  server = await startTestServer({ 'access.mode': 'keys', 'access.file': file });
});
afterAll(async () => {
  await server.close();
  await folder.remove();
});

const run = (...args: string[]) => runSortition(args, { cwd: folder.path });

test('makes a key, and a line that holds its digest only', async () => {
  const args = ['keys', 'up.loader', '--count', '110', '--rate', '5', '--may', 'select'];
  const { code, stdout, stderr } = await run(...args);
  expect(code).toBe(0);
  // Each as it is may be a file: that of the client, and that of the server.
  const key = /^(sortition_\S+)\n$/.exec(stderr)![1]!;
  expect(stdout).toBe(`up.loader ${digestOf(key)} count=110 rate=5 may=select\n`);
  expect(parseIdentities(stdout, 'keys')).toHaveLength(1);
  const admin = await run('keys', 'alice', '--role', 'override', '--json');
  expect(parseAdministrators((JSON.parse(admin.stdout) as { line: string }).line)).toHaveLength(1);
});

test.each<[string[], string]>([
  [['a b'], 'is no name: expected'],
  [['sortition_x'], 'nothing that looks like a key (sortition_…)'],
  [['a', '--count', '0'], 'count= takes an integer'],
  [['a', '--may', 'everything'], 'may= takes names out of'],
  [['a', '--role', 'root'], 'role= is missing or none of'],
  [['a', '--role', 'read', '--count', '3'], '--count: without meaning beside --role'],
])('refuses %j', async (args, message) => {
  const { code, stdout, stderr } = await run('keys', ...args);
  expect(code).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toContain(message);
});

describe('a server that wants keys', () => {
  test('is asked with a key that a pipe says', async () => {
    const pipe = join(folder.path, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const said = writeFile(pipe, await readFile(keyFile));
    expect((await run('status', '--url', server.url, '--key-file', pipe)).code).toBe(0);
    await said;
  });

  test('answers select and status with one, and says what is missing without', async () => {
    const url = ['--url', server.url];
    const own = ['--key-file', keyFile];
    expect((await run('select', ...url, ...own, '--count', '5', '--json')).code).toBe(0);
    expect((await run('status', ...url, ...own)).code).toBe(0);
    const many = await run('select', ...url, ...own, '--count', '6');
    expect(many.stderr).toContain('FORBIDDEN');
    expect((await run('select', ...url, '--count', '5')).stderr).toContain('UNAUTHORIZED');
    expect((await run('status', ...url)).stderr).toContain('--key-file');
    expect((await run('status', ...url, '--key-file', 'none')).code).toBe(2);
    expect((await run('fleet', ...url, ...own)).stderr).toMatch(/404|409/);
    expect((await run('fleet', ...url)).stderr).toContain('401');
  });
});
