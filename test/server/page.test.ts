/** The page at `/`: what the status says, as a document that does and loads nothing. */
import { createHash } from 'node:crypto';
import type { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectProblem } from './support/expect-problem.ts';
import { nodesCsv, type TemporaryFolder, temporaryFolder, testNodes } from './support/nodes.ts';
import { startTestServer, type TestServer } from './support/server.ts';

/** A name that would be markup, were it not written as text. */
const HOSTILE = `<img src=x onerror=alert(1)>&"'.csv`;
const AS_TEXT = '&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#39;.csv';

let folder: TemporaryFolder;
let server: TestServer;
beforeAll(async () => {
  folder = await temporaryFolder();
  const source = await folder.file(HOSTILE, nodesCsv(testNodes()));
  server = await startTestServer({ 'source.location': source });
  await server.cache.ready();
});
afterAll(async () => {
  await server.close();
  await folder.remove();
});

test('says what the status says', async () => {
  const { status, headers, bytes } = await server.call('/');
  const page = bytes.toString();
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('text/html; charset=utf-8');
  expect(headers['cache-control']).toBe('no-store');
  expect(page).toContain('<title>sortition: ready</title>');
  expect(page).toMatch(/<th>generation<td>1, [\d.]+ m?s old/);
  expect(page).toMatch(/<th>nodes<td>\d+ vetted, \d+ new, \d+ not to be chosen/);
  expect(page).not.toContain('Fleet');
});

test('text of others stays text', async () => {
  const page = (await server.call('/')).bytes.toString();
  expect(page).toContain(AS_TEXT);
  expect(page).not.toContain('<img');
});

test('loads and runs nothing: its policy names its one style, and nothing else', async () => {
  const { headers, bytes } = await server.call('/');
  const page = bytes.toString();
  const style = page.slice(page.indexOf('<style>') + '<style>'.length, page.indexOf('</style>'));
  const digest = createHash('sha256').update(style).digest('base64');
  const policy = String(headers['content-security-policy']);
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain(`style-src 'sha256-${digest}'`);
  expect(policy).not.toContain('script-src');
  expect(page).not.toMatch(/<script|\bon[a-z]+="|style="|https?:/);
  expect(headers['x-content-type-options']).toBe('nosniff');
});

test('its links lead somewhere', async () => {
  const page = (await server.call('/')).bytes.toString();
  const links = [...page.matchAll(/href="([^"]+)"/g)].map(([, href]) => `/${href}`);
  expect(links.length).toBeGreaterThan(3);
  for (const link of links) expect((await server.call(link)).status, link).toBe(200);
});

test('takes no query, no body and no other method', async () => {
  expectProblem(await server.call('/?generation=1'), 400, { code: 'REQUEST_INVALID' });
  expectProblem(await server.call('/', { method: 'DELETE' }), 405, { code: 'METHOD_NOT_ALLOWED' });
  const head = await server.call('/', { method: 'HEAD' });
  expect([head.status, head.bytes.length]).toEqual([200, 0]);
});

test('before the first generation it says why there is none', async () => {
  const empty = await startTestServer({ 'source.location': `${folder.path}/missing.csv` });
  try {
    const { status, bytes } = await empty.call('/');
    expect(status).toBe(200);
    expect(bytes.toString()).toContain('<title>sortition: not ready</title>');
    expect(bytes.toString()).toContain('no: no generation has been published yet');
  } finally {
    await empty.close();
  }
});

test('is there while the loader thread is not', async () => {
  const workers: Worker[] = [];
  const watch = (worker: Worker) => void workers.push(worker);
  process.on('worker', watch);
  const alone = await startTestServer();
  process.off('worker', watch);
  try {
    // The first one that a server starts.
    await workers[0]!.terminate();
    const { status, bytes } = await alone.call('/');
    expect(status).toBe(200);
    expect(bytes.toString()).toContain('<th>loader<td>restarting');
  } finally {
    await alone.close();
  }
});
