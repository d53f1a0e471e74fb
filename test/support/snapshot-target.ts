/**
 * Where bytes of a snapshot are taken in, as a restart and a replica do; and what must be true of everything
 * that is taken, read with plain means through the reader that programs use.
 */
import { isIP } from 'node:net';
import { snapshotViews } from '../../native-layout/snapshot-views.ts';
import { DEFAULT_PREFIX_BITS } from '../../src/engine/address/network-keys.ts';
import { openSnapshotInto } from '../../src/engine/delta/open-snapshot.ts';
import type { Reader } from '../../src/engine/reader.ts';
import { BuildMemory } from '../../src/engine/snapshot/build-memory.ts';
import type { Snapshot } from '../../src/engine/snapshot/snapshot.ts';
import { LocalCache } from './local-cache.ts';
import { TEST_SETTINGS } from './population.ts';

const ROWS_MAX = 100;
const ID_BYTES = 32;
const ROW_BYTES = 64;

export class SnapshotTarget {
  readonly cache = new LocalCache({ capacity: ROWS_MAX, settings: TEST_SETTINGS });
  readonly #memory = new BuildMemory(ROWS_MAX, this.cache.plan);
  readonly #reader: Reader = this.cache.reader();

  /** Takes the bytes in as a generation, or throws what `openSnapshotInto` does. */
  take(packed: Uint8Array<ArrayBuffer>): Snapshot {
    const { publisher, slots, layout, plan } = this.cache;
    const slot = publisher.claimSlot();
    const stamp = { generation: publisher.nextGeneration(), readAtMonotonic: 5, readAtUnix: 6 };
    const options = { plan, prefixBits: DEFAULT_PREFIX_BITS, allowRanges: [], stamp };
    const snapshot = openSnapshotInto(snapshotViews(slots[slot]!, layout), packed, options, this.#memory);
    publisher.publish(slot, snapshot.generation);
    return snapshot;
  }

  /** What is wrong with the generation that was taken last, as its readers find it; undefined: nothing. */
  problem({ rowCount, views }: Snapshot): string | undefined {
    const ids = views.rowBytes.slice(0, rowCount * ROW_BYTES);
    const keys = Array.from({ length: rowCount }, (_, row) =>
      Buffer.from(ids.subarray(row * ROW_BYTES, row * ROW_BYTES + ID_BYTES)).toString('hex'),
    );
    if (new Set(keys).size !== rowCount) return 'two rows have one id';
    const { nodes } = this.#reader.lookup(keys);
    const known = new Map<string, string>();
    for (const [row, node] of nodes.entries()) {
      if (node === undefined) return `row ${row} is not found under its id`;
      if (isIP(node.ip) === 0 || node.port < 1 || node.port > 65_535) return `${node.ip}:${node.port}`;
      if (node.id !== keys[row]) return `row ${row} is found under another id`;
      known.set(node.id, `${node.ip} ${node.port} ${node.pool}`);
    }
    for (const placement of ['default', ...Object.keys(TEST_SETTINGS.placements)]) {
      const picked = this.#reader.select({ count: 6, placement, partial: true }).nodes;
      if (new Set(picked.map(({ id }) => id)).size !== picked.length)
        return `${placement}: a node comes twice`;
      const strange = picked.find(({ id, ip, port, pool }) => known.get(id) !== `${ip} ${port} ${pool}`);
      if (strange !== undefined) return `${placement}: ${JSON.stringify(strange)} is no row`;
    }
    return undefined;
  }
}
