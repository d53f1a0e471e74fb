/**
 * Peers (e) and (f): ours, reading the same table. Embedded: `openCache` in the process that asks, every node
 * of an answer read as an object. Over HTTP: `sortition serve` in a process of its own, asked on connections
 * that stay open, and the answer parsed.
 */
import { randomBytes } from 'node:crypto';
import { Agent, type RequestOptions, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { Unpackr } from 'msgpackr';
import { openCache, postgresSource } from '../../src/index.ts';
import { freePort } from '../../src/server/demo/free-port.ts';
import { startOurs } from '../http/servers.ts';
import { HttpConnections } from './http-connections.ts';
import { COUNT, type Design, NEW_COUNT, type Peer, type PickedNode } from './peer.ts';

const REQUEST = { count: COUNT, newFraction: NEW_COUNT / COUNT };
const PATH = `/v1/selection?count=${COUNT}&newFraction=${REQUEST.newFraction}`;
const HOST = '127.0.0.1';
const NEVER_MS = 86_400_000;
const STALENESS = 'refresh.everyMs (90 s unless set); nobody waits for it';
const TOKEN = randomBytes(16).toString('hex');

export async function embeddedPeer(connectionString: string): Promise<Peer> {
  const source = postgresSource({ connectionString });
  const cache = await openCache({ source, refresh: { everyMs: NEVER_MS } });
  const shared = {
    peer: 'embedded',
    lot: 'networks',
    staleness: STALENESS,
    synchronous: true,
    processes: [],
    async update() {
      const result = await cache.refresh();
      if (!result.ok) throw new Error(`the refresh failed: ${JSON.stringify(result.error)}`);
    },
    memoryBytes: () => cache.status().lastLoad?.snapshotBytes ?? 0,
  } as const;
  return {
    designs: [
      {
        ...shared,
        name: 'sortition: embedded, select() and every node read',
        answer: () => cache.select(REQUEST).nodes,
      },
      {
        ...shared,
        name: 'sortition: embedded, select() and no node read',
        unread: true,
        answer: () => cache.select(REQUEST),
      },
    ],
    close: () => cache.close(),
  };
}

/** `memoryBytes`: of its snapshot; the server does not say. */
export async function httpPeer(connectionString: string, memoryBytes: number): Promise<Peer> {
  const adminPort = await freePort();
  const server = await startOurs('sortition', [
    ...['--source', connectionString, '--refresh-every-ms', String(NEVER_MS)],
    ...['--admin-port', String(adminPort), '--admin-token', TOKEN],
  ]);
  const connections = new HttpConnections(HOST, server.port);
  const agent = new Agent({ keepAlive: true });
  const refresh: RequestOptions = {
    ...{ host: HOST, port: adminPort, path: '/v1/admin/refresh', method: 'POST' },
    headers: { authorization: `Bearer ${TOKEN}` },
  };
  const design = (name: string, answer: Design['answer']): Design => ({
    peer: 'http',
    name: `sortition: HTTP, ${name}`,
    lot: 'networks',
    staleness: STALENESS,
    processes: [server.pid],
    answer,
    update: async () => void (await bodyOf(refresh)),
    memoryBytes: () => memoryBytes,
  });
  const json = 'application/json';
  const byAgent: RequestOptions = {
    host: HOST,
    port: server.port,
    path: PATH,
    agent,
    headers: { accept: json },
  };
  return {
    designs: [
      design('JSON, over bare sockets', async () => fromJson(await connections.get(PATH, json))),
      design("JSON, over Node's client", async () => fromJson(await bodyOf(byAgent))),
      design('MessagePack, over bare sockets', async () =>
        fromMessagePack(await connections.get(PATH, 'application/msgpack')),
      ),
    ],
    async close() {
      connections.close();
      agent.destroy();
      await server.stop();
    },
  };
}

function bodyOf(options: RequestOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const asked = request(options, response => {
      const body = buffer(response);
      if (response.statusCode === 200) resolve(body);
      else reject(new Error(`the server answered ${response.statusCode}`));
    });
    asked.on('error', reject).end();
  });
}

function fromJson(body: Buffer): PickedNode[] {
  return (JSON.parse(body.toString('latin1')) as { nodes: PickedNode[] }).nodes;
}

const unpackr = new Unpackr({ useRecords: false });

/** Ids are 32 bytes there. */
function fromMessagePack(body: Buffer): PickedNode[] {
  const { nodes } = unpackr.unpack(body) as { nodes: (Omit<PickedNode, 'id'> & { id: Buffer })[] };
  return nodes.map(({ id, ip, port, pool }) => ({ id: id.toString('hex'), ip, port, pool }));
}
