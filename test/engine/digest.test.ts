/** The digest against its description, in any division of the words into updates; and what it must notice. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Digest, digestText } from '../../src/engine/snapshot/digest.ts';
import { plainDigest } from '../support/plain-digest.ts';
import { checkProperty } from '../support/property.ts';

function digestOf(words: Uint32Array, cuts: readonly number[] = []): number[] {
  const digest = new Digest();
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

const blocks = fc
  .array(fc.uint8Array({ minLength: 16, maxLength: 16 }), { maxLength: 20 })
  .map(parts => new Uint32Array(new Uint8Array(Buffer.concat(parts)).buffer));

test('the digest is what its description says, however the words are divided into updates', () => {
  checkProperty(
    fc.property(blocks, fc.array(fc.nat(20)), (words, cuts) => {
      expect(digestOf(words, cuts)).toEqual(plainDigest(new Uint8Array(words.buffer)));
    }),
  );
});

test('zeros count: of nothing, of sixteen and of thirty-two the digests differ', () => {
  const digests = [0, 4, 8].map(words => digestOf(new Uint32Array(words)).join());
  expect(new Set(digests).size).toBe(3);
});

test('a change of any word, by any amount, changes all four words of the digest', () => {
  const words = Uint32Array.from({ length: 64 }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
  const before = digestOf(words);
  checkProperty(
    fc.property(fc.nat(63), fc.integer({ min: 1, max: 0xffff_ffff }), (at, change) => {
      const changed = words.slice();
      changed[at]! ^= change;
      expect(digestOf(changed).filter((word, i) => word === before[i])).toEqual([]);
    }),
    { runs: 2000 },
  );
});

test('words exchanged, in one lane or across lanes, change the digest', () => {
  const words = Uint32Array.from({ length: 64 }, (_, i) => i + 1);
  const before = digestOf(words).join();
  for (let a = 0; a < 64; a++) {
    for (let b = a + 1; b < 64; b++) {
      const changed = words.slice();
      [changed[a], changed[b]] = [changed[b]!, changed[a]!];
      expect(digestOf(changed).join(), `${a} and ${b}`).not.toBe(before);
    }
  }
});

test('the digest is written where it should be, and can go on being updated', () => {
  const words = Uint32Array.from({ length: 32 }, (_, i) => i * 0x0101_0101);
  const digest = new Digest();
  digest.update(words, 0, 16);
  const out = new Uint32Array(6).fill(9);
  digest.write(out, 1);
  expect(out[0]).toBe(9);
  expect(out[5]).toBe(9);
  expect([...out.subarray(1, 5)]).toEqual(digestOf(words.subarray(0, 16)));
  digest.update(words, 16, 16);
  digest.write(out, 1);
  expect([...out.subarray(1, 5)]).toEqual(digestOf(words));
});

test('the text of a digest is 32 hexadecimal digits', () => {
  expect(digestText(Uint32Array.of(7, 0, 1, 0xdeadbeef, 16), 1)).toBe('0000000000000001deadbeef00000010');
});
