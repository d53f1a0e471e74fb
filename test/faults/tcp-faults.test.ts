/**
 * What the proxy between a client and a server does to bytes: drips, garbles, duplicates, and stops doing
 * so.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LOOPBACK } from '../../src/server/demo/free-port.ts';
import { dataRandom } from '../support/data-random.ts';
import { TcpFaultProxy } from '../support/tcp-fault-proxy.ts';
import { until } from '../support/until.ts';

/** Answers every connection with so many bytes, the low byte of each place. */
const BYTES = 20_000;
const WHOLE = Buffer.from(Array.from({ length: BYTES }, (_, i) => i & 255));

let server: Server;
let proxy: TcpFaultProxy;
const clients: Socket[] = [];

beforeEach(async () => {
  server = createServer(socket => {
    socket.on('error', () => undefined);
    socket.write(WHOLE);
  });
  await new Promise<void>(done => server.listen(0, LOOPBACK, done));
  proxy = await TcpFaultProxy.open({ host: LOOPBACK, port: (server.address() as { port: number }).port });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await proxy.close();
  await new Promise(done => server.close(done));
});

function receive(): { bytes(): Buffer; isClosed(): boolean } {
  const socket = connect(proxy.port, proxy.host);
  clients.push(socket);
  const chunks: Buffer[] = [];
  socket.on('error', () => undefined);
  socket.on('data', chunk => chunks.push(chunk));
  return { bytes: () => Buffer.concat(chunks), isClosed: () => socket.closed };
}

test('drips so many bytes a second, in order, and passes the rest at once when it is mended', async () => {
  proxy.drip(4_000);
  const startedMs = performance.now();
  const { bytes } = receive();
  await until('a part has come', () => bytes().length >= 1_000);
  const [count, elapsedMs] = [bytes().length, performance.now() - startedMs];
  expect(count).toBeLessThanOrEqual((4_000 * (elapsedMs + 100)) / 1_000);
  expect(count).toBeLessThan(BYTES);
  proxy.mend();
  await until('all has come', () => bytes().length === BYTES);
  expect(bytes().equals(WHOLE)).toBe(true);
});

test('turns single bits over, and cuts the connection when it is mended', async () => {
  const random = dataRandom(7);
  proxy.garble({ share: 1, random: () => random(1_000) / 1_000 });
  const { bytes, isClosed } = receive();
  await until('all has come', () => bytes().length === BYTES);
  const wrong = [...bytes()].flatMap((byte, i) => (byte === WHOLE[i] ? [] : [byte ^ WHOLE[i]!]));
  expect(wrong.length).toBeGreaterThan(0);
  for (const bits of wrong) expect([1, 2, 4, 8, 16, 32, 64, 128]).toContain(bits);
  proxy.mend();
  await until('it is cut', isClosed);
});

test('sends pieces twice', async () => {
  proxy.duplicate({ share: 1, random: () => 0 });
  const { bytes } = receive();
  await until('all has come, twice', () => bytes().length === 2 * BYTES);
});
