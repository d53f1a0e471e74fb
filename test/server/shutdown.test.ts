/** The process under signals: no request fails under SIGTERM, and a second signal ends it at once. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ServedProcess } from '../faults/served/served-process.ts';
import { until } from '../support/until.ts';
import { keepAliveClient, newTally, REQUEST } from './support/keep-alive-client.ts';
import { nodesCsv, type TemporaryFolder, temporaryFolder, testNodes } from './support/nodes.ts';
import { listeningUrl, runSortition, type Spawned, sortition } from './support/process.ts';
import { rawConnection } from './support/raw.ts';
import { call } from './support/server.ts';

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder();
  await folder.file('nodes.csv', nodesCsv(testNodes()));
});
afterAll(() => folder.remove());

function serve(...flags: string[]): Spawned {
  const quiet = ['--http-event-loop-delay-max-ms', '0', '--log-format', 'json', '--port', '0'];
  return sortition(['serve', '--source', 'nodes.csv', ...quiet, ...flags], { cwd: folder.path });
}

async function ready(server: Spawned): Promise<string> {
  const url = await listeningUrl(server);
  await until('the server is ready', async () => (await call(url, '/readyz')).status === 200);
  return url;
}

describe('SIGTERM', () => {
  test.each([1, 3])(
    'under load of %i HTTP threads fails no request: drains, and exits with 0',
    async threads => {
      const server = serve('--shutdown-drain-delay-ms', '2000', '--http-threads', String(threads));
      const url = await ready(server);
      const tally = newTally();
      const clients = Array.from({ length: 48 }, () => keepAliveClient(url, tally));
      await until('there is load', () => tally.answered > 500);
      // A request whose body is still on its way, and a connection on which nothing comes.
      const half = rawConnection(url);
      const body = '{"count":3}';
      const head = 'POST /v1/selection HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
      half.socket.write(`${head}Content-Length: ${body.length}\r\n\r\n{`);
      const idle = rawConnection(url);
      const before = tally.answered;
      server.child.kill('SIGTERM');
      await until('it says that it is not ready', async () => (await call(url, '/readyz')).status === 503);
      expect((await call(url, '/v1/selection?count=1')).status).toBe(200);
      expect((await call(url, '/livez')).status).toBe(200);
      half.socket.write(body.slice(1));
      expect(await server.ended).toBe(0);
      await Promise.all([...clients, half.ended, idle.ended]);
      expect(tally.failed).toEqual([]);
      expect(tally.answered).toBeGreaterThan(before);
      expect(tally.closing).toBeGreaterThan(0);
      expect(half.text()).toMatch(/^HTTP\/1.1 200 OK/);
      expect(server.stderr()).toContain('"msg":"stopped"');
      expect(server.stdout()).toBe('');
    },
  );

  test('by a thread that hears late of it loses nobody who is told to connect anew', async () => {
    const flags = { source: 'nodes.csv', 'http-threads': '3', 'shutdown-drain-delay-ms': '600' };
    const server = await ServedProcess.start({ flags: { ...flags, 'log-format': 'json' }, cwd: folder.path });
    await server.ready();
    const tally = newTally();
    const clients = Array.from({ length: 48 }, () => keepAliveClient(server.url, tally));
    await until('there is load', () => tally.answered > 500);
    server.signal('SIGTERM');
    await until('it has heard', () => server.hasLogged(/not ready from now on/));
    const expression = 'const end = Date.now() + 900; while (Date.now() < end);';
    expect(await server.inside('evaluate', { thread: 'http', expression })).toBe(2);
    await Promise.all(clients);
    await until('it has ended', () => server.hasEnded);
    expect(tally.failed).toEqual([]);
    expect(tally.closing).toBeGreaterThan(0);
  });

  test('ends by the deadline although a client never reads its answers', async () => {
    const server = serve('--shutdown-drain-delay-ms', '0', '--shutdown-deadline-ms', '700');
    const url = await ready(server);
    const { socket } = rawConnection(url);
    socket.pause();
    socket.write(REQUEST.repeat(2_000));
    await until('answers wait', async () => {
      const text = (await call(url, '/metrics')).bytes.toString();
      return Number(/^sortition_answer_waiting_bytes (\d+)$/m.exec(text)?.[1]) > 0;
    });
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
    socket.destroy();
  });

  test('twice ends it at once', async () => {
    const server = serve('--shutdown-drain-delay-ms', '60000', '--shutdown-deadline-ms', '61000');
    const url = await ready(server);
    server.child.kill('SIGTERM');
    await until('it drains', async () => (await call(url, '/readyz')).status === 503);
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(1);
  });
});

describe('start', () => {
  test('on a port in use is one clear line and exit code 1', async () => {
    const server = serve('--shutdown-drain-delay-ms', '0');
    const { port } = new URL(await ready(server));
    const second = await runSortition(['serve', '--source', 'nodes.csv', '--port', port], {
      cwd: folder.path,
    });
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(
      /^error: cannot listen on 127\.0\.0\.1:\d+: the port is in use; choose another with --port$/m,
    );
    expect(second.stderr).not.toMatch(/\n\s+at /);
    server.child.kill('SIGINT');
    expect(await server.ended).toBe(0);
  });

  test('with the source away stays up: alive, not ready, with the reason', async () => {
    const flags = ['--port', '0', '--log-format', 'json', '--shutdown-drain-delay-ms', '0'];
    const server = sortition(['serve', '--source', 'postgres://u:canary-9a@127.0.0.1:1/d', ...flags], {
      cwd: folder.path,
    });
    const url = await listeningUrl(server);
    await until('the reason is there', async () => {
      return (await call(url, '/readyz')).bytes.toString().includes('SOURCE_UNAVAILABLE');
    });
    expect((await call(url, '/livez')).status).toBe(200);
    const everything = [
      server.stderr(),
      (await call(url, '/v1/status')).bytes.toString(),
      (await call(url, '/readyz')).bytes.toString(),
    ];
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
    expect(everything.join()).not.toContain('canary-9a');
  });
});
