/**
 * The last good generation, from the snapshot file of the process before: served at once, with its true age,
 * while the source is still being asked or is away. Loader thread.
 */
import { HEADER_BYTES, HEADER_WORD } from '../../native-layout/snapshot-header.ts';
import { snapshotViews } from '../../native-layout/snapshot-views.ts';
import { openSnapshotInto } from '../engine/delta/open-snapshot.ts';
import { CacheError, errorData } from '../engine/errors.ts';
import { monotonicMs } from './clock.ts';
import { inTime } from './in-time.ts';
import { type LoadContext, nodeCounts, publishGeneration } from './load-cycle.ts';
import type { RestoreReport } from './load-report.ts';
import { readNewestSnapshot } from './snapshot-file.ts';

/**
 * Publishes what the newest snapshot file holds that can be used here, and could be read in time. Undefined
 * when there is no file, or none is configured.
 */
export async function restoreGeneration(
  context: LoadContext,
  timeoutMs: number,
): Promise<RestoreReport | undefined> {
  const { snapshotFile, snapshotSigning: signing } = context.settings;
  if (snapshotFile === undefined) return undefined;
  let isLate = false;
  const use = (packed: Uint8Array<ArrayBuffer>) => {
    // Others work in the slots by now.
    if (isLate) throw tooLate(snapshotFile, timeoutMs);
    return publishStored(context, packed);
  };
  try {
    // What does not fit into a slot is not read.
    const limits = { bytesMax: context.layout.byteLength, signing };
    const reading = readNewestSnapshot(snapshotFile, use, limits);
    isLate = !(await inTime(reading, timeoutMs));
    if (isLate) throw tooLate(snapshotFile, timeoutMs);
    const stored = await reading;
    if (stored === undefined) return undefined;
    const problem =
      stored.problem === undefined ? {} : { problem: errorData(stored.problem, 'SNAPSHOT_CORRUPT') };
    return { ...stored.opened, path: stored.path, ...problem };
  } catch (error) {
    // A programmer's error is not for the status.
    if (!(error instanceof CacheError)) throw error;
    return { problem: errorData(error, 'SNAPSHOT_CORRUPT') };
  }
}

function tooLate(path: string, timeoutMs: number): CacheError {
  return new CacheError('SOURCE_TIMEOUT', `${path}: not read within ${timeoutMs} ms; starting without it`);
}

function publishStored(
  context: LoadContext,
  packed: Uint8Array<ArrayBuffer>,
): Pick<RestoreReport, 'generation' | 'nodes' | 'readAt'> {
  const { plan, publisher, settings, slots, layout, buildMemory } = context;
  const slot = publisher.claimSlot();
  const floats = new Float64Array(packed.buffer, 0, HEADER_BYTES / Float64Array.BYTES_PER_ELEMENT);
  const readAtUnix = floats[HEADER_WORD.READ_AT_UNIX / 2]!;
  const readAtMonotonic = floats[HEADER_WORD.READ_AT_MONOTONIC / 2]!;
  const stamp = {
    generation: publisher.nextGeneration(),
    readAtMonotonic: monotonicMs() - storedAgeMs(readAtMonotonic, readAtUnix),
    readAtUnix,
  };
  const { prefixBits, guard } = settings;
  const options = { plan, prefixBits, allowRanges: guard.allowRanges, stamp };
  const snapshot = openSnapshotInto(snapshotViews(slots[slot]!, layout), packed, options, buildMemory);
  publishGeneration(context, slot, snapshot, { beganMs: stamp.readAtMonotonic });
  const readAt = new Date(readAtUnix).toISOString();
  return { generation: snapshot.generation, nodes: nodeCounts(snapshot), readAt };
}

/**
 * The age by the wall clock. A moment that is still to come was told by a clock that has been set back since:
 * then by the machine's monotonic clock, which has gone on where the machine has not been started anew.
 */
function storedAgeMs(readAtMonotonic: number, readAtUnix: number): number {
  const ageMs = Date.now() - readAtUnix;
  return ageMs >= 0 ? ageMs : Math.max(0, monotonicMs() - readAtMonotonic);
}
