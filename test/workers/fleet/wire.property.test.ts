/**
 * The messages of a fleet: what is written is read, and nothing else is. Damage of every bit and at every
 * length, lengths that lie behind a seal that fits, other places, keys and schemas.
 *
 *   damaged, cut, longer, elsewhere    refused as corrupt, or as unsealed where a key is shared
 *   for readers of a newer schema      refused as schema, and known to be of the fleet
 *   nonsense behind a right seal       refused as corrupt, and known to be of the fleet
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LogPosition } from '../../../src/workers/bus/bus.ts';
import { decodeBeat, encodeBeat } from '../../../src/workers/fleet/wire/beat.ts';
import {
  decodePointer,
  decodeRecord,
  encodePointer,
  encodeRecord,
  type FleetSnapshotRecord,
  revocationsPerRecord,
} from '../../../src/workers/fleet/wire/records.ts';
import { isRefusal, type RefusalReason, Sealer } from '../../../src/workers/fleet/wire/seal.ts';
import { anyBeat, anyPosition, anyRecord, SAMPLES } from '../../support/fleet-messages.ts';
import { checkProperty } from '../../support/property.ts';

const POSITION: LogPosition = { epoch: 7, seq: 3 };
const KEY = new Uint8Array(32).fill(1);
const PLAIN = new Sealer({ fleet: 'test' });
const KEYED = new Sealer({ fleet: 'test', key: KEY });
const HEADER_BYTES = 12;
const SEAL_BYTES = 16;

/** Why it is refused; undefined when it is not. Whatever else is thrown is a fault. */
function refusal(read: () => unknown): { reason: RefusalReason; isAuthentic: boolean } | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { reason: error.reason, isAuthentic: error.isAuthentic };
  }
}

describe('every message', () => {
  test('of the log is read as it was written', () => {
    checkProperty(
      fc.property(anyRecord, anyPosition, fc.boolean(), (record, position, isKeyed) => {
        const sealer = isKeyed ? KEYED : PLAIN;
        const bytes = encodeRecord(record, position, sealer);
        expect(decodeRecord(bytes, position, sealer)).toEqual(record);
      }),
    );
  });

  test('of the pointer and of a heartbeat is read as it was written', () => {
    checkProperty(
      fc.property(anyBeat, beat => {
        expect(decodeBeat(beat.replica, encodeBeat(beat, KEYED), KEYED)).toEqual(beat);
      }),
    );
    const snapshot = SAMPLES.find(record => record.kind === 'snapshot') as FleetSnapshotRecord;
    expect(decodePointer(encodePointer(snapshot, PLAIN), snapshot.asOf, PLAIN)).toEqual(snapshot);
  });
});

describe.each([
  ['without a key', PLAIN, 'corrupt'],
  ['with a key', KEYED, 'unsealed'],
] as const)('%s', (_name, sealer, reason) => {
  const encoded = SAMPLES.map(record => encodeRecord(record, POSITION, sealer));

  test('every turned bit of every kind of record is found', () => {
    for (const bytes of encoded) {
      for (let bit = 0; bit < 8 * bytes.length; bit++) {
        const damaged = bytes.slice();
        damaged[bit >> 3]! ^= 1 << (bit & 7);
        const found = refusal(() => decodeRecord(damaged, POSITION, sealer));
        expect(found?.isAuthentic).toBe(false);
      }
    }
  });

  test('every shorter or longer record is refused', () => {
    for (const bytes of encoded) {
      for (let length = 0; length < bytes.length + 8; length++) {
        if (length === bytes.length) continue;
        const cut = new Uint8Array(length);
        cut.set(bytes.subarray(0, length));
        expect(refusal(() => decodeRecord(cut, POSITION, sealer))?.isAuthentic).toBe(false);
      }
    }
  });

  test('a record at another position, in another place or of another fleet is refused', () => {
    const other = new Sealer({ fleet: 'other', ...(sealer === KEYED ? { key: KEY } : {}) });
    for (const bytes of encoded) {
      const reads = [
        () => decodeRecord(bytes, { epoch: 7, seq: 4 }, sealer),
        () => decodeRecord(bytes, { epoch: 8, seq: 3 }, sealer),
        () => decodePointer(bytes, POSITION, sealer),
        () => decodeBeat('replica-1', bytes, sealer),
        () => decodeRecord(bytes, POSITION, other),
      ];
      for (const read of reads) expect(refusal(read)).toEqual({ reason, isAuthentic: false });
    }
  });

  test('any bytes at all are refused', () => {
    checkProperty(
      fc.property(fc.uint8Array({ maxLength: 400 }), bytes => {
        expect(refusal(() => decodeRecord(bytes, POSITION, sealer))?.isAuthentic).toBe(false);
      }),
    );
  });
});

describe('a key', () => {
  const bytes = (sealer: Sealer) => encodeRecord(SAMPLES[1]!, POSITION, sealer);
  const stranger = new Sealer({ fleet: 'test', key: new Uint8Array(32).fill(2) });

  test.each([
    ['that only the reader has', PLAIN, KEYED],
    ['that only the writer has', KEYED, PLAIN],
    ['that is another one', stranger, KEYED],
  ] as const)('%s makes every record unsealed', (_name, writer, reader) => {
    const found = refusal(() => decodeRecord(bytes(writer), POSITION, reader));
    expect(found).toEqual({ reason: 'unsealed', isAuthentic: false });
  });
});

