/** What operators, bugs and other programs do to what a fleet keeps in its engine. */
import { jetstreamManager } from '@nats-io/jetstream';
import { connect as connectNats } from '@nats-io/transport-node';
import { createClient } from 'redis';
import { askedOnce } from './bus-servers.ts';
import type { BusKind, SceneBus } from './fleet-scene.ts';

export interface Harm {
  /** Everything is gone, under living connections. */
  flush(): Promise<void>;
  /** The snapshots and large deltas are gone, as if evicted; the log is not. */
  evictBlobs(): Promise<void>;
  /** Nobody is pointed to a snapshot any more. */
  evictPointer(): Promise<void>;
  /** The log is gone, with its newest position. */
  evictLog(): Promise<void>;
}

/** `bus`: as it is when harm is done, because it may have moved since. */
export function harmOf(kind: BusKind, fleet: string, bus: () => SceneBus): Harm {
  switch (kind) {
    case 'redis':
      return redisHarm(fleet, bus);
    case 'nats':
      return natsHarm(fleet, bus);
    case 'postgres':
      return postgresHarm(fleet, bus);
  }
}

function redisHarm(fleet: string, bus: () => SceneBus): Harm {
  const remove = async (pattern: string) => {
    const { host, port } = bus().address;
    const client = await createClient({ url: `redis://${host}:${port}` }).connect();
    try {
      const keys = await client.keys(pattern);
      if (keys.length === 0) throw new Error(`there is no key ${pattern}`);
      await client.del(keys);
    } finally {
      client.destroy();
    }
  };
  // Letters of a pattern stand for themselves in braces too.
  const prefix = `{${fleet}}:`;
  return {
    flush: () => remove('*'),
    evictBlobs: () => remove(`${prefix}blob:*`),
    evictPointer: () => remove(`${prefix}pointer`),
    evictLog: async () => {
      await remove(`${prefix}log`);
      await remove(`${prefix}head`);
    },
  };
}

function natsHarm(fleet: string, bus: () => SceneBus): Harm {
  const remove = async (match: (name: string) => boolean) => {
    const { host, port } = bus().address;
    const connection = await connectNats({ servers: `${host}:${port}` });
    try {
      const manager = await jetstreamManager(connection);
      let count = 0;
      for await (const name of manager.streams.names()) {
        if (!match(name)) continue;
        await manager.streams.delete(name);
        count++;
      }
      if (count === 0) throw new Error('there is no such stream');
    } finally {
      await connection.close();
    }
  };
  return {
    flush: () => remove(name => name.startsWith(`${fleet}-`)),
    evictBlobs: () => remove(name => name === `${fleet}-blobs`),
    evictPointer: () => remove(name => name === `${fleet}-pointer`),
    evictLog: () => remove(name => name === `${fleet}-log`),
  };
}

function postgresHarm(fleet: string, bus: () => SceneBus): Harm {
  const run = async (statement: string) => {
    const options = bus().options({ fleet });
    if (options.kind !== 'postgres' || options.url === undefined) throw new Error('this is no Postgres bus');
    await askedOnce(options.url, client => client.query(statement));
  };
  return {
    flush: () => run(`drop schema "${fleet}" cascade`),
    evictBlobs: () => run(`truncate "${fleet}".bus_blobs`),
    evictPointer: () => run(`truncate "${fleet}".bus_pointer`),
    evictLog: () => run(`truncate "${fleet}".bus_log`),
  };
}
