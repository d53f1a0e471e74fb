/** The beginning of an answer written anew is, byte for byte, what the encoder would have written. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ANSWER_HEAD_BYTES_MAX,
  answerRestStart,
  writeAnswerHead,
} from '../../../src/engine/encoding/answer-head.ts';
import { encodedBytesMax } from '../../../src/engine/encoding/encode.ts';
import type { EncodedFormat } from '../../../src/engine/selection/selection-types.ts';
import { LocalCache } from '../../support/local-cache.ts';
import { checkProperty } from '../../support/property.ts';
import { relayPopulation } from '../../support/relays.ts';

const ROOM = 100;
const FORMATS: readonly EncodedFormat[] = ['json', 'messagepack'];

/** A cache whose only generation was read at 1000. */
const cache = new LocalCache({ capacity: 2_000 });
cache.publish(relayPopulation().slice(0, 500));

function encoded(format: EncodedFormat, ageMs: number, seed: number): Buffer {
  cache.clockMs = 1_000 + ageMs;
  const reader = cache.reader(seed, seed);
  const target = Buffer.alloc(encodedBytesMax(format, 5));
  try {
    const { bytes } = reader.selectEncoded(format, { count: 5 }, target);
    return target.subarray(0, bytes);
  } finally {
    reader.release();
  }
}

describe.each(FORMATS)('in %s', format => {
  test('an older answer with its age written anew is the answer of now', () => {
    const age = fc.oneof(fc.nat(), fc.nat(100), fc.constantFrom(0, 9, 10, 2 ** 32 - 1, 2 ** 32, 2 ** 45));
    const property = fc.property(age, age, fc.integer({ min: 1, max: 1e6 }), (before, now, seed) => {
      const old = encoded(format, before, seed);
      const slot = Buffer.concat([Buffer.alloc(ROOM), old]);
      const rest = answerRestStart(format, slot, ROOM);
      const start = writeAnswerHead(format, 1, now, slot, rest);
      expect(rest - start).toBeLessThanOrEqual(ANSWER_HEAD_BYTES_MAX);
      expect(slot.subarray(start).equals(encoded(format, now, seed))).toBe(true);
    });
    checkProperty(property, { runs: 100 });
  });

  test('any generation is written as the encoder does', () => {
    const slot = Buffer.alloc(ROOM);
    for (const generation of [1, 9, 10, 4_294_967_295]) {
      const start = writeAnswerHead(format, generation, 7, slot, ROOM);
      const text = slot.toString('latin1', start);
      if (format === 'json') expect(text).toBe(`{"generation":${generation},"ageMs":7,`);
      else expect(slot.readUInt32BE(start + 13)).toBe(generation);
    }
  });
});
