/**
 * What is promised, and the tests that show it. Each says its figures (`test/support/figures.ts`); the end of
 * a run prints them by goal. `PROOF=long` has every test reach what is promised; without it they run the
 * short form that every change has to pass.
 */
import type { GoalId } from '../support/figures.ts';

export interface Goal {
  readonly promise: string;
  /** What the long form reaches at least, by the name of the figure. */
  readonly floors?: Readonly<Record<string, number>>;
  /** Test files, or folders of them. */
  readonly tests: readonly string[];
}

export const GOALS: Readonly<Record<GoalId, Goal>> = {
  G1: {
    promise:
      '10⁹ self-checked reads, 10,000 publishes, 300 loaders and 200 readers killed: 0 torn, 0 backward',
    floors: {
      'self-checked reads': 1_000_000_000,
      publishes: 10_000,
      'loaders killed': 300,
      'readers killed in the middle of reads': 200,
    },
    tests: ['test/model/publication-stress.race.test.ts', 'test/workers/publication.race.test.ts'],
  },
  G2: {
    promise: 'the protocol in 5 M states, the code in 1.4 M schedules of 4 preemptions, all mutants caught',
    floors: { 'states of the model': 5_000_000, 'schedules of the code': 1_400_000 },
    tests: [
      'test/model/publication-model.test.ts',
      'test/model/publication-schedules.test.ts',
      'test/engine/publication-interleavings.test.ts',
      'test/engine/prepared/ring-interleavings.test.ts',
    ],
  },
  G3: {
    promise: '10,000 simulated fleets agree within 5 s after random faults; the same seed, the same trace',
    floors: { 'fleets simulated': 10_000 },
    tests: ['test/workers/fleet/simulation.test.ts', 'test/workers/fleet/simulation-mutants.test.ts'],
  },
  G4: {
    promise: '50 faults under load: no selection fails while the process lives',
    floors: { 'faults injected': 50 },
    tests: ['test/faults'],
  },
  G5: {
    promise: 'a reported age is never below the true one',
    tests: ['test/workers/fleet-age.pg.test.ts', 'test/workers/push.pg.test.ts'],
  },
  G6: {
    promise: 'after kill -9 the first right answer within 300 ms; every crash state loads the old or the new',
    floors: { kills: 1_000, 'crash states, each the old or the new': 5_000 },
    tests: ['test/disk/kill.test.ts', 'test/disk/crash-states.test.ts'],
  },
  G7: {
    promise: 'every bit flip and truncation, 10⁶ mutations: none accepted, none crashes',
    floors: { 'bits turned, none accepted': 524_288, 'random mutations, none accepted': 500_000 },
    tests: ['test/disk/corruption.test.ts'],
  },
  G8: {
    promise: 'real Redis, NATS and Postgres under faults: nobody goes back, all agree within 5 s',
    tests: [
      'test/workers/bus',
      'test/workers/fleet-bus-faults.pg.test.ts',
      'test/workers/fleet-partitions.pg.test.ts',
    ],
  },
  G9: {
    promise:
      '10⁶ generated requests, 200 malformed heads: no 5xx, nothing off the schema, no prototype changed',
    floors: {
      'requests made from the OpenAPI document': 1_000_000,
      'malformed or ambiguous requests on raw sockets': 200,
    },
    tests: ['test/server/http-fuzz.test.ts', 'test/server/raw-requests.test.ts'],
  },
  G10: {
    promise: 'at 5 × capacity goodput stays; refusals, probes and metrics are quick',
    tests: ['test/server/overload.test.ts', 'test/server/slow-clients.test.ts'],
  },
  G11: { promise: '100 rolling restarts under load: no failed request', tests: ['test/faults'] },
  G12: { promise: 'memory is level over a long life', tests: ['test/workers/memory.test.ts', 'test/soak'] },
  G13: {
    promise: 'selections are fair and cannot be foretold',
    floors: { picks: 100_000_000 },
    tests: [
      'test/engine/selection-chances.test.ts',
      'test/engine/selection-uniform.test.ts',
      'test/engine/prediction.test.ts',
      'test/engine/random.test.ts',
    ],
  },
  G14: {
    promise: '10,000 hostile loads: none published wrongly, no good one refused',
    floors: { 'loads judged, each as the plain rules do': 10_000 },
    tests: ['test/workers/guard'],
  },
  G15: { promise: 'assertions stay on in production', tests: ['test/verify/goals.test.ts'] },
  G16: {
    promise: '30 seeded bugs are found again in every run',
    floors: { 'seeded bugs found': 30 },
    tests: [
      'test/model',
      'test/engine/prepared/ring-interleavings.test.ts',
      'test/disk/crash-states.test.ts',
      'test/workers/fleet/simulation-mutants.test.ts',
      'test/faults/http-load.test.ts',
      'test/server/http-fuzz.test.ts',
    ],
  },
  G17: { promise: 'the same package twice; one optional script at install', tests: ['test/package'] },
};
