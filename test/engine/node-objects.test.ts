/**
 * The objects of a selection's nodes: shared and frozen within a generation, and never those of another one.
 */
import { expect, test } from 'vitest';
import type { KernelKind } from '../../src/engine/kernel/kernel.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { LocalCache } from '../support/local-cache.ts';

const ALL = { count: 20, newFraction: 0.5, fillWithNew: true };

function rows(count: number, port: number): NodeRow[] {
  return Array.from({ length: count }, (_, i) => ({
    id: i.toString(16).padStart(64, '0'),
    ip: `20.${i >>> 16}.${(i >>> 8) & 255}.${i & 255}`,
    port: port + (i % 100),
    vetted: i % 2 === 0,
    network: String(i),
    attributes: [],
  }));
}

test.each<KernelKind>(['wasm', 'typescript'])('%s: selections of a generation share frozen nodes', kernel => {
  const cache = new LocalCache({ capacity: 20, kernel });
  cache.publish(rows(20, 1000));
  const reader = cache.reader();
  const byId = new Map(reader.select(ALL).nodes.map(node => [node.id, node]));
  expect(byId.size).toBe(20);
  for (const node of reader.select(ALL)) {
    expect(node).toBe(byId.get(node.id));
    expect(Object.isFrozen(node)).toBe(true);
    const number = Number.parseInt(node.id, 16);
    expect(node).toEqual({
      id: node.id,
      ip: `20.0.0.${number}`,
      port: 1000 + number,
      pool: number % 2 === 0 ? 'vetted' : 'new',
    });
  }
});

test('a selection keeps the nodes of its own generation, whenever they are looked at', () => {
  const cache = new LocalCache({ capacity: 20 });
  cache.publish(rows(20, 1000));
  const reader = cache.reader();
  const early = reader.select(ALL);
  const late = reader.select(ALL);
  const port = (node: { port: number }) => node.port;
  expect(Math.max(...early.nodes.map(port))).toBe(1019);
  cache.publish(rows(20, 5000));
  expect(Math.min(...reader.select(ALL).nodes.map(port))).toBe(5000);
  expect(late.nodes.map(port).every(value => value < 1020)).toBe(true);
  for (const node of late) expect(early.nodes).toContain(node);
});

test('a large population does not keep an object for every node', () => {
  const cache = new LocalCache({ capacity: 65_537 });
  cache.publish(rows(65_537, 1000));
  const [first] = cache.reader().select({ count: 1 }).nodes;
  expect(Object.isFrozen(first)).toBe(false);
});
