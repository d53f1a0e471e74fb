/**
 * A fleet one of whose replicas has a network of its own, in which packets get lost without a word:
 * partitions as they are in life, where no connection is reset. Both servers are across the network.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FleetProcess } from '../support/fleet-process.ts';
import { FLEET, FleetScene, type SceneBus, sound, untilAsked } from '../support/fleet-scene.ts';
import { type Lost, NetworkNamespace, noNamespacesBecause } from '../support/network-namespace.ts';
import { startTestPostgres } from '../support/postgres.ts';
import { startTestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const reason = await noNamespacesBecause();
const WAYS: readonly Lost[] = ['sent', 'received', 'both'];
const NEW_LEADER_MS = 10_000;

// Where a machine forbids them, the name of the tests says why they did not run.
describe.skipIf(reason !== undefined)(
  `a replica across a network${reason === undefined ? '' : ` (${reason})`}`,
  () => {
    let network: NetworkNamespace;
    let scene: FleetScene;
    let folder: string;
    let remote: FleetProcess;

    beforeAll(async () => {
      network = await NetworkNamespace.make();
      folder = mkdtempSync(join(tmpdir(), 'sortition-network-'));
      const postgres = await startTestPostgres({
        listen_addresses: `127.0.0.1,${network.host}`,
        hba_file: allowAll(folder),
      });
      const bus = await redisAt(network.host);
      scene = await FleetScene.start('redis', { postgres, bus });
      remote = await scene.add({ launch: { by: network.launcher }, host: network.host });
      expect(await scene.leader()).toBe(remote);
      await scene.addAll(2);
    });
    afterAll(async () => {
      await scene?.stop();
      await network?.remove();
      rmSync(folder, { recursive: true, force: true });
    });

    const others = () => scene.living.filter(replica => replica !== remote);

    test('that led makes place for another when all its packets are lost, and follows it then', async () => {
      const { epoch } = remote.fleet!;
      await network.lose('both');
      await scene.churn();
      await until(
        'another one leads',
        () => others().some(({ isLeader, fleet }) => isLeader && fleet!.epoch > epoch),
        NEW_LEADER_MS,
      );
      await scene.converged(undefined, others());
      await until('it leads no longer', () => !remote.isLeader);
      await sound(remote);
      await network.heal();
      await scene.churn();
      await scene.converged();
    });

    test.each(WAYS)(
      'serves what it has while what is %s is lost, and is back in step afterwards',
      async lost => {
        await scene.leader();
        const failures = remote.fleet!.counters.busFailed;
        await network.lose(lost);
        await scene.churn(2);
        await scene.converged(undefined, others());
        await until('it has noticed', () => remote.fleet!.counters.busFailed > failures);
        const { ageMs: thenMs } = await remote.ask('report');
        const isOlder = async () => (await remote.ask('report')).ageMs > thenMs + 500;
        await untilAsked('it grows older', isOlder);
        await sound(remote);
        await scene.churn();
        await network.heal();
        await scene.converged();
      },
    );
  },
);

/** Lets whoever has the password in, from everywhere that the server listens to. Returns the file's path. */
function allowAll(folder: string): string {
  const file = join(folder, 'hba.conf');
  // The server runs as another user.
  chmodSync(folder, 0o755);
  writeFileSync(file, 'host all all all scram-sha-256\n', { mode: 0o644 });
  return file;
}

async function redisAt(host: string): Promise<SceneBus> {
  const redis = await startTestRedis({ bind: `127.0.0.1 ${host}`, 'protected-mode': 'no' });
  return {
    options: ({ at, fleet, ...times }) => ({
      kind: 'redis',
      url: at === undefined ? redis.url : `redis://${at.host}:${at.port}`,
      prefix: fleet,
      ...times,
    }),
    address: { host: redis.host, port: redis.port },
    wipe: async () => {
      throw new Error(`the engine of ${FLEET} is not wiped here`);
    },
    stop: () => redis.stop(),
  };
}
