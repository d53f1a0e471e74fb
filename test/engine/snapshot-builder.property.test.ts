/**
 * The builder on random rows, good and bad, against a plain reading of them: what is kept, where, and what is
 * refused.
 */
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { expect, test } from 'vitest';
import { HEADER_BYTES, HEADER_WORD } from '../../native-layout/snapshot-header.ts';
import { GROUP_WORDS } from '../../native-layout/snapshot-layout.ts';
import { ROW_WORDS } from '../../native-layout/snapshot-row.ts';
import { nodeIdText } from '../../src/engine/snapshot/node-id.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { packSnapshot, type Snapshot } from '../../src/engine/snapshot/snapshot.ts';
import { LocalCache } from '../support/local-cache.ts';
import { plainDigest } from '../support/plain-digest.ts';
import { TEST_SETTINGS, testId } from '../support/population.ts';
import { checkProperty } from '../support/property.ts';
import { BAD_IPS, randomRows } from '../support/row-lists.ts';

const CACHE = new LocalCache({ capacity: 60, settings: TEST_SETTINGS, allowRanges: ['benchmark'] });

interface Kept {
  readonly id: string;
  readonly row: NodeRow;
  readonly ip: string;
  readonly network: string;
  readonly pool: 'vetted' | 'new' | 'ineligible';
}

/** What the builder must make of `list`. */
function expectation(list: readonly NodeRow[]) {
  const refused: Record<string, number> = {};
  const ineligible: Record<string, number> = {};
  const kept = new Map<string, Kept>();
  for (const row of list) {
    const id = typeof row.id === 'string' ? row.id.toLowerCase() : Buffer.from(row.id).toString('hex');
    const reason =
      BAD_IPS[row.ip] ??
      (!Number.isInteger(row.port) || row.port < 1 || row.port > 65_535 ? 'port-invalid' : undefined) ??
      (/^[0-9a-f]{64}$/.test(id) ? undefined : 'id-invalid') ??
      (kept.has(id) ? 'id-duplicate' : undefined);
    if (reason !== undefined) {
      refused[reason] = (refused[reason] ?? 0) + 1;
      continue;
    }
    if (row.ineligible) ineligible[row.ineligible] = (ineligible[row.ineligible] ?? 0) + 1;
    const pool = row.ineligible ? 'ineligible' : row.vetted ? 'vetted' : 'new';
    kept.set(id, { id, row, ip: canonical(row.ip), network: networkOf(row), pool });
  }
  return { refused, ineligible, kept };
}

function canonical(ip: string): string {
  const address = ipaddr.process(ip);
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}

/** The network's first address, or its name where that is no address. */
function networkOf(row: NodeRow): string {
  if (row.network) {
    const [name] = row.network.split('/') as [string];
    return ipaddr.isValid(name) ? canonical(name) : `name ${row.network}`;
  }
  const address = ipaddr.process(row.ip);
  const bits = address instanceof ipaddr.IPv6 ? 64 : 24;
  const bytes = address.toByteArray().map((byte, i) => (i * 8 < bits ? byte : 0));
  return canonical(ipaddr.fromByteArray(bytes).toString());
}

const cases = fc.array(randomRows, { maxLength: 55 });

test('every good row is found under its id, with all it has; the others are counted by reason', () => {
  checkProperty(
    fc.property(cases, list => {
      const { refused, ineligible, kept } = expectation(list);
      const built = CACHE.publish(list);
      expect(built.refused).toEqual(refused);
      expect(built.ineligible).toEqual(ineligible);
      expect(built.snapshot.rowCount).toBe(kept.size);
      const reader = CACHE.reader();
      try {
        const { nodes, unknown } = reader.lookup([
          ...kept.keys(),
          ...Array.from({ length: 41 }, (_, n) => testId(n)),
        ]);
        for (const [i, { id, row, ip, pool }] of [...kept.values()].entries()) {
          expect(nodes[i]).toEqual({ id, ip, port: row.port, pool });
        }
        expect(unknown.toSorted()).toEqual(
          Array.from({ length: 41 }, (_, n) => testId(n))
            .filter(id => !kept.has(id))
            .toSorted(),
        );
      } finally {
        reader.release();
      }
    }),
    { runs: 400 },
  );
});

