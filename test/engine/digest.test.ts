/** The digest against smhasher's algorithm, in any division of the words into updates. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Digest, digestText } from '../../src/engine/snapshot/digest.ts';
import { murmur3 } from '../support/murmur3.ts';
import { checkProperty } from '../support/property.ts';

function digestOf(words: Uint32Array, seed: number, cuts: readonly number[] = []): number[] {
  const digest = new Digest(seed);
  const ends = [
    ...new Set([...cuts.filter(cut => cut * 4 < words.length).map(cut => cut * 4), words.length]),
  ];
  let start = 0;
  for (const end of ends.sort((a, b) => a - b)) {
    digest.update(words, start, end - start);
    start = end;
  }
  const out = new Uint32Array(4);
  digest.write(out, 0);
  return [...out];
}

test("the reference of this test gives smhasher's verification value of MurmurHash3 x86 128", () => {
  const hashes = Array.from({ length: 256 }, (_, length) =>
    murmur3(
      Uint8Array.from({ length }, (_unused, i) => i),
      256 - length,
    ),
  );
  const all = new Uint8Array(Uint32Array.from(hashes.flat()).buffer);
  expect(murmur3(all, 0)[0]).toBe(0xb3ece62a);
});

test('the digest is MurmurHash3 x86 128, however the words are divided into updates', () => {
  const blocks = fc.array(fc.uint8Array({ minLength: 16, maxLength: 16 }), { maxLength: 20 });
  checkProperty(
    fc.property(blocks, fc.nat(), fc.array(fc.nat(20)), (parts, seed, cuts) => {
      const bytes = Buffer.concat(parts);
      const words = new Uint32Array(new Uint8Array(bytes).buffer);
      expect(digestOf(words, seed, cuts)).toEqual(murmur3(bytes, seed));
    }),
  );
});

test('the digest of nothing is zero, and of sixteen zeros is not', () => {
  expect(digestOf(new Uint32Array(0), 0)).toEqual([0, 0, 0, 0]);
  expect(digestOf(new Uint32Array(4), 0)).toEqual(murmur3(new Uint8Array(16), 0));
  expect(digestOf(new Uint32Array(4), 0)).not.toEqual(digestOf(new Uint32Array(8), 0));
});

test('the digest is written where it should be, and can go on being updated', () => {
  const words = Uint32Array.from({ length: 32 }, (_, i) => i * 0x0101_0101);
  const digest = new Digest();
  digest.update(words, 0, 16);
  const out = new Uint32Array(6).fill(9);
  digest.write(out, 1);
  expect(out[0]).toBe(9);
  expect(out[5]).toBe(9);
  expect([...out.subarray(1, 5)]).toEqual(digestOf(words.subarray(0, 16), 0));
  digest.update(words, 16, 16);
  digest.write(out, 1);
  expect([...out.subarray(1, 5)]).toEqual(digestOf(words, 0));
});

test('the text of a digest is 32 hexadecimal digits', () => {
  expect(digestText(Uint32Array.of(7, 0, 1, 0xdeadbeef, 16), 1)).toBe('0000000000000001deadbeef00000010');
});
