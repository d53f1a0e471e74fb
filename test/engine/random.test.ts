/** The randomness of picks: the right cipher, the right stream of keys, and no bias. Fixed keys. */
import { createCipheriv } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { KEY_WORDS, Random } from '../../src/engine/selection/random.ts';
import { chachaBlock } from '../support/chacha.ts';
import { dataRandom } from '../support/data-random.ts';
import { expectFit, expectUniform } from '../support/statistics.ts';

const BLOCKS = 16;
const BLOCK_WORDS = 16;
const LANES = 4;

/** Sample of https://c2sp.org/chacha8rand: its first and last 64 bytes. */
const SAMPLE_KEY = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ123456';
const SAMPLE_START =
  'a516463d06b673b73cbc6aa622af60117c288d41d999258cd65cdc7e037ee07e' +
  'ad161c2de09eaacf79eaeb8fef0e090e3e5b8b1271d2823c4fa35212c1dd5a9c';
const SAMPLE_END =
  'd89fc1b62e0c171158ba6290773c4344454c87f11ab5acc0a19f808442132e9f' +
  'fa19c615bd23b5edc023cc3ed57fd9024c376244a305afac1fa1ff4bd3c6d9dd';

function keyOf(seed: number): Uint32Array {
  const random = dataRandom(seed);
  return Uint32Array.from({ length: KEY_WORDS }, () => random(2 ** 32));
}

function hex(words: Uint32Array): string {
  return Buffer.from(words.buffer, words.byteOffset, words.byteLength).toString('hex');
}

/** Words of the stream that the specification defines, put together from plain blocks. */
function specifiedWords(key: Uint32Array): { readonly output: number[]; readonly nextKey: Uint32Array } {
  const words: number[] = [];
  for (let four = 0; four < BLOCKS; four += LANES) {
    const blocks = Array.from({ length: LANES }, (_, lane) => withoutPublicTerms(key, four + lane));
    for (let i = 0; i < BLOCK_WORDS; i++) for (const block of blocks) words.push(block[i]!);
  }
  return { output: words.slice(0, -KEY_WORDS), nextKey: Uint32Array.from(words.slice(-KEY_WORDS)) };
}

function withoutPublicTerms(key: Uint32Array, counter: number): Uint32Array {
  const block = chachaBlock(key, counter, 8);
  [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574].forEach((constant, i) => {
    block[i]! -= constant;
  });
  block[12]! -= counter;
  return block;
}

describe('ChaCha8Rand', () => {
  test('gives the sample output of its specification', () => {
    const random = new Random(new Uint32Array(new TextEncoder().encode(SAMPLE_KEY).buffer));
    const words = Uint32Array.from({ length: 744 }, () => random.word());
    expect(hex(words.slice(0, 16))).toBe(SAMPLE_START);
    expect(hex(words.slice(-16))).toBe(SAMPLE_END);
  });

  test('is put together from plain ChaCha, whose form with 20 rounds is that of OpenSSL', () => {
    for (let seed = 0; seed < 50; seed++) {
      const key = keyOf(seed);
      const nonce = Buffer.alloc(16);
      nonce.writeUInt32LE(seed * 7);
      const cipher = createCipheriv('chacha20', Buffer.from(key.buffer), nonce);
      expect(hex(chachaBlock(key, seed * 7, 20))).toBe(cipher.update(Buffer.alloc(64)).toString('hex'));
    }
  });
});

describe('the generator', () => {
  test('takes a key of eight words, copies it, and clears what it was given', () => {
    const key = keyOf(1);
    const same = key.slice();
    const random = new Random(key);
    expect([...key]).toEqual(Array(8).fill(0));
    expect(random.word()).toBe(specifiedWords(same).output[0]);
    expect(() => new Random(new Uint32Array(7))).toThrow(RangeError);
  });

  test('gives the words of its blocks, each time under a key that it then never uses again', () => {
    const random = new Random(keyOf(2));
    let key: Uint32Array = keyOf(2);
    for (let refill = 0; refill < 6; refill++) {
      const { output, nextKey } = specifiedWords(key);
      expect(Array.from(output, () => random.word())).toEqual(output);
      key = nextKey;
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
