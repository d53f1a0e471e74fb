/**
 * Two loads of a large table in a process of its own, and how much memory they took at the most. Linux says
 * so: `node postgres-memory.ts <url> <rows>`. Sends one message, `LoadMemory`.
 */
import { readFileSync } from 'node:fs';
import { openCache, postgresSource } from '../../src/index.ts';

export interface LoadMemory {
  readonly peakResidentBytes: number;
  /** Bytes of the slots that were written. */
  readonly slotBytes: number;
  readonly loadMs: number;
}

const NEVER_MS = 2 ** 31 - 1;
/** Late enough; a loader that never loads again notes for all nodes when their online window ends. */
const EVERY_MS = 600_000;
/** Loads, and as many slots written. */
const LOADS = 2;

async function main(url: string, rows: number): Promise<LoadMemory> {
  const cache = await openCache({
    source: postgresSource({ connectionString: url, statementTimeoutMs: 600_000 }),
    capacity: { nodes: rows, readers: 1 },
    refresh: { everyMs: EVERY_MS, timeoutMs: NEVER_MS },
    readyTimeoutMs: NEVER_MS,
  });
  try {
    const result = await cache.refresh();
    if (!result.ok) throw new Error(`the load failed: ${result.error.message}`);
    const { nodes, snapshotBytes, durationMs } = result.report;
    if (nodes.total !== rows) throw new Error(`${nodes.total} nodes of ${rows}`);
    if (cache.select({ count: 110 }).length !== 110) throw new Error('a selection is short');
    return { peakResidentBytes: peakBytes(), slotBytes: LOADS * snapshotBytes, loadMs: durationMs };
  } finally {
    await cache.close();
  }
}

function peakBytes(): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]);
}

if (process.send !== undefined) {
  const [url = '', rows = '0'] = process.argv.slice(2);
  process.send(await main(url, Number(rows)));
  process.disconnect();
}
