/**
 * Peer (c): a real Redis, without persistence, asked over one connection that sends what is asked meanwhile
 * together, or a bare socket. Five layouts of the same nodes; nodes are packed into one text each, so that
 * nothing must be looked up after the draw. A writer keeps the layout current; what a change costs it is
 * measured.
 */
import { createClient } from 'redis';
import { startTestRedis, type TestRedis } from '../../test/support/redis.ts';
import {
  byNetwork,
  COUNT,
  type Design,
  type Lot,
  NEW_COUNT,
  type Peer,
  type PeerNode,
  type PickedNode,
  type Pool,
  packedNode,
  parsedNode,
  parsedNodes,
  VETTED_COUNT,
} from './peer.ts';
import { RedisConnection } from './redis-connection.ts';
import { FROM_SETS, FROM_STRINGS, INDEX_BYTES, LIBRARY, NETWORK_AT, RECORD_BYTES } from './redis-scripts.ts';

const POOLS = ['new', 'vetted'] as const;
/** The nodes of each pool by network, as the writer knows them. */
type Pools = Readonly<Record<Pool, Map<string, PeerNode[]>>>;
type Client = ReturnType<typeof connect>;

/** A network of a pool that has changed; without members it is gone. */
interface Change {
  readonly pool: Pool;
  readonly network: string;
  readonly gone: readonly PeerNode[];
  readonly members: readonly PeerNode[];
}

interface Layout {
  readonly name: string;
  readonly lot: Lot;
  load(): Promise<void>;
  answer(): Promise<readonly PickedNode[]>;
  write(changes: readonly Change[]): Promise<void>;
}

const LINE = '\n';
const SEPARATOR = ' ';
/** Sampled beyond what is needed, because some share a network. */
const FRESH_SAMPLE_NODES = 12;
const SAMPLE_NODES = 180;
/** Keys written in one pipeline. */
const WRITE_KEYS = 1_000;
const ARGUMENTS = [String(NEW_COUNT), String(VETTED_COUNT)];

function connect(url: string) {
  // A connection that breaks is the end of the bench: met by the next command.
  return createClient({ url, socket: { reconnectStrategy: false } }).on('error', () => undefined);
}

