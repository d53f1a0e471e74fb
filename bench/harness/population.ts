/**
 * Nodes to measure with: the relay population of the data set as it is, and repeated with fresh ids in other
 * networks for larger sizes. Seeded: the same rows every time. Written as CSV, so that a cache reads them as
 * users' files.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { relayPopulation } from '../../test/support/relays.ts';

/** First octets without a special-use range inside: 65,536 networks of 24 bits each. */
const OCTETS = Array.from({ length: 223 }, (_, i) => i + 1).filter(
  octet => ![10, 100, 127, 169, 172, 192, 198, 203].includes(octet),
);
const NETWORKS = OCTETS.length * 65_536;
/** Odd strides that spread the networks of a copy, and the copies among each other. */
const NETWORK_STRIDE = 40_503;
const COPY_STRIDE = 7_368_787;
const SEED = 20_261_121;
const CHUNK_ROWS = 4_096;

/** `count` rows: the first as in the data set, then copies of it. */
export function* relayRows(count: number): Generator<NodeRow> {
  const rows = relayPopulation();
  const random = mulberry32(SEED);
  for (let i = 0; i < count; i++) {
    const row = rows[i % rows.length]!;
    const copy = Math.floor(i / rows.length);
    yield copy === 0 ? row : { ...row, id: hexId(random), ip: movedAddress(row.ip, copy) };
  }
}

/** Rows of the data set itself. */
export function relayCount(): number {
  return relayPopulation().length;
}

/** A folder for the files of one run, and how to remove it. */
export function temporaryFolder(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'sortition-bench-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Writes `count` rows as CSV; returns the bytes written. */
export async function writeRelayFile(path: string, count: number): Promise<number> {
  const file = await open(path, 'w');
  try {
    let text = 'id,ip,port,vetted,country\n';
    let bytes = 0;
    let pending = 0;
    for (const { id, ip, port, vetted, attributes } of relayRows(count)) {
      text += `${id},${ip},${port},${vetted ? 1 : 0},${attributes?.[0] ?? ''}\n`;
      if (++pending < CHUNK_ROWS) continue;
      bytes += (await file.write(text)).bytesWritten;
      text = '';
      pending = 0;
    }
    return bytes + (await file.write(text)).bytesWritten;
  } finally {
    await file.close();
  }
}

function movedAddress(ip: string, copy: number): string {
  const [a, b, c, d] = ip.split('.').map(Number) as [number, number, number, number];
  const network = ((a * 256 + b) * 256 + c) * NETWORK_STRIDE + copy * COPY_STRIDE;
  const moved = network % NETWORKS;
  return `${OCTETS[moved >>> 16]}.${(moved >>> 8) & 255}.${moved & 255}.${d}`;
}

function hexId(random: () => number): string {
  let id = '';
  for (let word = 0; word < 8; word++) id += random().toString(16).padStart(8, '0');
  return id;
}

/** Tommy Ettinger's generator: 32 bits of state, good enough to make test data. */
export function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
}