describe('behind a seal that fits', () => {
  /** What somebody without scruples writes who has the key, or a faulty program. */
  function resealed(bytes: Uint8Array, kind: number, change: (body: Uint8Array) => Uint8Array): Uint8Array {
    const body = bytes.slice(HEADER_BYTES, bytes.length - SEAL_BYTES);
    return PLAIN.seal({ place: 'log', kind, position: POSITION }, change(body));
  }

  test('lengths and counts that lie are refused before anything is taken', () => {
    for (const record of SAMPLES) {
      const bytes = encodeRecord(record, POSITION, PLAIN);
      const bodyBytes = bytes.length - HEADER_BYTES - SEAL_BYTES;
      for (let at = 0; at + 4 <= bodyBytes; at++) {
        for (const lie of [0xffff_ffff, 0x7fff_ffff, 1_000_000, bodyBytes]) {
          const forged = resealed(bytes, bytes[5]!, body => {
            new DataView(body.buffer).setUint32(at, lie, true);
            return body;
          });
          const found = refusal(() => decodeRecord(forged, POSITION, PLAIN));
          if (found !== undefined) expect(found).toEqual({ reason: 'corrupt', isAuthentic: true });
        }
      }
    }
  });

  test('any body of any kind is a whole record or is refused, and nothing else happens', () => {
    const kind = fc.integer({ min: 0, max: 255 });
    const property = fc.property(kind, fc.uint8Array({ maxLength: 300 }), (of, body) => {
      const forged = PLAIN.seal({ place: 'log', kind: of, position: POSITION }, body);
      const found = refusal(() => decodeRecord(forged, POSITION, PLAIN));
      if (found !== undefined) expect(found.isAuthentic).toBe(true);
    });
    checkProperty(property, { runs: 3_000 });
  });

  test('a body that is too short or too long is refused', () => {
    for (const record of SAMPLES) {
      const bytes = encodeRecord(record, POSITION, PLAIN);
      for (const by of [-1, -3, 1, 4]) {
        const forged = resealed(bytes, bytes[5]!, body => {
          const changed = new Uint8Array(body.length + by);
          changed.set(body.subarray(0, changed.length));
          return changed;
        });
        const found = refusal(() => decodeRecord(forged, POSITION, PLAIN));
        expect(found).toEqual({ reason: 'corrupt', isAuthentic: true });
      }
    }
  });

  test('a heartbeat under the name of another replica is refused', () => {
    const [beat] = fc.sample(anyBeat, { numRuns: 1, seed: 1 });
    const bytes = encodeBeat({ ...beat!, replica: 'one' }, PLAIN);
    expect(refusal(() => decodeBeat('two', bytes, PLAIN))?.reason).toBe('corrupt');
  });
});

describe('over an upgrade', () => {
  const newer = (oldest: number) => new Sealer({ fleet: 'test', schemas: { written: 2, oldest, read: 2 } });

  test('what an older program wrote is read by a newer one', () => {
    for (const record of SAMPLES) {
      expect(decodeRecord(encodeRecord(record, POSITION, PLAIN), POSITION, newer(1))).toEqual(record);
    }
  });

  test('fields that a newer program appends are passed over by an older one', () => {
    for (const record of SAMPLES) {
      const bytes = encodeRecord(record, POSITION, PLAIN);
      const body = bytes.slice(HEADER_BYTES, bytes.length - SEAL_BYTES);
      const appended = Buffer.concat([body, Buffer.from('more of it')]);
      const sealed = newer(1).seal({ place: 'log', kind: bytes[5]!, position: POSITION }, appended);
      expect(decodeRecord(sealed, POSITION, PLAIN)).toEqual(record);
    }
  });

  test('what is only for newer readers is refused as that, and known to be of the fleet', () => {
    for (const record of SAMPLES) {
      const bytes = encodeRecord(record, POSITION, newer(2));
      expect(() => decodeRecord(bytes, POSITION, PLAIN)).toThrow('schema 2; this program reads up to 1');
      expect(refusal(() => decodeRecord(bytes, POSITION, PLAIN))).toEqual({
        reason: 'schema',
        isAuthentic: true,
      });
    }
  });

  test('a kind that is not known is refused as of another schema', () => {
    const sealed = newer(1).seal({ place: 'log', kind: 99, position: POSITION }, new Uint8Array(8));
    const found = refusal(() => decodeRecord(sealed, POSITION, PLAIN));
    expect(found).toEqual({ reason: 'schema', isAuthentic: true });
  });
});

describe('limits', () => {
  test('as many revocations go into a record as its bus takes', () => {
    for (const recordBytesMax of [400, 1_000, 65_536]) {
      const count = revocationsPerRecord(recordBytesMax);
      const revocations = Array.from({ length: count }, () => ({ id: new Uint8Array(32), holdMs: 1 }));
      const { stamp } = SAMPLES[0]!;
      const bytes = encodeRecord({ kind: 'revoke', revocations, answers: [], stamp }, POSITION, PLAIN);
      expect(count).toBeGreaterThan(0);
      expect(bytes.length).toBeLessThanOrEqual(recordBytesMax);
    }
  });

  test('texts are cut at their limit, and not inside a character', () => {
    const record = {
      kind: 'reload' as const,
      spreadMs: 0,
      reason: 'ä€😀'.repeat(100),
      stamp: SAMPLES[0]!.stamp,
    };
    const read = decodeRecord(encodeRecord(record, POSITION, PLAIN), POSITION, PLAIN);
    expect(read.kind).toBe('reload');
    const { reason } = read as typeof record;
    expect(record.reason.startsWith(reason)).toBe(true);
    expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(200);
    expect(Buffer.byteLength(reason)).toBeGreaterThan(195);
  });
});
