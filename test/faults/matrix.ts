/** The fault matrix: every fault, with the kind of scene that it is injected into. */
import type { DemoRandom } from '../../src/server/demo/random.ts';
import type { BusKind } from '../support/fleet-scene.ts';
import { CLIENT_FAULTS } from './client-faults.ts';
import { DATA_FAULTS } from './data-faults.ts';
import { DISK_FAULTS } from './disk-faults.ts';
import type { Fault } from './fault.ts';
import { FLEET_FAULTS } from './fleet-faults.ts';
import { FleetServedScene } from './fleet-served-scene.ts';
import { PROCESS_FAULTS } from './process-faults.ts';
import { type FaultResult, runFaults } from './run-faults.ts';
import { ServedScene } from './served-scene.ts';
import { SOURCE_FAULTS } from './source-faults.ts';
import { StepHits } from './steps.ts';
import { THREAD_FAULTS } from './thread-faults.ts';

export const SERVED_FAULTS: readonly Fault[] = [
  ...SOURCE_FAULTS,
  ...DATA_FAULTS,
  ...THREAD_FAULTS,
  ...DISK_FAULTS,
  ...PROCESS_FAULTS,
  ...CLIENT_FAULTS,
];

export { FLEET_FAULTS };

export interface MatrixOptions {
  /** Numbers such as `F3`; all of them when empty. */
  readonly only: readonly string[];
  readonly seconds: number;
  /** The engine of the fleet. */
  readonly bus: BusKind;
  readonly random: DemoRandom;
  readonly onResult?: (result: FaultResult) => void;
}

export interface MatrixResult {
  readonly results: readonly FaultResult[];
  readonly hits: StepHits;
}

export async function runMatrix({ only, bus, ...options }: MatrixOptions): Promise<MatrixResult> {
  const chosen = <F extends { readonly number: string }>(faults: readonly F[]) =>
    faults.filter(({ number }) => only.length === 0 || only.includes(number));
  const hits = new StepHits();
  const results: FaultResult[] = [];
  const served = chosen(SERVED_FAULTS);
  if (served.length > 0) {
    const scene = await ServedScene.start();
    try {
      results.push(...(await runFaults(scene, served, { ...options, hits })));
    } finally {
      await scene.stop();
    }
  }
  const fleet = chosen(FLEET_FAULTS);
  if (fleet.length > 0) {
    const scene = await FleetServedScene.start(bus);
    try {
      results.push(...(await runFaults(scene, fleet, { ...options, hits })));
    } finally {
      await scene.stop();
    }
  }
  return { results, hits };
}
