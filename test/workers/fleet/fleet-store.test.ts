/**
 * What a replica does with what comes from its fleet, over real slots: ages that turn out wrong, and nodes
 * that the source has told the leader of.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { diffSnapshots } from '../../../src/engine/delta/snapshot-diff.ts';
import { revokedRows } from '../../../src/engine/live-column.ts';
import { contentDigestOf } from '../../../src/engine/snapshot/content-digest.ts';
import { packSnapshot, type Snapshot } from '../../../src/engine/snapshot/snapshot.ts';
import { monotonicMs } from '../../../src/workers/clock.ts';
import type { Provenance } from '../../../src/workers/fleet/store.ts';
import { FleetStore } from '../../../src/workers/fleet-store.ts';
import { currentSnapshot, type LoadContext, runLoadCycle } from '../../../src/workers/load-cycle.ts';
import { RevocationDesk } from '../../../src/workers/revocation-desk.ts';
import { fileSource } from '../../../src/workers/source/file-source.ts';
import { CsvFile, vettedNodes } from '../../support/csv-file.ts';
import { openLoadContext } from '../../support/load-context.ts';
import { testId } from '../../support/population.ts';

const NODES = 6;
const HOLD_MS = 10_000;
const HOUR_MS = 3_600_000;

let file: CsvFile;
/** Reads the file; what it has goes to the replica. */
let leader: LoadContext;
let replica: LoadContext;
let store: FleetStore;
let desk: RevocationDesk;

beforeEach(async () => {
  file = new CsvFile(vettedNodes(NODES));
  const options = { source: fileSource(file.path), capacity: { nodes: 100 }, guard: { dropRatioMax: 1 } };
  leader = openLoadContext(options);
  replica = openLoadContext(options);
  const exclusively = async (work: () => void) => work();
  const fail = (error?: Error) => {
    throw error ?? new Error('a load is asked for');
  };
  desk = new RevocationDesk({
    context: replica,
    exclusively,
    onLoadNeeded: fail,
    onChange: () => undefined,
    onFailure: fail,
  });
  store = new FleetStore(replica, {
    exclusively,
    loadNow: async () => fail(),
    lead: () => undefined,
    revoke: (ids, options) => desk.revokeAsFits(ids, options),
    restore: ids => void desk.restore(ids),
    taken: () => undefined,
  });
  const { views } = await load(NODES);
  await store.takeSnapshot(packSnapshot(views), contentDigestOf(views), provenance());
});
afterEach(() => {
  desk.stop();
  file.remove();
});

/** The leader has so many nodes from now on. */
async function load(nodes: number): Promise<Snapshot> {
  file.write(vettedNodes(nodes));
  await runLoadCycle(leader, { signal: new AbortController().signal, acceptDrop: true });
  return currentSnapshot(leader)!;
}

function provenance(parts: Partial<Provenance> = {}): Provenance {
  return { position: { epoch: 1, seq: 1 }, readAtMs: monotonicMs(), isProven: false, answered: [], ...parts };
}

async function takeDelta(nodes: number, answered: readonly Uint8Array[]): Promise<void> {
  const before = currentSnapshot(leader)!;
  const from = contentDigestOf(before.views);
  const after = await load(nodes);
  const bytes = diffSnapshots(before, after, leader.settings.prefixBits);
  await store.takeDelta(bytes, { from, to: contentDigestOf(after.views) }, provenance({ answered }));
}

const idOf = (number: number) => new Uint8Array(Buffer.from(testId(number), 'hex'));
const out = (): number => revokedRows(currentSnapshot(replica)!.views).length;

describe('the age of what came over the bus', () => {
  test('becomes older when the proven time is older than the one that wall clocks had told', () => {
    const trueMs = monotonicMs() - HOUR_MS;
    expect(store.held()!.readAtMs).toBeGreaterThan(trueMs);
    store.confirm(trueMs);
    expect(store.held()!.readAtMs).toBeLessThanOrEqual(trueMs);
    expect(store.held()!.readAtMs).toBeGreaterThan(trueMs - 17);
    // And younger again by what the log says later.
    const laterMs = monotonicMs();
    store.confirm(laterMs);
    expect(store.held()!.readAtMs).toBeLessThanOrEqual(laterMs);
    expect(store.held()!.readAtMs).toBeGreaterThan(laterMs - 17);
  });

  test('stays as old when the same content is published again without a revocation', () => {
    const trueMs = monotonicMs() - HOUR_MS;
    store.confirm(trueMs);
    const id = idOf(1);
    store.revoke([{ id, holdMs: HOLD_MS }]);
    store.revoke([{ id, holdMs: 0 }]);
    expect(out()).toBe(0);
    expect(store.held()!.readAtMs).toBeLessThanOrEqual(trueMs);
  });
});

test('a node that the fleet holds for longer stays held until its log says that it is not', () => {
  const id = idOf(1);
  const leftMs = () => store.revocations()[0]!.holdMs;
  store.revoke([{ id, holdMs: HOUR_MS }]);
  desk.revoke(id, { origin: 'operator', holdMs: HOLD_MS, keepsLonger: true });
  expect(leftMs()).toBeGreaterThan(HOLD_MS);
  store.revoke([{ id, holdMs: HOLD_MS }]);
  expect(leftMs()).toBeLessThanOrEqual(HOLD_MS);
  desk.revoke(id, { origin: 'operator', holdMs: HOUR_MS, keepsLonger: true });
  expect(leftMs()).toBeGreaterThan(HOLD_MS);
});

describe('a node that the source has told the leader of', () => {
  const id = idOf(1);

  test('is out at once, over deltas that do not answer it, and nobody is told of it', async () => {
    store.takeOut([{ id, holdMs: HOLD_MS }]);
    expect(out()).toBe(1);
    expect(store.revocations()).toEqual([]);
    await takeDelta(NODES + 1, []);
    expect(out()).toBe(1);
    expect(replica.revocations.count).toBe(1);
  });

  test('is as the source says in the delta that answers it', async () => {
    store.takeOut([{ id, holdMs: HOLD_MS }]);
    await takeDelta(NODES + 1, [id]);
    expect(out()).toBe(0);
    expect(replica.revocations.count).toBe(0);
  });

  test('stays out when an operator has revoked it, too, whoever was first', async () => {
    store.revoke([{ id, holdMs: HOUR_MS }]);
    store.takeOut([{ id, holdMs: HOLD_MS }]);
    await takeDelta(NODES + 1, [id]);
    expect(out()).toBe(1);
    const [left] = store.revocations();
    expect(left!.holdMs).toBeGreaterThan(HOLD_MS);
    const other = idOf(2);
    store.takeOut([{ id: other, holdMs: HOLD_MS }]);
    store.revoke([{ id: other, holdMs: HOUR_MS }]);
    await takeDelta(NODES + 2, [other]);
    expect(out()).toBe(2);
    expect(store.revocations()).toHaveLength(2);
  });
});
