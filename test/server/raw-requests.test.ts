/**
 * The corpus on the wire, whole and in pieces: the answers that are due, in their order, then the end of the
 * connection; and nothing of what was hidden in a body is ever taken for a request. `SEED=` replays the cuts.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { figure } from '../support/figures.ts';
import { SEED } from '../support/property.ts';
import { rawConnection, serverTurn } from './support/raw.ts';
import { RAW_CASES, type RawCase, SMUGGLED } from './support/raw-corpus.ts';
import { startTestServer, type TestServer } from './support/server.ts';

/** A refusal is never larger than this, whatever was sent. */
const ANSWER_BYTES_MAX = 1_200;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    'http.requestTimeoutMs': '3000',
    'http.connectionsCheckingIntervalMs': '100',
  });
});
afterAll(() => server.close());

/** Sends the bytes, cut at these places, and returns all that came back before the end. */
async function exchange({ bytes, halfClose }: RawCase, cuts: readonly number[]): Promise<string> {
  const { socket, ended } = rawConnection(server.url);
  socket.setNoDelay(true);
  const ends = [...cuts, bytes.length];
  for (const [i, end] of ends.entries()) {
    const piece = Buffer.from(bytes.slice(i === 0 ? 0 : ends[i - 1], end), 'latin1');
    // A connection that the server has closed already takes nothing more.
    await new Promise<void>(resolve => socket.write(piece, () => resolve()));
    await serverTurn();
  }
  if (halfClose) socket.end();
  return ended;
}

function statusesIn(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

function check(raw: RawCase, text: string): void {
  expect(statusesIn(text)).toEqual(raw.statuses);
  expect(text).not.toContain(SMUGGLED);
  expect(text.length).toBeLessThan(ANSWER_BYTES_MAX * raw.statuses.length);
  expect(Object.keys(Object.prototype)).toEqual([]);
}

test('the corpus is as large as it is said to be, and no case is there twice', () => {
  expect(RAW_CASES.length).toBeGreaterThanOrEqual(300);
  expect(new Set(RAW_CASES.map(({ name }) => name)).size).toBe(RAW_CASES.length);
  expect(new Set(RAW_CASES.map(({ bytes }) => bytes)).size).toBe(RAW_CASES.length);
});

describe('in one piece', () => {
  test.each(RAW_CASES.map(raw => [raw.name, raw.statuses.join(', '), raw] as const))(
    '%s: %s',
    async (_, __, raw) => {
      check(raw, await exchange(raw, []));
    },
  );
});

test('cut at any place, each is answered alike', async () => {
  const cut = (raw: RawCase) =>
    fc
      .array(fc.nat(Math.min(raw.bytes.length, 600)), { minLength: 1, maxLength: 3 })
      .map(places => ({ raw, cuts: places.sort((a, b) => a - b) }));
  for (const [i, raw] of RAW_CASES.entries()) {
    const [sample] = fc.sample(cut(raw), { seed: SEED + i, numRuns: 1 });
    const where = `replay with SEED=${SEED}: ${raw.name}, cut at ${sample!.cuts.join(', ')}`;
    const text = await exchange(raw, sample!.cuts);
    expect(text, where).not.toContain(SMUGGLED);
    // Some are refused before their last byte; what they ask for before that is answered all the same.
    expect(statusesIn(text), where).toEqual(raw.statuses);
  }
});

test('after all of that it serves, and holds nothing', async () => {
  figure('G9', 'malformed or ambiguous requests on raw sockets', RAW_CASES.length);
  expect((await server.call('/v1/selection?count=3')).status).toBe(200);
  expect(server.context.departures.waitingBytes).toBe(0);
});
