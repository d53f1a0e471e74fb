/**
 * The edges of deltas: what counts of changes that contradict each other, limits, and what is never
 * published.
 */
import { describe, expect, test } from 'vitest';
import { HEADER_WORD } from '../../../native-layout/snapshot-header.ts';
import { ROW_NETWORK_WORD, ROW_WORDS } from '../../../native-layout/snapshot-row.ts';
import { CHANGES_MAX } from '../../../src/engine/delta/change-list.ts';
import type { DeltaOutcome } from '../../../src/engine/delta/delta-engine.ts';
import { contentDigestOf } from '../../../src/engine/snapshot/content-digest.ts';
import type { NodeRow } from '../../../src/engine/snapshot/node-row.ts';
import { packSnapshot, type Snapshot } from '../../../src/engine/snapshot/snapshot.ts';
import { validateSnapshot } from '../../../src/engine/snapshot/snapshot-validator.ts';
import { DeltaCache, idBytes } from '../../support/delta-cache.ts';
import { LocalCache } from '../../support/local-cache.ts';
import { TEST_SETTINGS, testId, testNode, testRow } from '../../support/population.ts';
import { relayChurn, relayPopulation, relayRow } from '../../support/relays.ts';

const OPTIONS = { capacity: 30, settings: TEST_SETTINGS };

function row(number: number, more: Partial<NodeRow> = {}): NodeRow {
  return { ...testRow(testNode(number, number % 5, number % 3 ? 'vetted' : 'new', 'DE')), ...more };
}

const ROWS = Array.from({ length: 20 }, (_, number) => row(number));

function loaded(rows: readonly NodeRow[] = ROWS, capacity = 30): DeltaCache {
  const cache = new DeltaCache({ ...OPTIONS, capacity });
  cache.cache.publish(rows);
  return cache;
}

/** The content of a table of these rows. */
function contentOf(rows: readonly NodeRow[]): string {
  return contentDigestOf(new LocalCache({ ...OPTIONS, capacity: 20_000 }).publish(rows).snapshot.views);
}

function reasonOf(outcome: DeltaOutcome): string {
  return outcome.kind === 'load-needed' ? outcome.reason : 'no load is needed';
}

