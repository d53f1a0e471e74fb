/**
 * Replicas that do not go together: of other placements, other attributes, another byte layout, another key.
 * Each refuses what it cannot use and says so, serves what the source gives it, and harms nobody.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { FleetReplica } from '../../src/workers/fleet-link.ts';
import type { FleetProcess } from '../support/fleet-process.ts';
import { FleetScene, type ReplicaParts, sound, untilAsked } from '../support/fleet-scene.ts';
import { copyWithOtherLayout, type OtherVersion } from '../support/other-version.ts';
import { RELAY_SOURCE } from '../support/relay-table.ts';
import { until } from '../support/until.ts';

const JOINED_MS = 20_000;
/** Whoever can read nothing of the log waits for some silences. */
const REKEYED_MS = 40_000;

let scene: FleetScene;
beforeAll(async () => {
  scene = await FleetScene.start('redis');
});
afterAll(() => scene?.stop());
afterEach(() => scene.leave());

/** Waits until the replica has refused something, and says what. */
async function refusal(of: FleetProcess): Promise<string> {
  await until(`${of.name} has refused something`, () => of.fleet?.refusal !== undefined);
  return of.fleet!.refusal!;
}

/** What `asked` knows of the heartbeats of the fleet. */
async function beats(asked: FleetProcess): Promise<readonly FleetReplica[]> {
  return (await asked.ask('fleet')).replicas ?? [];
}

describe('a replica', () => {
  beforeEach(async () => {
    await scene.addAll(2);
  });

  test('of other placements takes no snapshot, says why, loads by itself, then follows changes', async () => {
    const placements = { exits: { filter: { flags: { exit: true }, countries: ['DE'] } } };
    const other = await scene.add({ cache: { placements } });
    expect(await refusal(other)).toMatch(/of this cache/);
    await scene.converged(JOINED_MS);
    expect(other.fleet!.counters).toMatchObject({ ownLoads: 1, snapshotsTaken: 0 });
    expect(other.fleet!.counters.refused.settings).toBeGreaterThan(0);
    await scene.churn(2);
    await scene.converged();
    // What it says of itself is a moment older than what it serves.
    await until('it has counted the changes', () => other.fleet!.counters.deltasTaken > 0);
    expect(other.fleet!.counters).toMatchObject({ ownLoads: 1, snapshotsTaken: 0 });
  });

  test('of other attributes takes nothing, serves what it loaded itself, and says so', async () => {
    const fewer = { ...scene.source, attributes: { exit: RELAY_SOURCE.attributes!.exit! } };
    const other = await scene.add({ cache: { source: fewer, distinctAttributes: [] } });
    await until('it has loaded', () => other.fleet?.counters.ownLoads === 1, JOINED_MS);
    await scene.churn();
    await scene.converged(
      undefined,
      scene.living.filter(replica => replica !== other),
    );
    await sound(other);
    expect(other.fleet!.lost).toBeDefined();
    expect(await refusal(other)).toMatch(/attribute|of this cache/);
    const { pid } = other;
    await untilAsked('the others see it', async () =>
      (await beats(scene.living[0]!)).some(
        beat =>
          beat.problem === undefined &&
          beat.pid === pid &&
          beat.refusal !== undefined &&
          beat.lost !== undefined,
      ),
    );
  });
});

describe('a fleet that is upgraded to a version of another byte layout', () => {
  let next: OtherVersion;
  beforeAll(() => {
    next = copyWithOtherLayout();
  });
  afterAll(() => next.remove());

  test('has the content of the table on both versions all along, whichever of them leads', async () => {
    const ofNext = { launch: { root: next.root } };
    await scene.add();
    const stays = await scene.add({ fleet: { mayLead: false } });
    await scene.converged(JOINED_MS);
    const first = await scene.leader();
    // The new one cannot use the snapshots of the old ones, but their changes.
    const upgraded = await scene.add(ofNext);
    expect(await refusal(upgraded)).toMatch(/layout/);
    await scene.converged(JOINED_MS);
    expect(upgraded.fleet!.counters).toMatchObject({ ownLoads: 1, snapshotsTaken: 0 });
    await first.close();
    expect(await scene.leader()).toBe(upgraded);
    await scene.churn(2);
    await scene.converged();
    // And the other way round; meanwhile those of the new version join by its snapshots.
    const another = await scene.add(ofNext);
    await scene.converged(JOINED_MS);
    expect(another.fleet!.counters).toMatchObject({ ownLoads: 0, snapshotsTaken: 1 });
    const late = await scene.add({ fleet: { mayLead: false } });
    await scene.converged(JOINED_MS);
    expect(late.fleet!.counters).toMatchObject({ ownLoads: 1, snapshotsTaken: 0 });
    await scene.churn();
    await scene.converged();
    expect(stays.fleet!.counters.ownLoads).toBe(0);
  });
});

describe('a replica with another key', () => {
  let folder: string;
  const withKey = (name: string): ReplicaParts => {
    const keyFile = join(folder, name);
    writeFileSync(keyFile, name.repeat(32));
    return { fleet: { keyFile } };
  };
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sortition-keys-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('refuses the others and is refused, serves what it loads, and does not take the lead', async () => {
    await scene.addAll(2, withKey('a'));
    const stranger = await scene.add(withKey('b'));
    expect(await refusal(stranger)).toMatch(/seal/);
    await until('it has loaded', () => stranger.digest !== undefined, JOINED_MS);
    const right = scene.living.filter(replica => replica !== stranger);
    await scene.churn();
    await scene.converged(undefined, right);
    await sound(stranger);
    expect(stranger.fleet!.position).toBeUndefined();
    await untilAsked('each sees the other as a stranger', async () => {
      const seen = await Promise.all([beats(right[0]!), beats(stranger)]);
      const strangers = seen.map(all => all.filter(({ problem }) => problem !== undefined).length);
      return strangers[0] === 1 && strangers[1] === 2;
    });
    // Only whoever has the right key stands.
    const leader = await scene.leader();
    await leader.kill();
    await scene.churn();
    await until('the other one leads', () => right.some(replica => replica !== leader && replica.isLeader));
    await scene.converged(
      undefined,
      right.filter(replica => replica !== leader),
    );
    expect(stranger.isLeader).toBe(false);
  });

  test('that was there first leaves the lead to those who are more, and they find together', async () => {
    const stranger = await scene.add(withKey('b'));
    await until('it leads', () => stranger.isLeader);
    const right = await Promise.all([scene.add(withKey('a')), scene.add(withKey('a'))]);
    await until('one of the others leads', () => right.some(({ isLeader }) => isLeader), REKEYED_MS);
    await scene.churn();
    await scene.converged(JOINED_MS, right);
    expect(stranger.isLeader).toBe(false);
  });
});

describe('a fleet all of which is given another key', () => {
  test('goes on under it, after a while, with the log that the old one had left', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sortition-keys-'));
    const keyFile = join(folder, 'key');
    writeFileSync(keyFile, 'old'.repeat(16));
    await scene.addAll(2, { fleet: { keyFile } });
    await scene.leave();
    writeFileSync(keyFile, 'new'.repeat(16));
    await Promise.all([scene.add({ fleet: { keyFile } }), scene.add({ fleet: { keyFile } })]);
    await until('one leads', () => scene.living.some(({ isLeader }) => isLeader), REKEYED_MS);
    await scene.churn();
    await scene.converged(JOINED_MS);
    rmSync(folder, { recursive: true });
  });
});
