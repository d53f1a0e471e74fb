/** Forty hours of real churn, hour by hour, through a file: after each hour the cache equals the table. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { openCache } from '../../src/workers/cache.ts';
import type { Cache } from '../../src/workers/cache-types.ts';
import { fileSource } from '../../src/workers/source/file-source.ts';
import { CsvFile } from '../support/csv-file.ts';
import { RELAY_ATTRIBUTES, relayChurn, relayPopulation, relayRow } from '../support/relays.ts';

const file = new CsvFile();
const table = new Map(relayPopulation().map(row => [String(row.id), row]));
const everSeen = new Set(table.keys());
let cache: Cache;

beforeAll(async () => {
  file.writeRows([...table.values()], RELAY_ATTRIBUTES);
  cache = await openCache({
    source: fileSource(file.path),
    capacity: { nodes: 20_000, readers: 2 },
    limits: { countMax: 10_000, idsMax: 20_000 },
    refresh: { everyMs: 3_600_000 },
    distinctAttributes: ['country'],
  });
  await cache.ready();
});

afterAll(async () => {
  await cache.close();
  file.remove();
});

const known = (row: NodeRow) => ({
  id: row.id,
  ip: row.ip,
  port: row.port,
  pool: row.vetted ? 'vetted' : 'new',
});
const networkOf = (ip: string) => ip.slice(0, ip.lastIndexOf('.'));

function expectCacheToBeTable(hour: number): void {
  const there = [...table.keys()];
  const gone = [...everSeen].filter(id => !table.has(id));
  const { nodes, unknown } = cache.lookup([...there, ...gone]);
  expect(unknown, `hour ${hour}: the ids that are gone`).toEqual(gone);
  expect(nodes.slice(0, there.length), `hour ${hour}`).toEqual([...table.values()].map(known));
  const networks = new Set([...table.values()].map(row => networkOf(row.ip)));
  expect(cache.status().lastLoad?.nodes).toMatchObject({
    total: table.size,
    networks: networks.size,
    ineligible: 0,
  });
}

function expectGoodSelections(): void {
  for (let i = 0; i < 20; i++) {
    const { nodes, shortage } = cache.select();
    expect(shortage).toBeUndefined();
    expect(nodes.map(known => ({ ...known }))).toEqual(nodes.map(({ id }) => known(table.get(id)!)));
    expect(new Set(nodes.map(({ ip }) => networkOf(ip))).size).toBe(110);
    const newCount = nodes.filter(({ pool }) => pool === 'new').length;
    expect([5, 6]).toContain(newCount);
  }
}

test('after each of forty hours of churn the cache equals the table', async () => {
  expectCacheToBeTable(0);
  const hours = relayChurn();
  expect(hours).toHaveLength(40);
  for (const [index, { gone, upsert, present }] of hours.entries()) {
    for (const id of gone) table.delete(id);
    for (const fields of upsert) {
      const row = relayRow(fields);
      table.set(String(row.id), row);
      everSeen.add(String(row.id));
    }
    expect(table.size).toBe(present);
    file.writeRows([...table.values()], RELAY_ATTRIBUTES);
    expect(await cache.refresh()).toMatchObject({ ok: true, report: { generation: index + 2, refused: {} } });
    expectCacheToBeTable(index + 1);
    expectGoodSelections();
  }
});