describe('changes', () => {
  test('are counted by what they did, and rows by what was said of them', () => {
    const { counts, changed, snapshot } = loaded().change({
      upserts: [
        row(0),
        row(1, { port: 7 }),
        row(2, { vetted: false }),
        row(3, { ip: 'nowhere' }),
        row(4, { ineligible: 'offline' }),
        row(5, { ineligible: 'suspended' }),
        row(30),
        row(31, { ip: '127.0.0.1' }),
      ],
      removed: [testId(6), testId(99)],
    });
    expect(counts).toEqual({
      refused: { 'address-invalid': 1, 'special-use:loopback': 1 },
      ineligible: { offline: 1, suspended: 1 },
    });
    expect(changed).toEqual({ inserted: 1, updated: 4, removed: 2, unchanged: 3 });
    expect(snapshot.rowCount).toBe(19);
  });

  test('of one id: the last one counts, and only that', () => {
    const { counts, snapshot } = loaded().change({
      upserts: [
        row(1, { port: 1, ineligible: 'offline' }),
        row(1, { port: 2 }),
        row(2, { port: 3 }),
        row(2, { ip: 'nowhere' }),
        row(3, { port: 70_000 }),
        row(3, { port: 4 }),
      ],
    });
    const rest = ROWS.filter(({ id }) => ![1, 2, 3].map(testId).includes(String(id)));
    expect(contentDigestOf(snapshot.views)).toBe(
      contentOf([...rest, row(1, { port: 2 }), row(3, { port: 4 })]),
    );
    expect(counts.ineligible).toEqual({});
  });

  test('of one id: a row counts more than a removal, whichever came first', () => {
    const cache = loaded();
    const changes = cache.engine.collect();
    changes.append(row(1, { port: 2 }));
    changes.remove(idBytes([testId(2)]));
    changes.append(row(2, { port: 3 }));
    const outcome = cache.apply(changes);
    expect(outcome.kind).toBe('built');
    const rest = ROWS.filter(({ id }) => ![1, 2].map(testId).includes(String(id)));
    const expected = contentOf([...rest, row(1, { port: 2 }), row(2, { port: 3 })]);
    expect(contentDigestOf(cache.current().views)).toBe(expected);
  });

  test('that change nothing lead to a generation of the same content', () => {
    const cache = loaded();
    const before = contentDigestOf(cache.current().views);
    const { snapshot, changed, changedIds } = cache.change({ upserts: ROWS, removed: [testId(88)] });
    expect(changed).toEqual({ inserted: 0, updated: 0, removed: 0, unchanged: 21 });
    expect(changedIds).toHaveLength(0);
    expect(contentDigestOf(snapshot.views)).toBe(before);
    expect(snapshot.generation).toBe(2);
  });

  test('to nothing, and from nothing', () => {
    const cache = loaded();
    expect(cache.change({ removed: ROWS.map(({ id }) => String(id)) }).snapshot.rowCount).toBe(0);
    const { snapshot } = cache.change({ upserts: ROWS });
    expect(contentDigestOf(snapshot.views)).toBe(contentOf(ROWS));
    expect(snapshot.networksUsed).toBe(5);
  });

  test('can be applied again when a first try came to nothing', () => {
    const cache = loaded();
    const changes = cache.collect({ upserts: [row(1, { port: 7, ineligible: 'offline' }), row(40)] });
    expect(cache.apply(changes, { publish: false }).kind).toBe('built');
    cache.cache.publish(ROWS.slice(5));
    const outcome = cache.apply(changes);
    expect(outcome).toMatchObject({ kind: 'built', counts: { ineligible: { offline: 1 } } });
    const expected = contentOf([...ROWS.slice(5), row(1, { port: 7, ineligible: 'offline' }), row(40)]);
    expect(contentDigestOf(cache.current().views)).toBe(expected);
  });
});

describe('a delta that is given up', () => {
  test('leaves nothing behind: no network, no value, no number', () => {
    const cache = loaded();
    const odd = { network: 'rack 7', attributes: ['Atlantis', '1'], ip: '2a02:c207::1' };
    expect(cache.apply(cache.collect({ upserts: [row(1, odd)] }), { publish: false }).kind).toBe('built');
    const { snapshot } = cache.change({
      upserts: [row(2, { network: 'rack 8', attributes: ['Lemuria', '1'] })],
    });
    expect(snapshot.networkCount).toBe(6);
    const text = new TextDecoder().decode(snapshot.views.description.slice(0, 200));
    expect(text).toContain('Lemuria');
    expect(text).not.toContain('Atlantis');
    expect(snapshot.views.header[HEADER_WORD.WIDE_ADDRESSES]).toBe(0);
    expect(() => validateSnapshot(snapshot.views)).not.toThrow();
  });

  test('is told from a load that took its number', () => {
    const cache = loaded();
    const given = cache.apply(cache.collect({ upserts: [row(1, { network: 'rack 7' })] }), {
      publish: false,
    });
    const taken = cache.cache.publish(ROWS.map(one => ({ ...one, network: 'rack 8' }))).snapshot;
    if (given.kind !== 'built') throw new Error(given.reason);
    expect(given.snapshot.generation).toBe(taken.generation);
    const { snapshot } = cache.change({ upserts: [row(1, { network: 'rack 7' })] });
    expect(snapshot.networkCount).toBe(2);
    expect(() => validateSnapshot(snapshot.views)).not.toThrow();
  });
});

