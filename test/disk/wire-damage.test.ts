/**
 * Goal G7 on the wire: one message of every type, with any one bit turned, and cut off anywhere. Nothing is
 * taken, with and without a key. (What lies under a right seal: test/workers/fleet, test/engine/delta.)
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeBeat, encodeBeat } from '../../src/workers/fleet/wire/beat.ts';
import {
  decodePointer,
  decodeRecord,
  encodePointer,
  encodeRecord,
  type FleetSnapshotRecord,
} from '../../src/workers/fleet/wire/records.ts';
import { isRefusal, Sealer } from '../../src/workers/fleet/wire/seal.ts';
import { anyBeat, SAMPLES } from '../support/fleet-messages.ts';
import { SEED } from '../support/property.ts';

const POSITION = { epoch: 7, seq: 3 };
const SNAPSHOT = SAMPLES.find(record => record.kind === 'snapshot') as FleetSnapshotRecord;
const BEATS = fc.sample(anyBeat, { numRuns: 5, seed: SEED });

interface Message {
  readonly kind: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly read: (bytes: Uint8Array) => unknown;
}

function messages(sealer: Sealer): Message[] {
  const pointer = encodePointer(SNAPSHOT, sealer);
  return [
    ...SAMPLES.map(record => ({
      kind: record.kind,
      bytes: encodeRecord(record, POSITION, sealer),
      read: (bytes: Uint8Array) => decodeRecord(bytes, POSITION, sealer),
    })),
    { kind: 'pointer', bytes: pointer, read: bytes => decodePointer(bytes, SNAPSHOT.asOf, sealer) },
    ...BEATS.map(beat => ({
      kind: 'beat',
      bytes: encodeBeat(beat, sealer),
      read: (bytes: Uint8Array) => decodeBeat(beat.replica, bytes, sealer),
    })),
  ];
}

function isRefused(read: () => unknown): boolean {
  try {
    read();
    return false;
  } catch (error) {
    if (isRefusal(error) && !error.isAuthentic) return true;
    throw error;
  }
}

describe.each([
  ['without a key', new Sealer({ fleet: 'test' })],
  ['with a key', new Sealer({ fleet: 'test', key: new Uint8Array(32).fill(1) })],
] as const)('%s', (name, sealer) => {
  test('damage to a message of any type is refused', () => {
    let refused = 0;
    for (const { kind, bytes, read } of messages(sealer)) {
      expect(() => read(bytes), kind).not.toThrow();
      for (let bit = 0; bit < 8 * bytes.length; bit++) {
        const damaged = bytes.slice();
        damaged[bit >> 3]! ^= 1 << (bit & 7);
        if (!isRefused(() => read(damaged))) expect.fail(`${kind} with bit ${bit} turned is taken`);
        refused++;
      }
      for (let length = 0; length < bytes.length; length++) {
        if (!isRefused(() => read(bytes.subarray(0, length))))
          expect.fail(`${kind} of ${length} bytes is taken`);
        refused++;
      }
    }
    const kinds = new Set(messages(sealer).map(({ kind }) => kind));
    expect(kinds.size).toBe(8);
    console.info(`${name}: ${refused} damaged messages of ${kinds.size} types refused`);
  });
});
