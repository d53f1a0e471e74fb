/** The load sees what is wrong with an answer: a matrix under a load that sees nothing would always pass. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { seededBugFound } from '../support/figures.ts';
import { until } from '../support/until.ts';
import { HttpLoad } from './http-load.ts';

const COUNT = 3;
const RATE_PER_SECOND = 200;
/** Enough to see the same thing again and again. */
const ANSWERS = 20;

const node = (id: string) => ({ id, ip: '93.184.216.34', port: 28_967 });
const GOOD = { generation: 5, ageMs: 1_000_000, nodes: ['a', 'b', 'c'].map(node) };

let server: Server;
let load: HttpLoad;
afterEach(async () => {
  await load.stop();
  server.closeAllConnections();
  await new Promise(done => server.close(done));
});

/** What the load says of a server that answers so, after some answers. */
async function saidOf(answer: (response: ServerResponse, count: number) => void): Promise<string[]> {
  let count = 0;
  server = createServer((_, response) => answer(response, count++));
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  load = new HttpLoad({
    target: () => `http://127.0.0.1:${port}`,
    ratePerSecond: RATE_PER_SECOND,
    count: COUNT,
    exists: ({ id }) => id !== 'stranger',
  });
  load.begin();
  load.enter('during');
  load.silentSince(performance.now());
  load.start();
  const counts = load.counts('during');
  await until('some have been answered', () => counts.answered + counts.failed >= ANSWERS);
  return [...counts.reasons.keys()];
}

const says = (answer: object) => saidOf(response => response.end(JSON.stringify(answer)));

test('is content with what is right', async () => {
  expect(await says(GOOD)).toEqual([]);
});

test.each([
  ['too few nodes', { ...GOOD, nodes: GOOD.nodes.slice(1) }, /2 nodes/],
  ['a node twice', { ...GOOD, nodes: ['a', 'b', 'a'].map(node) }, /twice/],
  ['a node that is none', { ...GOOD, nodes: ['a', 'b', 'stranger'].map(node) }, /none/],
  ['no address', { ...GOOD, nodes: [...GOOD.nodes.slice(1), { ...node('d'), ip: '' }] }, /address/],
  ['an age below the true one', { ...GOOD, ageMs: 0 }, /silent for/],
])('sees %s', async (_, answer, reason) => {
  expect((await says(answer)).join()).toMatch(reason);
  seededBugFound('G4');
});

test('sees a generation that goes back', async () => {
  const said = await saidOf((response, count) =>
    response.end(JSON.stringify({ ...GOOD, generation: count < ANSWERS / 2 ? 5 : 4 })),
  );
  expect(said.join()).toMatch(/generation 4 after 5/);
  seededBugFound('G4');
});

test('sees refusals, half answers and connections that break', async () => {
  const said = await saidOf((response, count) => {
    if (count % 3 === 0) response.writeHead(503).end('OVERLOADED');
    else if (count % 3 === 1) response.destroy();
    else response.end('{"generation":');
  });
  expect(said.join()).toMatch(/503 OVERLOADED/);
  expect(said.join()).toMatch(/ECONNRESET/);
  expect(said.join()).toMatch(/JSON/);
});
