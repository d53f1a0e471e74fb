/** The proxy that harms connections in other tests: it does what it says, and nothing else. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LOOPBACK } from '../../../src/server/demo/free-port.ts';
import { dataRandom } from '../../support/data-random.ts';
import { TcpFaultProxy } from '../../support/tcp-fault-proxy.ts';
import { until } from '../../support/until.ts';

/** A server that remembers what it got, and sends it back. */
let server: Server;
let proxy: TcpFaultProxy;
const atServer: { text: string; closed: boolean; socket: Socket }[] = [];
const clients: Socket[] = [];

beforeEach(async () => {
  server = createServer(socket => {
    const seen = { text: '', closed: false, socket };
    atServer.push(seen);
    socket.on('data', bytes => {
      seen.text += bytes;
      socket.write(bytes);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      seen.closed = true;
    });
  });
  await new Promise<void>(done => server.listen(0, LOOPBACK, done));
  proxy = await TcpFaultProxy.open({ host: LOOPBACK, port: (server.address() as { port: number }).port });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await proxy.close();
  for (const { socket } of atServer.splice(0)) socket.destroy();
  await new Promise(done => server.close(done));
});

function open() {
  const socket = connect(proxy.port, proxy.host);
  clients.push(socket);
  const seen = { text: '', closed: false, socket };
  socket.on('data', bytes => {
    seen.text += bytes;
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    seen.closed = true;
  });
  return seen;
}

test('passes bytes both ways, and the end of a connection', async () => {
  const client = open();
  const text = 'x'.repeat(3_000_000);
  client.socket.write(text);
  await until('all comes back', () => client.text.length === text.length);
  expect(atServer[0]!.text).toBe(text);
  client.socket.end();
  await until('the end at the server', () => atServer[0]!.closed);
  const other = open();
  other.socket.write('hello');
  await until('the other one', () => other.text === 'hello');
  atServer[1]!.socket.destroy();
  await until('the end at the client', () => other.closed);
});

test('cuts what is there, refuses what comes, until it is mended', async () => {
  const client = open();
  client.socket.write('one');
  await until('an echo', () => client.text === 'one');
  proxy.cut();
  await until('both ends', () => client.closed && atServer[0]!.closed);
  proxy.refuse();
  const refused = open();
  await until('the refusal', () => refused.closed);
  proxy.mend();
  const again = open();
  again.socket.write('two');
  await until('an echo', () => again.text === 'two');
  expect([proxy.acceptedCount, proxy.cutCount, atServer.length]).toEqual([3, 1, 2]);
});

test.each(['toServer', 'toClient'] as const)('cuts right after a byte: %s', async direction => {
  proxy.cutAfter(direction, 5);
  const client = open();
  client.socket.write('123');
  await until('an echo', () => client.text === '123');
  client.socket.write('45678');
  await until('the cut', () => client.closed && atServer[0]!.closed);
  expect(atServer[0]!.text).toBe(direction === 'toServer' ? '12345' : '12345678');
  expect(['12345', '123']).toContain(client.text);
});

test('swallows one way and both; an end is not heard through it', async () => {
  const client = open();
  client.socket.write('a');
  await until('an echo', () => client.text === 'a');
  proxy.swallow('toClient');
  client.socket.write('b');
  await until('it arrives', () => atServer[0]!.text === 'ab');
  proxy.swallow('both');
  client.socket.write('c');
  atServer[0]!.socket.destroy();
  await until('the server has left', () => atServer[0]!.closed);
  expect(client).toMatchObject({ text: 'a', closed: false });
  proxy.mend();
  await until('connections that lost bytes are cut', () => client.closed);
  expect(atServer[0]!.text).toBe('ab');
});

test('stalls and goes on without a loss, and delays', async () => {
  const client = open();
  proxy.stall('toServer');
  client.socket.write('a');
  proxy.delay(50);
  const start = performance.now();
  proxy.mend();
  proxy.delay(50);
  client.socket.write('b');
  await until('both', () => client.text === 'ab');
  expect(performance.now() - start).toBeGreaterThan(95);
});

test('cuts at random by a seed, after what is to pass unharmed', async () => {
  const cuts = async () => {
    const random = dataRandom(7);
    proxy.cutRandomly({ share: 0.5, random: () => random(2 ** 32) / 2 ** 32, unharmedBytesMax: 10 });
    const before = proxy.cutCount;
    const lengths: number[] = [];
    for (let i = 0; i < 5; i++) {
      const client = open();
      while (!client.closed) {
        const { length } = client.text;
        client.socket.write('0123456789');
        await until('an echo or the cut', () => client.closed || client.text.length > length);
      }
      lengths.push(client.text.length);
    }
    expect(proxy.cutCount - before).toBe(5);
    proxy.mend();
    return lengths;
  };
  const first = await cuts();
  expect(Math.max(...first)).toBeGreaterThan(0);
});
