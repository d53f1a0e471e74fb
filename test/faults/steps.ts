/**
 * The steps of the load cycle as failpoints: each is a line of the product's source, found by its text, at
 * which the debugger catches the loader thread (`served/inside-preload.ts`). A step whose text is gone
 * fails here, and not in silence.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Place } from './served/inside-messages.ts';

const ROOT = resolve(import.meta.dirname, '../..');

/** Step → file, and the beginning of the line that is about to run. */
const STEPS = {
  start: ['src/workers/loader-keeping.ts', 'this.#desk.recover();'],
  restore: ['src/workers/restore.ts', 'const reading = readNewestSnapshot('],
  'restore: publish': ['src/workers/restore.ts', 'publishGeneration(context, slot, snapshot'],
  read: ['src/workers/load-cycle.ts', 'const summary = await context.source.read('],
  build: ['src/workers/load-cycle.ts', 'const generation = publisher.nextGeneration();'],
  validate: ['src/workers/load-cycle.ts', 'const snapshot = validateSnapshot('],
  judge: ['src/workers/load-cycle.ts', 'judge(context, snapshot, builder.counts()'],
  publish: ['src/workers/load-cycle.ts', 'publisher.publish(slot, snapshot.generation);'],
  count: ['src/workers/load-cycle.ts', 'counted: counted('],
  persist: ['src/workers/snapshot-keeper.ts', 'await writeSnapshotFile('],
  'persist: write': ['src/workers/snapshot-file.ts', 'await writeSynced(temporary, packed);'],
  'persist: rename': ['src/workers/snapshot-file.ts', 'await rename(temporary, path);'],
  'delta: read': ['src/workers/delta-cycle.ts', 'const summary = await source.readNodes('],
  'delta: apply': ['src/workers/delta-cycle.ts', 'const outcome = deltas.apply(', 2],
  'delta: judge': ['src/workers/delta-cycle.ts', 'judge(context, snapshot, counts.refused);'],
  'delta: publish': ['src/workers/delta-cycle.ts', 'publishRead(context, slot, snapshot'],
  'fleet: take snapshot': ['src/workers/fleet-store.ts', 'const snapshot = openSnapshotInto('],
  'fleet: take delta': ['src/workers/fleet-store.ts', 'const delta = readDelta('],
  'fleet: apply delta': ['src/workers/fleet-store.ts', 'const outcome = deltas.apply('],
} as const satisfies Record<string, readonly [file: string, text: string, nth?: number]>;

export type Step = keyof typeof STEPS;
export const STEP_NAMES = Object.keys(STEPS) as readonly Step[];

/** Steps that only a replica that follows others goes through. */
export const FLEET_STEPS = STEP_NAMES.filter(name => name.startsWith('fleet:'));
/** Steps at the start of a loader; a restore only where nothing is current. */
export const START_STEPS: readonly Step[] = ['start', 'restore', 'restore: publish'];
export const DELTA_STEPS = STEP_NAMES.filter(name => name.startsWith('delta:'));
export const PERSIST_STEPS = STEP_NAMES.filter(name => name.startsWith('persist'));
export const LOAD_STEPS = STEP_NAMES.filter(
  name => PERSIST_STEPS.includes(name) || (!name.includes(':') && !START_STEPS.includes(name)),
);

export function placeOf(step: Step): Place {
  const [file, text, nth = 1] = STEPS[step] as readonly [string, string, number?];
  const lines = readFileSync(join(ROOT, file), 'utf8').split('\n');
  const found = lines.flatMap((line, i) => (line.includes(text) ? [i + 1] : []));
  const line = found[nth - 1];
  if (line === undefined) throw new Error(`step "${step}": ${file} has no line with ${text}: see steps.ts`);
  return { file, line };
}

/** Which faults have come to which step, by name of the fault. */
export class StepHits {
  readonly #hits = new Map<Step, Map<string, number>>();

  add(step: Step, fault: string, times = 1): void {
    const faults = this.#hits.get(step) ?? new Map<string, number>();
    faults.set(fault, (faults.get(fault) ?? 0) + times);
    this.#hits.set(step, faults);
  }

  get missed(): readonly Step[] {
    return STEP_NAMES.filter(name => !this.#hits.has(name));
  }

  /** Faults that have hit it, and how often. */
  of(step: Step): readonly (readonly [fault: string, times: number])[] {
    return [...(this.#hits.get(step) ?? [])];
  }
}
