/**
 * The servers to compare with, each in a process of its own: `node peer-server.ts <kind> <body file> <relay
 * file>`. Says its port to the parent. `constant` answers send the bytes of the body file, which is one
 * answer of ours.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fastify from 'fastify';
import { relayRows } from '../harness/population.ts';
import { COUNT, NEW_COUNT } from '../select/cases.ts';
import { byRejection, plainPools } from '../select/peers.ts';

export type PeerKind = 'node-constant' | 'fastify-constant' | 'fastify-objects';

export interface PeerReady {
  readonly port: number;
}

const HOST = '127.0.0.1';
export const PEER_PATH = '/v1/selection';

async function listenNode(body: Buffer): Promise<number> {
  const server = createServer((request, response) => {
    const answer = (): void => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
      response.end(body);
    };
    if (request.method === 'GET') answer();
    else request.once('end', answer).resume();
  });
  await new Promise<void>(resolve => server.listen(0, HOST, resolve));
  return (server.address() as AddressInfo).port;
}

async function listenFastify(answer: () => Buffer | object): Promise<number> {
  const app = fastify({ logger: false });
  app.get(PEER_PATH, (_request, reply) => {
    reply.type('application/json').send(answer());
  });
  await app.listen({ port: 0, host: HOST });
  return (app.server.address() as AddressInfo).port;
}

/** Picks as a program without this library would, answers with objects. */
function objects(count: number): () => object {
  const pools = plainPools(relayRows(count));
  const started = performance.now();
  return () => ({
    generation: 1,
    ageMs: Math.ceil(performance.now() - started),
    nodes: byRejection(pools, COUNT, NEW_COUNT).map(({ id, ip, port, vetted }) => ({
      id,
      ip,
      port,
      pool: vetted ? 'vetted' : 'new',
    })),
  });
}

function listen(kind: PeerKind, bodyFile: string, rows: number): Promise<number> {
  switch (kind) {
    case 'node-constant':
      return listenNode(readFileSync(bodyFile));
    case 'fastify-constant': {
      const body = readFileSync(bodyFile);
      return listenFastify(() => body);
    }
    case 'fastify-objects':
      return listenFastify(objects(rows));
  }
}

if (process.send !== undefined) {
  // The parent is gone: nobody will stop this process but itself.
  process.once('disconnect', () => process.exit());
  const [kind, bodyFile = '', rows = '1000'] = process.argv.slice(2);
  const port = await listen(kind as PeerKind, bodyFile, Number(rows));
  process.send({ port } satisfies PeerReady);
}
