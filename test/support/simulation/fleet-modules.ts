/**
 * The modules of the fleet that a simulation runs: the real ones, or a copy of their source with a change in
 * it, a mutant, in a folder of its own.
 */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { FleetModules } from './toy-replica.ts';

/** Of this repository. */
export const ROOT = resolve(import.meta.dirname, '../../..');
const FLEET = 'src/workers/fleet';
/** What the modules of the fleet import besides each other. */
const NEEDED = ['native-layout', 'src/engine/assert.ts', 'src/workers/clock.ts', 'src/workers/bus/bus.ts'];

export async function loadFleet(root: string): Promise<FleetModules> {
  const load = (file: string) => import(pathToFileURL(join(root, FLEET, file)).href);
  const [{ FleetMember }, { Refusal, Sealer }, { FLEET_LIMITS, FLEET_TIMES }] = await Promise.all([
    load('member.ts'),
    load('wire/seal.ts'),
    load('options.ts'),
  ]);
  return { FleetMember, Refusal, Sealer, FLEET_LIMITS, FLEET_TIMES };
}

/** In a file of the fleet, `from` becomes `to`; it stands there once. */
export interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Writes a mutant. Returns its root, for `loadFleet`; the caller removes it. */
export async function writeMutant(edits: readonly Edit[]): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'sortition-mutant-'));
  await writeFile(join(root, 'package.json'), '{"type":"module"}');
  for (const path of [FLEET, ...NEEDED]) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await cp(join(ROOT, path), join(root, path), { recursive: true });
  }
  for (const { file, from, to } of edits) {
    const path = join(root, FLEET, file);
    const source = await readFile(path, 'utf8');
    const count = source.split(from).length - 1;
    if (count !== 1) throw new Error(`${file} has ${count} times: ${from}`);
    await writeFile(
      path,
      source.replace(from, () => to),
    );
  }
  return root;
}

export async function removeMutant(root: string): Promise<void> {
  await rm(root, { recursive: true, force: true });
}