describe('numbers', () => {
  test('of networks stay when nobody is left, and are taken up again', () => {
    const cache = loaded();
    const { snapshot: without } = cache.change({
      removed: ROWS.filter((_, i) => i % 5 === 3).map(({ id }) => String(id)),
    });
    expect([without.networkCount, without.networksUsed]).toEqual([5, 4]);
    expect([...without.views.header].slice(HEADER_WORD.NETWORKS_USED)[0]).toBe(4);
    const { snapshot: again } = cache.change({ upserts: [row(3)] });
    expect([again.networkCount, again.networksUsed]).toEqual([5, 5]);
  });

  test('of IPv6 addresses are given to the next row that needs one, and are zero meanwhile', () => {
    const wide = (number: number, last: number) => row(number, { ip: `2a02:c207::${last}` });
    const cache = loaded([...ROWS, wide(21, 1), wide(22, 2)]);
    const { snapshot } = cache.change({ upserts: [row(21, { ip: '20.0.0.9' })] });
    const { wideAddressBytes, header } = snapshot.views;
    expect(header[HEADER_WORD.WIDE_ADDRESSES]).toBe(2);
    const zeros = [0, 1].filter(number =>
      wideAddressBytes.slice(64 * number, 64 * number + 64).every(b => b === 0),
    );
    expect(zeros).toHaveLength(1);
    const next = cache.change({ upserts: [wide(5, 7), wide(22, 3)] }).snapshot;
    expect(next.views.header[HEADER_WORD.WIDE_ADDRESSES]).toBe(2);
    const rest = ROWS.filter(({ id }) => id !== testId(5));
    const expected = contentOf([...rest, row(21, { ip: '20.0.0.9' }), wide(5, 7), wide(22, 3)]);
    expect(contentDigestOf(next.views)).toBe(expected);
  });
});

describe('a load is asked for', () => {
  test('when there are more changes than a delta takes', () => {
    const cache = loaded();
    const changes = cache.engine.collect();
    const ids = new Uint8Array(32 * 2 ** 16);
    const view = new DataView(ids.buffer);
    for (let number = 0; number <= CHANGES_MAX; number += 2 ** 16) {
      for (let i = 0; i < 2 ** 16; i++) view.setUint32(32 * i, number + i);
      changes.remove(ids);
    }
    expect(changes.overflowed).toBe(true);
    expect(reasonOf(cache.apply(changes))).toMatch(/more than 1048576 changes/);
  });

  test('when networks have come and gone until their numbers are used up', () => {
    const cache = loaded(ROWS, 25);
    const reasons: string[] = [];
    for (let step = 0; step < 30; step++) {
      reasons.push(reasonOf(cache.apply(cache.collect({ upserts: [row(1, { network: `rack ${step}` })] }))));
    }
    expect(new Set(reasons)).toEqual(
      new Set(['no load is needed', 'there have been more networks than there is room for']),
    );
    expect(reasons.indexOf('no load is needed')).toBe(0);
    cache.cache.publish(ROWS);
    expect(cache.change({ upserts: [row(1, { network: 'rack' })] }).snapshot.networkCount).toBe(6);
  });

  test('when an attribute has had more values than there are codes', () => {
    const cache = new DeltaCache({
      capacity: 70_000,
      settings: { placements: {}, distinctAttributes: ['rack'] },
    });
    const id = Buffer.alloc(32);
    const rowOf = (number: number, rack: string) => {
      id.writeUInt32LE(number);
      return { ...row(0), id: id.toString('hex'), attributes: [rack] };
    };
    cache.cache.publish(Array.from({ length: 65_535 }, (_, number) => rowOf(number, `rack ${number}`)));
    expect(cache.change({ upserts: [rowOf(65_536, 'rack 8')] }).snapshot.rowCount).toBe(65_536);
    const outcome = cache.apply(cache.collect({ upserts: [rowOf(1, 'one more')] }));
    expect(reasonOf(outcome)).toBe('attribute "rack" has had too many values');
    // What is full is not made fuller.
    expect(cache.change({ upserts: [rowOf(1, 'rack 8')] }).changed.updated).toBe(1);
  });

  test.each([
    ['networks', (number: number) => ({ network: `rack ${number}` }), /5\d\d\d of 10000 networks/],
    [
      'IPv6 addresses',
      (number: number) => ({ ip: `2a02:c207::${number.toString(16)}` }),
      /5\d\d\d of 10000 IPv6/,
    ],
  ])('when most %s belong to nobody any more', (_, more, reason) => {
    const rows = Array.from({ length: 10_000 }, (_, number) => row(number, more(number)));
    const cache = loaded(rows, 10_000);
    const removed = rows.map(({ id }) => String(id));
    expect(cache.change({ removed: removed.slice(0, 5000) }).snapshot.rowCount).toBe(5000);
    expect(reasonOf(cache.apply(cache.collect({ removed: removed.slice(5000, 5001) })))).toMatch(reason);
  });
});

