/*
 * Random words: ChaCha8Rand (https://c2sp.org/chacha8rand), the words of src/engine/selection/random.ts in
 * the same order. As many blocks at once as the machine's vectors have lanes: 16, 8 or 4. Words are erased in
 * bulk when a selection is done.
 */
#ifndef FLOOR_RANDOM_H
#define FLOOR_RANDOM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX512F__
#include <immintrin.h>
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

enum { KEY_WORDS = 8, BLOCKS = 16, BLOCK_WORDS = 16, GROUP_LANES = 4 };
enum { BUFFER_WORDS = BLOCKS * BLOCK_WORDS, OUTPUT_WORDS = BUFFER_WORDS - KEY_WORDS };
/* A selection may look at words beyond the output, and throws away what it sees there. */
enum { LOOK_BEYOND = 64 };

struct random {
  /* Output, then the next key. */
  _Alignas(64) uint32_t words[BUFFER_WORDS + LOOK_BEYOND];
  uint32_t next;
  /* Words below it are zero already. */
  uint32_t erased;
};

typedef uint32_t lanes_t __attribute__((vector_size(4 * LANES)));
typedef uint8_t bytes_t __attribute__((vector_size(4 * LANES)));

static inline lanes_t rotated(lanes_t x, int by) {
  return (x << by) | (x >> (32 - by));
}

/* Rotations by whole bytes, for vectors that shuffle bytes but cannot rotate. */
#if defined(__SSSE3__) && LANES < 16
#define PART(at, a, b, c, d) at + a, at + b, at + c, at + d
#define FOUR_WORDS(a, b, c, d) \
  PART(0, a, b, c, d), PART(4, a, b, c, d), PART(8, a, b, c, d), PART(12, a, b, c, d)
#if LANES == 8
#define ALL_WORDS(a, b, c, d) FOUR_WORDS(a, b, c, d), FOUR_WORDS(16 + a, 16 + b, 16 + c, 16 + d)
#else
#define ALL_WORDS(a, b, c, d) FOUR_WORDS(a, b, c, d)
#endif
static inline lanes_t rotated_16(lanes_t x) {
  return (lanes_t)__builtin_shuffle((bytes_t)x, (bytes_t){ALL_WORDS(2, 3, 0, 1)});
}

static inline lanes_t rotated_8(lanes_t x) {
  return (lanes_t)__builtin_shuffle((bytes_t)x, (bytes_t){ALL_WORDS(3, 0, 1, 2)});
}
#else
static inline lanes_t rotated_16(lanes_t x) {
  return rotated(x, 16);
}

static inline lanes_t rotated_8(lanes_t x) {
  return rotated(x, 8);
}
#endif

#define QUARTER(a, b, c, d) \
  a += b, d = rotated_16(d ^ a), c += d, b = rotated(b ^ c, 12), a += b, d = rotated_8(d ^ a), c += d, \
  b = rotated(b ^ c, 7)

/* Writes word `first` to `first + 3` of the blocks: of four blocks at a time, word by word. */
static inline void store_words(uint32_t *out, const lanes_t *v, int first) {
#if LANES == 16
  const __m512i a = (__m512i)v[first], b = (__m512i)v[first + 1];
  const __m512i c = (__m512i)v[first + 2], d = (__m512i)v[first + 3];
  const __m512i ab_low = _mm512_shuffle_i32x4(a, b, 0x44), ab_high = _mm512_shuffle_i32x4(a, b, 0xee);
  const __m512i cd_low = _mm512_shuffle_i32x4(c, d, 0x44), cd_high = _mm512_shuffle_i32x4(c, d, 0xee);
  uint32_t *to = out + first * GROUP_LANES;
  _mm512_store_si512(to, _mm512_shuffle_i32x4(ab_low, cd_low, 0x88));
  _mm512_store_si512(to + 64, _mm512_shuffle_i32x4(ab_low, cd_low, 0xdd));
  _mm512_store_si512(to + 128, _mm512_shuffle_i32x4(ab_high, cd_high, 0x88));
  _mm512_store_si512(to + 192, _mm512_shuffle_i32x4(ab_high, cd_high, 0xdd));
#else
  for (int word = first; word < first + 4; word++) {
    for (int part = 0; part < LANES / GROUP_LANES; part++) {
      uint32_t *to = out + part * GROUP_LANES * BLOCK_WORDS + word * GROUP_LANES;
      memcpy(to, (const uint32_t *)&v[word] + part * GROUP_LANES, 4 * GROUP_LANES);
    }
  }
#endif
}

