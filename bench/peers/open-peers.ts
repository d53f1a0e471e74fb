/** Opens all peers over one table, and closes them in reverse. */

import { objectsPeer } from './objects.ts';
import { embeddedPeer, httpPeer } from './ours.ts';
import type { Design, Peer, PeerNode } from './peer.ts';
import { postgresPeer, startPeerPostgres } from './postgres.ts';
import { redisPeer } from './redis.ts';

export interface OpenPeers {
  readonly designs: readonly Design[];
  /** Versions and settings of the servers. */
  readonly environment: Readonly<Record<string, string>>;
  /** Takes nodes out of the table, as an audit does. */
  disqualify(nodes: readonly PeerNode[]): Promise<void>;
  close(): Promise<void>;
}

/** `inFlight`: the most answers that will be asked for at once. */
export async function openPeers(nodes: ReadonlyMap<string, PeerNode>, inFlight: number): Promise<OpenPeers> {
  const closers: (() => Promise<void>)[] = [];
  const close = async () => {
    for (const closer of closers.reverse()) await closer();
  };
  const opened = async (opening: Promise<Peer>): Promise<Peer> => {
    const peer = await opening;
    closers.push(() => peer.close());
    return peer;
  };
  try {
    const postgres = await startPeerPostgres(nodes);
    closers.push(() => postgres.stop());
    const { connectionString } = postgres.server;
    const databases = await opened(postgresPeer(postgres, inFlight));
    const redis = await opened(redisPeer(nodes));
    const objects = await opened(objectsPeer(connectionString));
    const embedded = await opened(embeddedPeer(connectionString));
    const snapshotBytes = await embedded.designs[0]!.memoryBytes();
    const http = await opened(httpPeer(connectionString, snapshotBytes));
    return {
      designs: [databases, redis, objects, embedded, http].flatMap(peer => peer.designs),
      environment: { ...databases.environment, ...redis.environment },
      disqualify: gone => postgres.disqualify(gone),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
