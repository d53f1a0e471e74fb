/** The servers of `http.bench.ts` and the requests that each is asked: floors, ours in every way, a peer. */
import { relayRows } from '../harness/population.ts';
import { COUNT, NEW_COUNT } from '../select/cases.ts';
import { type RunningServer, startOurs, startPeer } from './servers.ts';

export const PATH = `/v1/selection?count=${COUNT}&newFraction=${(NEW_COUNT / COUNT).toFixed(4)}`;

/** Ids of a POST, and different bodies of that kind: the same one again and again would flatter. */
const EXCLUDED = 90;
const BODIES = 32;

export interface ServedCase {
  readonly name: string;
  readonly server: RunningServer;
  /** Whole requests as bytes, asked in turn. */
  readonly requests: readonly string[];
}

interface CaseOrigin {
  readonly name: string;
  readonly start: (name: string) => Promise<RunningServer>;
  readonly requests?: readonly string[];
}

export interface CaseFiles {
  readonly relayFile: string;
  readonly bodyFile: string;
  readonly rows: number;
}

export const FASTIFY_FLOOR = 'Fastify, constant bytes';
export const NODE_FLOOR = 'node:http, constant bytes';

/** Floors first; then ours; then what programs do without it. */
function origins({ relayFile, bodyFile, rows }: CaseFiles): CaseOrigin[] {
  const source = ['--source', relayFile, '--http-threads', '1'];
  const prepared = [...source, '--serve-from', 'prepared'];
  const inPlace = [...source, '--serve-from', 'in-place'];
  return [
    { name: FASTIFY_FLOOR, start: name => startPeer(name, 'fastify-constant', bodyFile, rows) },
    { name: NODE_FLOOR, start: name => startPeer(name, 'node-constant', bodyFile, rows) },
    { name: 'sortition, prepared', start: name => startOurs(name, prepared) },
    { name: 'sortition, in place', start: name => startOurs(name, inPlace) },
    {
      name: 'node:http, constant bytes to a POST of 90',
      start: name => startPeer(name, 'node-constant', bodyFile, rows),
      requests: excludingRequests(rows),
    },
    {
      name: 'sortition, in place, exclude of 90 by POST',
      start: name => startOurs(name, inPlace),
      requests: excludingRequests(rows),
    },
    {
      name: 'sortition, in place, URLs never seen before',
      start: name => startOurs(name, inPlace),
      requests: newUrls(),
    },
    { name: 'sortition, from the pool', start: name => startOurs(name, [...source, '--serve-from', 'pool']) },
    {
      name: 'Fastify, objects and JSON.stringify',
      start: name => startPeer(name, 'fastify-objects', bodyFile, rows),
    },
  ];
}

/** Starts the servers of the cases with `only` in their names, and the floors. */
export async function startCases(files: CaseFiles, only: string): Promise<ServedCase[]> {
  const cases: ServedCase[] = [];
  try {
    for (const { name, start, requests = [getRequest(PATH)] } of origins(files)) {
      const wanted = name === FASTIFY_FLOOR || name === NODE_FLOOR || name.includes(only);
      if (wanted) cases.push({ name, server: await start(name), requests });
    }
    return cases;
  } catch (error) {
    await stopCases(cases);
    throw error;
  }
}

export async function stopCases(cases: readonly ServedCase[]): Promise<void> {
  await Promise.all(cases.map(({ server }) => server.stop()));
}

export function getRequest(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: bench\r\nAccept: application/json\r\n\r\n`;
}

/** More than any memory of URLs holds: each has passed out of it before it comes again. */
const NEW_URLS = 4_096;

function newUrls(): string[] {
  const fraction = NEW_COUNT / COUNT;
  return Array.from({ length: NEW_URLS }, (_, i) =>
    getRequest(`/v1/selection?count=${COUNT}&newFraction=${(fraction + i * 1e-9).toFixed(9)}`),
  );
}

function excludingRequests(rows: number): string[] {
  const ids = [...relayRows(rows)].map(({ id }) => String(id));
  return Array.from({ length: BODIES }, (_, i) => {
    const exclude = Array.from({ length: EXCLUDED }, (_entry, k) => ids[(i * 997 + k * 101) % ids.length]);
    const body = JSON.stringify({ count: COUNT, newFraction: NEW_COUNT / COUNT, exclude });
    return (
      'POST /v1/selection HTTP/1.1\r\nHost: bench\r\nAccept: application/json\r\n' +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    );
  });
}
