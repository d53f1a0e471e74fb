/**
 * A process that stands for election until it is ended, and writes as long as it holds the office. Says on
 * its standard output what happens, a line of JSON each, with times of the machine's monotonic clock.
 * Arguments: connection string, fleet, lease in ms.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { monotonicMs } from '../../src/workers/clock.ts';
import { systemClock } from '../../src/workers/fleet/clock.ts';
import { PostgresElection } from '../../src/workers/fleet/election/postgres-election.ts';

export interface CandidateLine {
  readonly kind: 'elected' | 'writes' | 'lost';
  readonly epoch: number;
  readonly atMs: number;
}

const ATTEMPT_EVERY_MS = 100;
const WRITE_EVERY_MS = 5;

const [connectionString = '', fleet = '', lease = ''] = process.argv.slice(2);
const election = new PostgresElection({
  server: async () => ({ connectionString, timeoutMs: 1_000 }),
  description: 'test',
  fleet,
  leaseMs: Number(lease),
  clock: systemClock,
});

function say(kind: CandidateLine['kind'], epoch: number, atMs: number): void {
  process.stdout.write(`${JSON.stringify({ kind, epoch, atMs } satisfies CandidateLine)}\n`);
}

for (;;) {
  const term = await election.attempt(new AbortController().signal).catch(() => undefined);
  if (term !== undefined) {
    say('elected', term.epoch, monotonicMs());
    for (;;) {
      // The time first: it may be stopped in between.
      const atMs = monotonicMs();
      const isHeld = term.stillHeld();
      if (!isHeld) break;
      say('writes', term.epoch, atMs);
      await delay(WRITE_EVERY_MS);
    }
    say('lost', term.epoch, monotonicMs());
  }
  await delay(ATTEMPT_EVERY_MS);
}
