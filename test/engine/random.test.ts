/** The randomness of picks: the right cipher, the right stream of keys, and no bias. Fixed keys. */
import { createCipheriv } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { chacha8, KEY_WORDS, Random } from '../../src/engine/selection/random.ts';
import { chachaBlock } from '../support/chacha.ts';
import { dataRandom } from '../support/data-random.ts';
import { expectFit, expectUniform } from '../support/statistics.ts';

const BLOCKS = 16;

function keyOf(seed: number): Uint32Array {
  const random = dataRandom(seed);
  return Uint32Array.from({ length: KEY_WORDS }, () => random(2 ** 32));
}

function hex(words: Uint32Array): string {
  return Buffer.from(words.buffer, words.byteOffset, words.byteLength).toString('hex');
}

describe('ChaCha8', () => {
  // draft-strombergson-chacha-test-vectors, TC1 and TC2.
  test('has the published key streams', () => {
    const out = new Uint32Array(16);
    chacha8(out, 0, new Uint32Array(8), 0);
    expect(hex(out)).toBe(
      '3e00ef2f895f40d67f5bb8e81f09a5a12c840ec3ce9a7f3b181be188ef711a1e' +
        '984ce172b9216f419f445367456d5619314a42a3da86b001387bfdb80e0cfe42',
    );
    chacha8(out, 0, Uint32Array.of(1, 0, 0, 0, 0, 0, 0, 0), 0);
    expect(hex(out)).toBe(
      'cf5ee9a0494aa9613e05d5ed725b804b12f4a465ee635acc3a311de8740489ea' +
        '289d04f43c7518db56eb4433e498a1238cd8464d3763ddbb9222ee3bd8fae3c8',
    );
  });

  test('is the plain algorithm, whose form with 20 rounds is that of OpenSSL', () => {
    for (let seed = 0; seed < 50; seed++) {
      const key = keyOf(seed);
      const nonce = Buffer.alloc(16);
      nonce.writeUInt32LE(seed * 7);
      const cipher = createCipheriv('chacha20', Buffer.from(key.buffer), nonce);
      expect(hex(chachaBlock(key, seed * 7, 20))).toBe(cipher.update(Buffer.alloc(64)).toString('hex'));
      const out = new Uint32Array(20);
      chacha8(out, 2, key, seed * 7);
      expect(hex(out.slice(2, 18))).toBe(hex(chachaBlock(key, seed * 7, 8)));
      expect([...out.slice(0, 2), ...out.slice(18)]).toEqual([0, 0, 0, 0]);
    }
  });
});

describe('the generator', () => {
  test('takes a key of eight words, copies it, and clears what it was given', () => {
    const key = keyOf(1);
    const same = key.slice();
    const random = new Random(key);
    expect([...key]).toEqual(Array(8).fill(0));
    const first = random.word();
    expect(first).toBe(chachaBlock(same, 0, 8)[8]);
    expect(() => new Random(new Uint32Array(7))).toThrow(RangeError);
  });

  test('gives the words of its blocks, each time under a key that it then never uses again', () => {
    const random = new Random(keyOf(2));
    let key: Uint32Array = keyOf(2);
    for (let refill = 0; refill < 6; refill++) {
      const words = Array.from({ length: BLOCKS }, (_, block) => [...chachaBlock(key, block, 8)]).flat();
      const given = Array.from({ length: words.length - KEY_WORDS }, () => random.word());
      expect(given).toEqual(words.slice(KEY_WORDS));
      key = Uint32Array.from(words.slice(0, KEY_WORDS));
    }
  });

  test('gives different streams for keys that differ in one bit', () => {
    const one = new Random(new Uint32Array(8));
    const other = new Random(Uint32Array.of(0, 0, 0, 0, 0, 0, 0, 1));
    const same = Array.from({ length: 1000 }, () => one.word() === other.word()).filter(Boolean);
    expect(same.length).toBeLessThan(3);
  });

  test('sets every bit of a word half of the time', () => {
    const random = new Random(keyOf(3));
    const ones = Array<number>(32).fill(0);
    const words = 100_000;
    for (let i = 0; i < words; i++) {
      const word = random.word();
      for (let bit = 0; bit < 32; bit++) ones[bit]! += (word >>> bit) & 1;
    }
    for (const count of ones) expectUniform([count, words - count]);
  });
});

describe('below(n)', () => {
  const DRAWS = 200_000;
  const CELLS = 1000;

  test.each([1, 2, 3, 7, 1000, 65_535, 65_536, 65_537, 100_000, 2 ** 31 + 5, 2 ** 32 - 1])(
    'is below n and equally likely to be any number, for n = %i',
    n => {
      const random = new Random(keyOf(n));
      const cells = Math.min(n, CELLS);
      const observed = Array<number>(cells).fill(0);
      for (let i = 0; i < DRAWS; i++) {
        const drawn = random.below(n);
        if (!(Number.isInteger(drawn) && drawn >= 0 && drawn < n)) expect.fail(`${drawn} is not below ${n}`);
        observed[Math.floor((drawn * cells) / n)]!++;
      }
      const widths = Array.from(
        { length: cells },
        (_, cell) => Math.ceil(((cell + 1) * n) / cells) - Math.ceil((cell * n) / cells),
      );
      if (cells > 1) expectFit({ observed, expected: widths });
    },
  );

  // Without rejection every third number below 3 × 2^30 would come twice as often as the others.
  test.each([3, 7, 1000, 65_537, 3 * 2 ** 30])('has the low digits equally likely too, for n = %i', n => {
    const random = new Random(keyOf(n + 1));
    const cells = Math.min(n, 99);
    const observed = Array<number>(cells).fill(0);
    for (let i = 0; i < DRAWS; i++) observed[random.below(n) % cells]!++;
    const expected = observed.map((_, cell) => Math.floor((n - 1 - cell) / cells) + 1);
    expectFit({ observed, expected });
  });

  test('is the high half of the product, exactly, for products beyond 53 bits', () => {
    for (const n of [
      0x1f_ffff,
      0x20_0000,
      0x20_0001,
      0x7fff_ffff,
      3 * 2 ** 30,
      0x8000_0000,
      0xffff_fffe,
      0xffff_ffff,
    ]) {
      const drawn = new Random(keyOf(4));
      const words = new Random(keyOf(4));
      for (let i = 0; i < 2000; i++) {
        const value = drawn.below(n);
        expect(value).toBe(lemire(words, n));
      }
    }
  });

  /** Lemire's method in big integers. */
  function lemire(random: Random, n: number): number {
    const threshold = 2n ** 32n % BigInt(n);
    for (;;) {
      const product = BigInt(random.word()) * BigInt(n);
      if (product % 2n ** 32n >= threshold) return Number(product >> 32n);
    }
  }
});

describe('chance(p)', () => {
  test.each([0.01, 0.3, 0.5, 0.999, 1e-5])('is true with probability %f', p => {
    const random = new Random(keyOf(5));
    const draws = 400_000;
    let hits = 0;
    for (let i = 0; i < draws; i++) if (random.chance(p)) hits++;
    expectFit({ observed: [hits, draws - hits], expected: [p, 1 - p] });
  });

  test('is certain at its ends', () => {
    const random = new Random(keyOf(6));
    for (let i = 0; i < 10_000; i++) {
      expect(random.chance(0)).toBe(false);
      expect(random.chance(1)).toBe(true);
    }
  });
});