const FILTERS: Record<number, (row: NodeRow) => boolean> = {
  0: () => true,
  1: ({ attributes: [country] }) => country === 'DE' || country === 'FR',
  2: ({ attributes: [country] }) => country !== 'DE' && country !== 'FR',
  3: ({ attributes: [, exit] }) => exit === '1' || exit === 'yes',
};

/** Ids of each group of each pool of a candidate set, as the snapshot has them. */
function groupsOf(snapshot: Snapshot, number: number): string[] {
  const set = snapshot.sets[number]!;
  const groups: string[] = [];
  for (let group = 0; group < set.vettedGroups + set.newGroups; group++) {
    const ids: string[] = [];
    const { groups: pairs } = set;
    const end = pairs[(group + 1) * GROUP_WORDS]!;
    for (let position = pairs[group * GROUP_WORDS]!; position < end; position++) {
      const row = set.identity ? position : set.rows[position]!;
      ids.push(nodeIdText(snapshot.views.rowWords, row * ROW_WORDS));
    }
    groups.push(`${group < set.vettedGroups ? 'vetted' : 'new'} ${ids.toSorted().join()}`);
  }
  return groups.toSorted();
}

test('every candidate set has the nodes that its filter lets pass, grouped by its key, pool by pool', () => {
  checkProperty(
    fc.property(cases, list => {
      const { kept } = expectation(list);
      const { snapshot } = CACHE.publish(list);
      for (const [number, { filter, attribute }] of CACHE.plan.sets.entries()) {
        const groups = new Map<string, string[]>();
        for (const { id, row, network, pool } of kept.values()) {
          if (pool === 'ineligible' || !FILTERS[filter]!(row)) continue;
          const key = attribute === undefined ? network : String(row.attributes[attribute]);
          groups.set(`${pool} ${key}`, [...(groups.get(`${pool} ${key}`) ?? []), id]);
        }
        const expected = [...groups].map(([key, ids]) => `${key.split(' ')[0]} ${ids.toSorted().join()}`);
        expect(groupsOf(snapshot, number), `set ${number}`).toEqual(expected.toSorted());
      }
      expect(snapshot.networkCount).toBe(new Set([...kept.values()].map(node => node.network)).size);
    }),
    { runs: 400 },
  );
});

test('the digest is that of everything but its own words, whatever was in the slot before', () => {
  checkProperty(
    fc.property(cases, list => {
      const { snapshot } = CACHE.publish(list);
      const packed = packSnapshot(snapshot.views);
      const at = HEADER_WORD.DIGEST * 4;
      const header = [packed.subarray(0, at), packed.subarray(at + 16, HEADER_BYTES)];
      const rest = Buffer.concat([packed.subarray(HEADER_BYTES), ...header]);
      const digest = new Uint32Array(packed.buffer, at, 4);
      expect([...digest]).toEqual(plainDigest(rest));
    }),
    { runs: 60 },
  );
});

test('the same rows give the same bytes in every slot, but for generation and digest', () => {
  checkProperty(
    fc.property(cases, cases, (list, other) => {
      const pack = () => {
        const packed = new Uint32Array(packSnapshot(CACHE.publish(list).snapshot.views).buffer);
        packed.fill(0, HEADER_WORD.DIGEST, HEADER_WORD.DIGEST + 4);
        packed[HEADER_WORD.GENERATION] = 0;
        return packed;
      };
      const first = pack();
      CACHE.publish(other);
      CACHE.publish(other);
      expect(pack()).toEqual(first);
    }),
    { runs: 100 },
  );
});
