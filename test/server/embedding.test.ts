/** The server inside a host program, by what `sortition/server` exports. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../src/server/demo/free-port.ts';
import { loadConfig, type RunningServer, startServer } from '../../src/server/index.ts';
import { nodesCsv, type TemporaryFolder, temporaryFolder, testNodes } from './support/nodes.ts';
import type { SelectionAnswer } from './support/server.ts';

const QUIET = { port: 0, 'log.level': 'silent', 'shutdown.drainDelayMs': 0 } as const;

describe('a host program', () => {
  let folder: TemporaryFolder;
  let source: string;
  let server: RunningServer;

  beforeAll(async () => {
    folder = await temporaryFolder();
    source = await folder.file('nodes.csv', nodesCsv(testNodes()));
    const config = loadConfig({ document: { ...QUIET, source, 'limits.countMax': 50 } });
    server = await startServer(config);
    await server.cache.ready();
  });
  afterAll(async () => {
    await server.stop();
    await folder.remove();
  });

  test('serves over HTTP and selects from the same memory', async () => {
    const answer = await fetch(`${server.url}/v1/selection?count=5`);
    const { nodes, generation } = (await answer.json()) as SelectionAnswer;
    expect(nodes).toHaveLength(5);
    expect(server.cache.select({ count: 5 }).generation).toBe(generation);
    expect((await fetch(`${server.url}/v1/selection?count=51`)).status).toBe(400);
  });

  test('has the admin listener off while it sets no token', () => {
    expect(server.adminUrl).toBeUndefined();
  });

  test('is heard by no variable of its environment, unless it passes them', () => {
    expect(loadConfig({ document: { source } }).values.port).toBe(8117);
    const environment = { SORTITION_PORT: '9000' };
    expect(loadConfig({ document: { source, port: 1 }, environment }).values.port).toBe(9000);
  });

  test('is told of everything that is wrong with its document', () => {
    const document = { source, 'http.urlBytesMax': '1024', prot: 1 } as object;
    expect(() => loadConfig({ document })).toThrow(/document: http\.urlBytesMax.*\n.*document: prot.*port/);
  });

  test('that stops it has its port free again', async () => {
    // Not one of the system's choice: between the two it may give that to another program.
    const config = loadConfig({ document: { ...QUIET, source, port: await freePort() } });
    const first = await startServer(config);
    await first.stop();
    const second = await startServer(config);
    expect(second.url).toBe(first.url);
    await second.stop();
  });
});
