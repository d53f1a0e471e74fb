/**
 * The content digest against its description; that it is the same whoever built the snapshot; and that
 * whatever a row says shows in it.
 */
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { expect, test } from 'vitest';
import { HEADER_WORD } from '../../native-layout/snapshot-header.ts';
import { ContentDigest, contentDigestOf, ValueHashes } from '../../src/engine/snapshot/content-digest.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import type { Snapshot } from '../../src/engine/snapshot/snapshot.ts';
import { readDescription } from '../../src/engine/snapshot/snapshot-description.ts';
import { LocalCache, type LocalCacheOptions } from '../support/local-cache.ts';
import { type PlainRow, plainContent, plainNameKey } from '../support/plain-content.ts';
import { TEST_SETTINGS, testId, testNode, testRow } from '../support/population.ts';
import { checkProperty } from '../support/property.ts';
import { BAD_IPS, randomRows } from '../support/row-lists.ts';

const OPTIONS: LocalCacheOptions = { capacity: 60, settings: TEST_SETTINGS, allowRanges: ['benchmark'] };
const CACHE = new LocalCache(OPTIONS);

/** Good rows, one of each id. */
const tables = fc.array(randomRows, { maxLength: 40 }).map(rows => {
  const table = new Map<string, NodeRow>();
  for (const row of rows) {
    const id = typeof row.id === 'string' ? row.id.toLowerCase() : Buffer.from(row.id).toString('hex');
    const good =
      BAD_IPS[row.ip] === undefined && row.port > 0 && row.port < 65_536 && Number.isInteger(row.port);
    if (good && /^[0-9a-f]{64}$/.test(id)) table.set(id, { ...row, id });
  }
  return [...table.values()];
});

/** The row as the digest's description has it, read with the language's own means. */
function plainRow(row: NodeRow): PlainRow {
  const address = ipaddr.process(row.ip).toByteArray();
  return {
    id: String(row.id),
    pool: row.ineligible === undefined ? (row.vetted ? 1 : 2) : 3,
    address,
    port: row.port,
    networkKey: networkKey(row, address),
    values: row.attributes,
  };
}

const mapped = (bytes: readonly number[]) =>
  bytes.length === 16 ? [...bytes] : [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...bytes];

function networkKey({ network }: NodeRow, address: readonly number[]): number[] {
  if (network) {
    const [name] = network.split('/') as [string];
    return ipaddr.isValid(name) ? mapped(ipaddr.process(name).toByteArray()) : plainNameKey(network);
  }
  const kept = address.length === 4 ? 3 : 8;
  return mapped(address.map((byte, i) => (i < kept ? byte : 0)));
}

const wordsOf = ({ views: { header } }: Snapshot) => [
  ...header.subarray(HEADER_WORD.CONTENT_DIGEST, HEADER_WORD.CONTENT_DIGEST + 4),
];

test('is what its description says of the rows', () => {
  checkProperty(
    fc.property(tables, table => {
      expect(wordsOf(CACHE.publish(table).snapshot)).toEqual(plainContent(table.map(plainRow)));
    }),
    { runs: 200 },
  );
});

test('of the same table is the same, in another order, under another seed, in another slot', () => {
  checkProperty(
    fc.property(tables, fc.nat(), (table, indexSeed) => {
      const first = contentDigestOf(CACHE.publish(table).snapshot.views);
      const other = new LocalCache({ ...OPTIONS, capacity: 200, indexSeed });
      other.publish([]);
      expect(contentDigestOf(other.publish(table.toReversed()).snapshot.views)).toBe(first);
    }),
    { runs: 100 },
  );
});

test('of nothing is zero, and a row alone has a digest of its own', () => {
  expect(contentDigestOf(CACHE.publish([]).snapshot.views)).toBe('0'.repeat(32));
  const digests = Array.from({ length: 200 }, (_, number) =>
    contentDigestOf(CACHE.publish([testRow(testNode(number, 0, 'vetted'))]).snapshot.views),
  );
  expect(new Set(digests).size).toBe(200);
});

const BASE: NodeRow = {
  id: testId(1),
  ip: '20.1.2.3',
  port: 443,
  vetted: true,
  attributes: ['DE', '1'],
};

test.each<[string, Partial<NodeRow>]>([
  ['id', { id: testId(2) }],
  [
    'last bit of the id',
    { id: testId(1).replace(/.$/, digit => (Number.parseInt(digit, 16) ^ 1).toString(16)) },
  ],
  ['address', { ip: '20.1.2.4' }],
  ['kind of address', { ip: '2a02:c207::1', network: '20.1.2.0' }],
  ['port', { port: 442 }],
  ['pool', { vetted: false }],
  ['criterion', { ineligible: 'offline' }],
  ['network', { network: '20.1.3.0' }],
  ['name of the network', { network: 'rack 7' }],
  ['long name of the network', { network: 'a name that is too long for a key' }],
  ['value', { attributes: ['FR', '1'] }],
  ['other value', { attributes: ['DE', '0'] }],
  ['lack of a value', { attributes: [undefined, '1'] }],
  ['empty value', { attributes: ['', '1'] }],
  ['order of values', { attributes: ['1', 'DE'] }],
])('another %s shows', (_, change) => {
  const digestOf = (row: NodeRow) => contentDigestOf(CACHE.publish([row]).snapshot.views);
  expect(digestOf({ ...BASE, ...change })).not.toBe(digestOf(BASE));
});

test('what two rows exchange shows', () => {
  const other = {
    ...BASE,
    id: testId(2),
    ip: '20.1.9.9',
    port: 9001,
    attributes: ['FR', '0'],
    vetted: false,
  };
  const digestOf = (rows: readonly NodeRow[]) => contentDigestOf(CACHE.publish(rows).snapshot.views);
  const digests = new Set([digestOf([BASE, other])]);
  for (const field of ['ip', 'port', 'attributes', 'vetted'] as const) {
    digests.add(
      digestOf([
        { ...BASE, [field]: other[field] },
        { ...other, [field]: BASE[field] },
      ]),
    );
  }
  expect(digests.size).toBe(5);
});

test('what is not said of a row does not show: names of criteria, generation, moment', () => {
  const ineligible = (criterion: string) => CACHE.publish([{ ...BASE, ineligible: criterion }]).snapshot;
  const first = contentDigestOf(ineligible('offline').views);
  CACHE.clockMs += 1000;
  expect(contentDigestOf(ineligible('suspended').views)).toBe(first);
});

test('rows that are taken off and others that are put on lead to the digest of those that are left', () => {
  checkProperty(
    fc.property(tables, tables, (first, second) => {
      const sums = [first, second].map(table => {
        const { snapshot } = CACHE.publish(table);
        const { views, rowCount } = snapshot;
        const values = readDescription(views).attributes.map(attribute => ValueHashes.of(attribute.values));
        const digest = new ContentDigest(views, values);
        // In any runs.
        for (let row = 0; row < rowCount; row += 3) digest.add(row, Math.min(row + 3, rowCount));
        const words = new Uint32Array(4);
        digest.write(words, 0);
        return { words: [...words], header: wordsOf(snapshot) };
      });
      for (const { words, header } of sums) expect(words).toEqual(header);
      const [from, to] = sums as [(typeof sums)[0], (typeof sums)[0]];
      const moved = from.header.map((word, i) => (word - from.words[i]! + to.words[i]!) >>> 0);
      expect(moved).toEqual(to.header);
    }),
    { runs: 100 },
  );
});
