/**
 * Before the first load, and while the source is away: alive, not ready, with the reason; ready by itself
 * when it comes.
 */
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { nodesCsv, temporaryFolder, testNodes } from './support/nodes.ts';
import { type Problem, postJson, startTestServer, type TestServer } from './support/server.ts';

let server: TestServer | undefined;
const folders: { remove(): Promise<void> }[] = [];
afterEach(async () => {
  await server?.close();
  server = undefined;
  for (const folder of folders.splice(0)) await folder.remove();
});

async function missingSource(): Promise<string> {
  const folder = await temporaryFolder();
  folders.push(folder);
  return join(folder.path, 'later.csv');
}

test('a source that is not there at the start: 503 with the reason, then ready by itself', async () => {
  const path = await missingSource();
  server = await startTestServer({
    'source.location': path,
    'refresh.backoffFirstMs': '20',
    'refresh.backoffLongestMs': '100',
  });
  const { call } = server;
  expect((await call('/livez')).status).toBe(200);
  await until('the first load has failed', async () => {
    return (await call('/readyz')).json<Problem>().detail.includes('SOURCE_UNAVAILABLE');
  });
  const readyz = await call('/readyz');
  expect(readyz.status).toBe(503);
  expect(readyz.headers['retry-after']).toBe('1');
  expect(readyz.json()).toMatchObject({ code: 'SNAPSHOT_NOT_READY' });
  for (const answer of [
    await call('/v1/selection'),
    await call('/v1/selection', postJson({ count: 3 })),
    await call('/v1/lookup', postJson({ ids: [testNodes()[0]!.id] })),
  ]) {
    expect(answer.status).toBe(503);
    expect(answer.headers['retry-after']).toBe('1');
    expect(answer.json()).toMatchObject({ code: 'SNAPSHOT_NOT_READY' });
  }
  const status = (await call('/v1/status')).json<Record<string, unknown>>();
  expect(status).toMatchObject({ ready: false, generation: 0, ageMs: null, nodes: null });
  expect((await call('/metrics')).bytes.toString()).toMatch(/^sortition_ready 0$/m);
  expect((await call('/v1/selection?count=0')).status).toBe(400);

  await writeFile(`${path}.part`, nodesCsv(testNodes()));
  await rename(`${path}.part`, path);
  await until('the server is ready', async () => (await call('/readyz')).status === 200);
  expect((await call('/v1/selection?count=3')).status).toBe(200);
});

test('a source that goes away later: the last good generation is served, and the error shown', async () => {
  server = await startTestServer({
    'refresh.everyMs': '100',
    'refresh.backoffFirstMs': '20',
    'refresh.backoffLongestMs': '50',
  });
  const { call, folder } = server;
  await rm(join(folder.path, 'nodes.csv'));
  interface Status {
    readonly generation: number;
    readonly ageMs: number;
    readonly loader: { readonly lastError?: { readonly consecutive: number } };
  }
  const status = async () => (await call('/v1/status')).json<Status>();
  await until('loads fail', async () => ((await status()).loader.lastError?.consecutive ?? 0) >= 3);
  const during = await status();
  expect((await call('/readyz')).status).toBe(200);
  expect((await call('/v1/selection?count=3')).status).toBe(200);
  expect((await call('/metrics')).bytes.toString()).toMatch(/^sortition_failures_consecutive [1-9]/m);
  await folder.file('nodes.csv', nodesCsv(testNodes()));
  await until('a new generation comes', async () => (await status()).generation > during.generation);
  // Threads see a generation before the loader has said that all is well.
  await until('the error is over', async () => (await status()).loader.lastError === undefined);
});

test('what is older than allowed: not ready, with the reason, and answered all the same', async () => {
  const path = await missingSource();
  await writeFile(path, nodesCsv(testNodes()));
  const refresh = {
    'refresh.everyMs': '100',
    'refresh.backoffFirstMs': '20',
    'refresh.backoffLongestMs': '50',
  };
  server = await startTestServer({ 'source.location': path, readyAgeMaxMs: '1000', ...refresh });
  const { call } = server;
  const isReady = async () => (await call('/readyz')).status === 200;
  await until('the server is ready', isReady);
  await rm(path);
  await until('it is not ready any more', async () => !(await isReady()));
  // Its age may pass the limit before a load that failed has been reported.
  await until('it says why', async () => (await call('/readyz')).bytes.includes('SOURCE_UNAVAILABLE'));
  expect((await call('/readyz')).json()).toMatchObject({ code: 'GENERATION_TOO_OLD' });
  expect((await call('/v1/status')).json()).toMatchObject({ ready: false, generation: expect.any(Number) });
  expect((await call('/metrics')).bytes.toString()).toMatch(/^sortition_ready 0$/m);
  expect((await call('/')).bytes.toString()).toContain('no: what is served is');
  expect((await call('/v1/selection?count=3')).status).toBe(200);
  await writeFile(`${path}.part`, nodesCsv(testNodes()));
  await rename(`${path}.part`, path);
  await until('the server is ready again', isReady);
});