/* Blocks `counter` and the ones after it, as many as there are lanes. */
static inline void chacha8_blocks(uint32_t *out, const uint32_t *key, uint32_t counter) {
  static const uint32_t constants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  lanes_t v[BLOCK_WORDS];
  for (int i = 0; i < 4; i++) v[i] = (lanes_t){0} + constants[i];
  for (int i = 0; i < KEY_WORDS; i++) v[4 + i] = (lanes_t){0} + key[i];
  lanes_t counters = {0};
  for (uint32_t lane = 0; lane < LANES; lane++) counters[lane] = counter + lane;
  v[12] = counters;
  v[13] = v[14] = v[15] = (lanes_t){0};
  for (int round = 0; round < 8; round += 2) {
    QUARTER(v[0], v[4], v[8], v[12]);
    QUARTER(v[1], v[5], v[9], v[13]);
    QUARTER(v[2], v[6], v[10], v[14]);
    QUARTER(v[3], v[7], v[11], v[15]);
    QUARTER(v[0], v[5], v[10], v[15]);
    QUARTER(v[1], v[6], v[11], v[12]);
    QUARTER(v[2], v[7], v[8], v[13]);
    QUARTER(v[3], v[4], v[9], v[14]);
  }
  /* Constants, counter and nonce are public: only the key is added. */
  for (int i = 0; i < KEY_WORDS; i++) v[4 + i] += key[i];
  for (int first = 0; first < BLOCK_WORDS; first += 4) store_words(out, v, first);
}

static __attribute__((noinline)) void refill(struct random *random) {
  uint32_t key[KEY_WORDS];
  memcpy(key, random->words + OUTPUT_WORDS, sizeof key);
  for (uint32_t block = 0; block < BLOCKS; block += LANES) {
    chacha8_blocks(random->words + block * BLOCK_WORDS, key, block);
  }
  /* The old key must not stay on the stack; the empty statement keeps the compiler from leaving that out. */
  memset(key, 0, sizeof key);
  __asm__ volatile("" : : "r"(key) : "memory");
  random->next = 0;
  random->erased = 0;
}

static inline void seed_random(struct random *random, const uint8_t *key) {
  memset(random->words, 0, sizeof random->words);
  memcpy(random->words + OUTPUT_WORDS, key, 4 * KEY_WORDS);
  random->next = random->erased = OUTPUT_WORDS;
}

/* Erases the words handed out since the last time. */
static inline void erase_used(struct random *random) {
  memset(random->words + random->erased, 0, 4 * (random->next - random->erased));
  random->erased = random->next;
}

static inline uint32_t next_word(struct random *random) {
  if (unlikely(random->next == OUTPUT_WORDS)) refill(random);
  return random->words[random->next++];
}

/* An integer below `n`, each equally likely (Lemire 2019). */
static inline uint32_t below(struct random *random, uint32_t n) {
  uint64_t product = (uint64_t)next_word(random) * n;
  if (unlikely((uint32_t)product < n)) {
    const uint32_t threshold = -n % n;
    while ((uint32_t)product < threshold) product = (uint64_t)next_word(random) * n;
  }
  return (uint32_t)(product >> 32);
}

/* True with probability `p`, 0 to 1, to 53 bits. */
static inline bool chance(struct random *random, double p) {
  if (p <= 0) return false;
  const uint32_t high = next_word(random) >> 5;
  const uint32_t low = next_word(random) >> 6;
  return (high * 0x1p26 + low) * 0x1p-53 < p;
}

#endif
