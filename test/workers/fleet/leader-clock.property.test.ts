/**
 * Ages by the leader's clock: whatever the clocks are and however long anything takes, a proven time is never
 * later than the true one, and not much earlier once the bus was asked in time.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LogPosition } from '../../../src/workers/bus/bus.ts';
import { LeaderClock } from '../../../src/workers/fleet/leader-clock.ts';
import type { Stamp } from '../../../src/workers/fleet/wire/records.ts';
import { checkProperty } from '../../support/property.ts';

const EPOCH = 3;
const DRIFT_RATIO = 0.0002;

interface Step {
  /** True time that passes before it. */
  readonly pauseMs: number;
  /** What the record takes until the bus has it, until the leader knows, and until the replica reads it. */
  readonly appendMs: number;
  readonly acknowledgeMs: number;
  readonly travelMs: number;
  readonly readAgoMs: number;
  /** The replica asks the bus just before the record is made. */
  readonly isProbed: boolean;
}

const ms = (max: number) => fc.double({ min: 0, max, noNaN: true });
const step: fc.Arbitrary<Step> = fc.record({
  pauseMs: ms(2_000),
  appendMs: ms(300),
  acknowledgeMs: ms(300),
  travelMs: ms(5_000),
  readAgoMs: ms(3_000),
  isProbed: fc.boolean(),
});

interface Clocks {
  readonly leaderOffsetMs: number;
  readonly localOffsetMs: number;
  readonly leaderRate: number;
  readonly localRate: number;
  readonly skewMs: number;
}

const rate = fc.double({ min: 1 - DRIFT_RATIO, max: 1 + DRIFT_RATIO, noNaN: true });
const clocks: fc.Arbitrary<Clocks> = fc.record({
  leaderOffsetMs: ms(1e9),
  localOffsetMs: ms(1e9),
  leaderRate: rate,
  localRate: rate,
  skewMs: fc.double({ min: -1e7, max: 1e7, noNaN: true }),
});

/** Plays the steps; calls back for each record with the time it was read and what the replica reckons. */
function play(
  steps: readonly Step[],
  { leaderOffsetMs, localOffsetMs, leaderRate, localRate, skewMs }: Clocks,
  check: (found: { trueReadMs: number; reckonedMs: number; isProven: boolean }) => void,
): void {
  const leaderMs = (trueMs: number) => leaderOffsetMs + leaderRate * trueMs;
  const localMs = (trueMs: number) => localOffsetMs + localRate * trueMs;
  const clock = new LeaderClock();
  let position: LogPosition = { epoch: EPOCH, seq: 0 };
  let acknowledgedAtMs: number | undefined;
  let trueMs = 10_000;
  let readMs = 0;
  for (const { pauseMs, appendMs, acknowledgeMs, travelMs, readAgoMs, isProbed } of steps) {
    trueMs += pauseMs;
    // In the log is now what was appended before.
    if (isProbed) clock.probed(localMs(trueMs), position);
    const stamp: Stamp = {
      sentAtMs: leaderMs(trueMs),
      sentUnixMs: trueMs,
      previous: position,
      acknowledgedAtMs,
      read: { agoMs: leaderRate * readAgoMs, isProven: true },
    };
    const trueReadMs = trueMs - readAgoMs;
    const next = { epoch: EPOCH, seq: position.seq + 1 };
    // Records are read in their order.
    readMs = Math.max(readMs, trueMs + appendMs + travelMs);
    clock.heard(next, position, stamp);
    const now = { nowMs: localMs(readMs), unixMs: readMs + skewMs };
    const time = clock.readTime(EPOCH, stamp, now)!;
    check({ trueReadMs: localMs(trueReadMs), reckonedMs: time.readAtMs, isProven: time.isProven });
    trueMs += appendMs + acknowledgeMs;
    acknowledgedAtMs = leaderMs(trueMs);
    position = next;
  }
}

test('a proven time is never later than the true one', () => {
  let provenCount = 0;
  const property = fc.property(fc.array(step, { minLength: 2, maxLength: 40 }), clocks, (steps, given) => {
    play(steps, given, ({ trueReadMs, reckonedMs, isProven }) => {
      if (!isProven) return;
      provenCount++;
      // What doubles of this size cannot tell apart.
      expect(reckonedMs).toBeLessThanOrEqual(trueReadMs + 0.001);
    });
  });
  checkProperty(property);
  expect(provenCount).toBeGreaterThan(100);
});

test('it is earlier by no more than what lay between asking and the next record, and some drift', () => {
  const quick = {
    pauseMs: 1_000,
    appendMs: 1,
    acknowledgeMs: 1,
    travelMs: 5,
    readAgoMs: 100,
    isProbed: true,
  };
  const steps = Array.from({ length: 30 }, () => quick);
  checkProperty(
    fc.property(clocks, given => {
      let count = 0;
      play(steps, given, ({ trueReadMs, reckonedMs, isProven }) => {
        if (++count <= 2) return;
        expect(isProven).toBe(true);
        expect(trueReadMs - reckonedMs).toBeLessThan(10);
      });
    }),
  );
});

test('without proof it is reckoned from the wall clocks, and said to be so', () => {
  const clock = new LeaderClock();
  const stamp: Stamp = { sentAtMs: 5, sentUnixMs: 1_000, read: { agoMs: 10, isProven: true } };
  clock.heard({ epoch: 1, seq: 0 }, { epoch: 0, seq: 0 }, stamp);
  expect(clock.readTime(1, stamp, { nowMs: 500, unixMs: 1_200 })).toEqual({
    readAtMs: 289.995,
    isProven: false,
  });
  // A wall clock behind the leader's makes nothing younger than it was when it was sent.
  expect(clock.readTime(1, stamp, { nowMs: 500, unixMs: 200 })).toEqual({
    readAtMs: 489.995,
    isProven: false,
  });
});

test('what proves a time of one epoch proves none of another, nor does a bus that lost data', () => {
  const stamp = (previous: LogPosition, acknowledgedAtMs: number): Stamp => ({
    sentAtMs: acknowledgedAtMs + 5,
    sentUnixMs: 0,
    previous,
    acknowledgedAtMs,
    read: { agoMs: 0, isProven: true },
  });
  const now = { nowMs: 2_000, unixMs: 0 };
  const clock = new LeaderClock();
  const at = (epoch: number, seq: number): LogPosition => ({ epoch, seq });
  clock.heard(at(4, 0), at(3, 9), { sentAtMs: 0, sentUnixMs: 0, previous: at(3, 9) });
  clock.probed(1_000, at(4, 0));
  clock.forgetProbe();
  clock.heard(at(4, 1), at(4, 0), stamp(at(4, 0), 7));
  clock.heard(at(4, 2), at(4, 1), stamp(at(4, 1), 9));
  expect(clock.readTime(4, stamp(at(4, 1), 9), now)?.isProven).toBe(false);
  clock.probed(1_000, at(4, 2));
  clock.heard(at(4, 3), at(4, 2), stamp(at(4, 2), 11));
  expect(clock.readTime(4, stamp(at(4, 2), 11), now)?.isProven).toBe(false);
  clock.heard(at(4, 4), at(4, 3), stamp(at(4, 3), 13));
  expect(clock.readTime(4, stamp(at(4, 3), 13), now)?.isProven).toBe(true);
  clock.heard(at(5, 0), at(4, 4), stamp(at(4, 4), 1));
  expect(clock.readTime(5, stamp(at(4, 4), 1), now)?.isProven).toBe(false);
});