describe('never published is', () => {
  const CORRUPT = (words: RegExp) =>
    expect.objectContaining({ code: 'SNAPSHOT_CORRUPT', message: expect.stringMatching(words) });

  test('more than there is room for', () => {
    const cache = loaded(ROWS, 20);
    const one = cache.collect({ upserts: [row(50)] });
    expect(() => cache.apply(one)).toThrow(
      expect.objectContaining({ code: 'CAPACITY_EXCEEDED', field: 'capacity.nodes' }),
    );
    // As many as go can come.
    expect(cache.change({ upserts: [row(50)], removed: [testId(0)] }).snapshot.rowCount).toBe(20);
  });

  test('a content that is not the one that was announced', () => {
    const cache = loaded();
    const changes = { upserts: [row(1, { port: 7 })] };
    const expected = contentOf(ROWS.map(one => (one.id === testId(1) ? row(1, { port: 7 }) : one)));
    const other = contentOf(ROWS);
    expect(() => cache.apply(cache.collect(changes), { contentTo: other })).toThrow(CORRUPT(/not to/));
    expect(contentDigestOf(cache.current().views)).toBe(other);
    expect(cache.apply(cache.collect(changes), { contentTo: expected }).kind).toBe('built');
  });

  test.each<[string, (snapshot: Snapshot) => void, RegExp]>([
    [
      'an id that was not in the index',
      ({ views }) => views.idIndex.fill(0, views.idIndex.indexOf(1), views.idIndex.indexOf(1) + 1),
      /entries for 20 rows|found at row/,
    ],
    [
      'rows out of order',
      ({ views: { rowWords } }) => {
        rowWords[ROW_NETWORK_WORD] = rowWords[19 * ROW_WORDS + ROW_NETWORK_WORD]!;
      },
      /stands behind|set 0/,
    ],
    [
      'two networks of one key',
      ({ views: { networkKeyWords } }) => networkKeyWords.copyWithin(0, 4, 8),
      /has another number/,
    ],
  ])('what comes of a snapshot with %s', (_, damage, words) => {
    const cache = loaded();
    damage(cache.current());
    // Of another pool: the index is made anew.
    const changes = cache.collect({ upserts: [row(30)], removed: [testId(19)] });
    expect(() => cache.apply(changes)).toThrow(CORRUPT(words));
  });
});

test('a day of real churn, hour by hour, leads to what loads of the same hours make', {
  timeout: 60_000,
}, () => {
  const options = { capacity: 12_000, settings: { placements: {}, distinctAttributes: ['country'] } };
  const cache = new DeltaCache(options);
  const other = new LocalCache({ ...options, indexSeed: 9 });
  const known = (one: NodeRow) => ({ ...one, attributes: [one.attributes[0]] });
  const table = new Map(relayPopulation().map(one => [String(one.id), known(one)]));
  cache.cache.publish(table.values());
  let hours = 0;
  for (const { upsert, gone } of relayChurn().slice(0, 24)) {
    const upserts = upsert.map(fields => known(relayRow(fields)));
    for (const one of upserts) table.set(String(one.id), one);
    for (const id of gone) table.delete(id);
    const { snapshot } = cache.change({ upserts, removed: gone });
    const { snapshot: load } = other.publish(table.values());
    expect(contentDigestOf(snapshot.views)).toBe(contentDigestOf(load.views));
    expect([snapshot.rowCount, snapshot.networksUsed]).toEqual([load.rowCount, load.networksUsed]);
    const packed = packSnapshot(snapshot.views);
    validateSnapshot(snapshot.views);
    expect(Buffer.compare(packSnapshot(snapshot.views), packed)).toBe(0);
    hours++;
  }
  expect(hours).toBe(24);
});
