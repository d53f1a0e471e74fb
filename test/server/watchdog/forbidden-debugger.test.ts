/** Where Node's permission model is on, nobody may debug: the watchdog does without, and nothing ends. */
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { nodesCsv, temporaryFolder, testNodes } from '../support/nodes.ts';

const PERMISSIONS = ['--permission', '--allow-worker', '--allow-addons', '--allow-wasi'];

const PROGRAM = `
  const { loadConfig } = await import(process.argv[1] + '/config.ts');
  const { startServer } = await import(process.argv[1] + '/serve.ts');
  const document = { source: process.argv[2], port: 0, 'watchdog.stallMs': 200, 'log.level': 'silent' };
  const server = await startServer(loadConfig({ document: { ...document, 'shutdown.drainDelayMs': 0 } }));
  const end = performance.now() + 1000;
  while (performance.now() < end);
  const stalls = async () => (await server.context.whole.status()).stalls.count;
  while ((await stalls()) === 0) await new Promise(done => setTimeout(done, 10));
  console.log(await stalls());
  await server.stop();
`;

test('a stall is counted all the same', async () => {
  const folder = await temporaryFolder();
  try {
    const source = await folder.file('nodes.csv', nodesCsv(testNodes()));
    const files = ['--allow-fs-read=*', '--allow-fs-write=*'];
    const program = ['--input-type=module', '--eval', PROGRAM, resolve('src/server'), source];
    const { stdout } = await promisify(execFile)(process.execPath, [...PERMISSIONS, ...files, ...program]);
    expect(stdout).toBe('1\n');
  } finally {
    await folder.remove();
  }
});