export async function redisPeer(table: ReadonlyMap<string, PeerNode>): Promise<Peer> {
  const server = await startTestRedis();
  try {
    const client = connect(server.url);
    await client.connect();
    const nodes = [...table.values()];
    const layouts = [nodeSets, networkSets, networkHashes, flatStrings, functionLibrary];
    const designs: Design[] = [];
    for (const layout of layouts) {
      const pools = { new: byNetwork(nodes, 'new'), vetted: byNetwork(nodes, 'vetted') };
      designs.push(await design(layout(client, pools), server, client, pools));
    }
    const bare = await RedisConnection.open(server.host, server.port);
    designs.push(overBareSocket(designs.at(-1)!, bare));
    return {
      designs,
      environment: { redis: /redis_version:(\S+)/.exec(await client.info('server'))?.[1] ?? 'unknown' },
      async close() {
        bare.close();
        await client.close();
        await server.stop();
      },
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function design(layout: Layout, server: TestRedis, client: Client, pools: Pools): Promise<Design> {
  const before = await usedMemory(client);
  await layout.load();
  // Whatever is made at the first answer belongs to it.
  await layout.answer();
  const bytes = (await usedMemory(client)) - before;
  return {
    peer: 'redis',
    name: `redis: ${layout.name}`,
    lot: layout.lot,
    staleness: "its writer's round",
    processes: [server.pid],
    answer: () => layout.answer(),
    update(gone) {
      const changes = changesOf(pools, gone);
      for (const { pool, network, members } of changes) pools[pool].set(network, [...members]);
      return layout.write(changes);
    },
    memoryBytes: () => bytes,
  };
}

/** The library again, without the client's share: as little of a client as our own HTTP is asked with. */
function overBareSocket(library: Design, connection: RedisConnection): Design {
  return {
    ...library,
    name: `${library.name}, over a bare socket`,
    async answer() {
      return parsedNodes(await connection.ask(['FCALL', 'pick', '1', 'version', ...ARGUMENTS, seed()]), LINE);
    },
  };
}

async function usedMemory(client: Client): Promise<number> {
  const info = await client.info('memory');
  const field = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1]);
  return field('used_memory') + field('used_memory_vm_total');
}

function changesOf(pools: Pools, gone: readonly PeerNode[]): Change[] {
  const ids = new Set(gone.map(node => node.id));
  const touched = new Map(gone.map(node => [`${node.pool} ${node.network}`, node]));
  return [...touched.values()].map(node => {
    const { pool, network } = node;
    const all = pools[pool].get(network) ?? [];
    const members = all.filter(({ id }) => !ids.has(id));
    return { pool, network, gone: all.filter(({ id }) => ids.has(id)), members };
  });
}

/** A set of nodes a pool; the client draws too many and leaves out what shares a network. */
function nodeSets(client: Client, pools: Pools): Layout {
  const member = (node: PeerNode) => `${node.network}${SEPARATOR}${packedNode(node)}`;
  const take = (members: readonly string[], pool: Pool, until: number, taken: Map<string, PickedNode>) => {
    for (const text of members) {
      if (taken.size === until) return;
      const space = text.indexOf(SEPARATOR);
      const network = text.slice(0, space);
      if (!taken.has(network)) taken.set(network, parsedNode(text.slice(space + 1), pool));
    }
  };
  return {
    name: 'SRANDMEMBER of nodes, the client leaves out networks it has',
    lot: 'nodes',
    async load() {
      for (const pool of POOLS) {
        const members = [...pools[pool].values()].flat().map(member);
        for (let i = 0; i < members.length; i += WRITE_KEYS)
          await client.sAdd(`nodes:${pool}`, members.slice(i, i + WRITE_KEYS));
      }
    },
    async answer() {
      for (let factor = 1; ; factor *= 2) {
        const [fresh, vetted] = await Promise.all([
          client.sRandMemberCount('nodes:new', factor * FRESH_SAMPLE_NODES),
          client.sRandMemberCount('nodes:vetted', factor * SAMPLE_NODES),
        ]);
        const taken = new Map<string, PickedNode>();
        take(fresh, 'new', NEW_COUNT, taken);
        if (taken.size < NEW_COUNT) continue;
        take(vetted, 'vetted', COUNT, taken);
        if (taken.size === COUNT) return [...taken.values()];
      }
    },
    async write(changes) {
      const removals = changes.map(({ pool, gone }) => client.sRem(`nodes:${pool}`, gone.map(member)));
      await Promise.all(removals);
    },
  };
}

/** A set of networks a pool, and a set of nodes a network; a script draws. */
function networkSets(client: Client, pools: Pools): Layout {
  let script = '';
  return {
    name: 'EVALSHA over sets, SRANDMEMBER of networks and of the nodes of each',
    lot: 'networks',
    async load() {
      script = await client.scriptLoad(FROM_SETS);
      for (const pool of POOLS) {
        for (const networks of batches([...pools[pool]])) {
          const write = client.multi();
          write.sAdd(
            `networks:${pool}`,
            networks.map(([network]) => network),
          );
          for (const [network, members] of networks)
            write.sAdd(`members:${pool}:${network}`, members.map(packedNode));
          await write.execAsPipeline();
        }
      }
    },
    answer: async () => parsedNodes(String(await client.evalSha(script, { arguments: ARGUMENTS })), LINE),
    async write(changes) {
      const write = client.multi();
      for (const { pool, network, gone, members } of changes) {
        write.sRem(`members:${pool}:${network}`, gone.map(packedNode));
        if (members.length === 0) write.sRem(`networks:${pool}`, network);
      }
      await write.exec();
    },
  };
}

/** A hash of networks with their members a pool; one command draws networks, and the client one of each. */
function networkHashes(client: Client, pools: Pools): Layout {
  const one = (members: string, pool: Pool) => {
    const nodes = members.split(LINE);
    return parsedNode(nodes[Math.floor(Math.random() * nodes.length)]!, pool);
  };
  return {
    name: 'HRANDFIELD of networks with their nodes, the client draws one of each',
    lot: 'networks',
    load: () => writeHashes(client, 'hash', changesFrom(pools)),
    async answer() {
      // As many as may be wanted: the new ones' networks are in the way of no more than their own number.
      const [fresh, vetted] = await Promise.all([
        client.hRandFieldCountWithValues('hash:new', NEW_COUNT),
        client.hRandFieldCountWithValues('hash:vetted', COUNT),
      ]);
      const taken = new Set(fresh.map(({ field }) => field));
      const nodes = fresh.map(({ value }) => one(value, 'new'));
      for (const { field, value } of vetted) {
        if (nodes.length === COUNT) break;
        if (!taken.has(field)) nodes.push(one(value, 'vetted'));
      }
      return nodes;
    },
    write: changes => writeHashes(client, 'hash', changes),
  };
}

function changesFrom(pools: Pools): Change[] {
  return POOLS.flatMap(pool =>
    [...pools[pool]].map(([network, members]) => ({ pool, network, members, gone: [] })),
  );
}

async function writeHashes(client: Client, key: string, changes: readonly Change[]): Promise<void> {
  for (const some of batches(changes)) {
    const write = client.multi();
    for (const { pool, network, members } of some) {
      if (members.length === 0) write.hDel(`${key}:${pool}`, network);
      else write.hSet(`${key}:${pool}`, network, members.map(packedNode).join(LINE));
    }
    await write.execAsPipeline();
  }
}

/** Records in one string, an index in another one; a script draws. A change writes them anew. */
function flatStrings(client: Client, pools: Pools): Layout {
  const record = (node: PeerNode) =>
    `${packedNode(node).padEnd(NETWORK_AT)}${node.network.padEnd(RECORD_BYTES - NETWORK_AT)}`;
  let script = '';
  const writeAll = async () => {
    const write = client.multi();
    for (const pool of POOLS) {
      const networks = [...pools[pool].values()].filter(members => members.length > 0);
      const index = new DataView(new ArrayBuffer(networks.length * INDEX_BYTES));
      let first = 0;
      for (const [i, members] of networks.entries()) {
        index.setUint32(i * INDEX_BYTES, first, true);
        index.setUint32(i * INDEX_BYTES + 4, members.length, true);
        first += members.length;
      }
      write.set(`index:${pool}`, Buffer.from(index.buffer));
      write.set(`records:${pool}`, networks.flat().map(record).join(''));
    }
    await write.exec();
  };
  return {
    name: 'EVALSHA over flat strings, GETRANGE of an index and of a record',
    lot: 'networks',
    async load() {
      script = await client.scriptLoad(FROM_STRINGS);
      await writeAll();
    },
    async answer() {
      const answer = await client.evalSha(script, { arguments: [...ARGUMENTS, seed()] });
      return parsedNodes(String(answer), LINE);
    },
    write: writeAll,
  };
}

/** Hashes as above, kept as arrays by a function library, which reads them when the version is another. */
function functionLibrary(client: Client, pools: Pools): Layout {
  const answer = async () => {
    const fields = { keys: ['version'], arguments: [...ARGUMENTS, seed()] };
    return parsedNodes(String(await client.fCall('pick', fields)), LINE);
  };
  return {
    name: 'FCALL of a library that keeps arrays',
    lot: 'networks',
    async load() {
      await writeHashes(client, 'arrays', changesFrom(pools));
      await client.set('version', '1');
      await client.functionLoad(LIBRARY, { REPLACE: true });
    },
    answer,
    async write(changes) {
      await writeHashes(client, 'arrays', changes);
      await client.incr('version');
      // The next call pays for reading all of it; so it belongs to the change.
      await answer();
    },
  };
}

function seed(): string {
  return String(Math.floor(Math.random() * 2 ** 31));
}

function* batches<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let i = 0; i < items.length; i += WRITE_KEYS) yield items.slice(i, i + WRITE_KEYS);
}
