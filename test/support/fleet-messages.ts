/** Messages of a fleet for tests: one of each kind, and any of them for property tests. */
import fc from 'fast-check';
import type { LogPosition } from '../../src/workers/bus/bus.ts';
import type { FleetBeat } from '../../src/workers/fleet/wire/beat.ts';
import type { FleetRecord, RecordBody, Stamp } from '../../src/workers/fleet/wire/records.ts';

const integer = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const uint32 = fc.nat({ max: 2 ** 32 - 1 });
const time = fc.double({ min: 0, max: 1e15, noNaN: true, noDefaultInfinity: true }).map(ms => ms + 0);
const text = fc.string({ maxLength: 40, unit: 'grapheme' });
const spreadMs = fc.nat({ max: 3_600_000 });
const digest = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map(bytes => Buffer.from(bytes).toString('hex'));
const id = fc.uint8Array({ minLength: 32, maxLength: 32 });
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

export const anyPosition: fc.Arbitrary<LogPosition> = fc.record({ epoch: integer, seq: integer });

const stamp: fc.Arbitrary<Stamp> = fc.record({
  sentAtMs: time,
  sentUnixMs: time,
  previous: optional(anyPosition),
  acknowledgedAtMs: optional(time),
  read: optional(fc.record({ agoMs: time, isProven: fc.boolean() })),
});

const blob = fc.record({
  name: text,
  byteLength: fc.nat({ max: 2 ** 32 }),
  sha256: fc.uint8Array({ minLength: 32, maxLength: 32 }),
});
const revocation = fc.record({ id, holdMs: uint32 });
const answer = fc.record({ replica: digest.map(text => text.slice(0, 16)), number: fc.maxSafeNat() });

const body: fc.Arbitrary<RecordBody> = fc.oneof(
  fc.record({ kind: fc.constant('epoch' as const), leader: text }),
  fc.record({
    kind: fc.constant('delta' as const),
    from: digest,
    to: digest,
    payload: fc.oneof(fc.uint8Array({ maxLength: 300 }), blob),
    askedAtMs: optional(time),
  }),
  fc.record({
    kind: fc.constant('snapshot' as const),
    asOf: anyPosition,
    digest,
    blob,
    layout: uint32,
    program: fc.string({ maxLength: 20 }),
    spreadMs,
    asksForRevocations: fc.boolean(),
    isListWhole: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('revoke' as const),
    revocations: fc.array(revocation, { maxLength: 5 }),
    answers: fc.array(answer, { maxLength: 5 }),
    outSinceMs: optional(time),
  }),
  fc.record({
    kind: fc.constant('idle' as const),
    digest: optional(digest),
    replicaCount: uint32,
    asksForRevocations: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('reload' as const), spreadMs, reason: text }),
);

/** A snapshot says when its source was read. */
export const anyRecord: fc.Arbitrary<FleetRecord> = fc
  .tuple(body, stamp, time)
  .map(([record, given, agoMs]) =>
    record.kind === 'snapshot'
      ? { ...record, stamp: { ...given, read: given.read ?? { agoMs, isProven: false } } }
      : { ...record, stamp: given },
  );

export const anyBeat: fc.Arbitrary<FleetBeat> = fc.record({
  replica: text,
  host: text,
  pid: uint32,
  program: text,
  layout: uint32,
  address: text,
  role: fc.constantFrom('follower' as const, 'leader' as const),
  position: optional(anyPosition),
  epoch: integer,
  digest: optional(digest),
  ageMs: optional(time),
  lost: optional(text),
  refusal: optional(text),
  wish: fc.constantFrom('none' as const, 'blob' as const, 'newer' as const, 'layout' as const),
  asks: fc.array(fc.record({ number: integer, id, holdMs: uint32 }), { maxLength: 4 }),
});

const STAMP: Stamp = {
  sentAtMs: 12_345.5,
  sentUnixMs: 1_900_000_000_000,
  previous: { epoch: 7, seq: 2 },
  acknowledgedAtMs: 12_340,
  read: { agoMs: 25, isProven: true },
};
const SHA256 = new Uint8Array(32).fill(3);
const BLOB = { name: 'snapshot-7-2-0123abcd', byteLength: 64_000, sha256: SHA256 };

/** One of each kind, and both kinds of deltas. */
export const SAMPLES: readonly FleetRecord[] = [
  { kind: 'epoch', leader: 'replica-1', stamp: STAMP },
  {
    kind: 'delta',
    from: '0'.repeat(32),
    to: 'f'.repeat(32),
    payload: new Uint8Array(50).fill(5),
    stamp: STAMP,
  },
  { kind: 'delta', from: '0'.repeat(32), to: 'a'.repeat(32), payload: BLOB, stamp: STAMP },
  {
    kind: 'snapshot',
    asOf: { epoch: 7, seq: 2 },
    digest: 'b'.repeat(32),
    blob: BLOB,
    layout: 5,
    program: '1.2.3',
    spreadMs: 200,
    asksForRevocations: false,
    isListWhole: true,
    stamp: STAMP,
  },
  {
    kind: 'revoke',
    revocations: [{ id: new Uint8Array(32).fill(9), holdMs: 60_000 }],
    answers: [{ replica: '0123456789abcdef', number: 3 }],
    stamp: STAMP,
  },
  { kind: 'idle', digest: 'c'.repeat(32), replicaCount: 12, asksForRevocations: false, stamp: STAMP },
  { kind: 'reload', spreadMs: 5_000, reason: 'somebody said so', stamp: STAMP },
];
