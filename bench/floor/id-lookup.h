/*
 * Rows of many ids at once. Each round looks at one entry of the id index for every id that is still open, so
 * no branch depends on where a probe ends: mispredictions cost more than the memory does.
 */
#ifndef FLOOR_ID_LOOKUP_H
#define FLOOR_ID_LOOKUP_H

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "../../native-layout/sortition-snapshot.h"

enum { IDS_MAX = 10000 };

typedef uint32_t id_words __attribute__((vector_size(SORTITION_ID_BYTES)));
typedef uint64_t id_longs __attribute__((vector_size(SORTITION_ID_BYTES)));

struct id_lookup {
  uint32_t entry[IDS_MAX];
  uint32_t open[IDS_MAX];
};

static inline id_words load_id(const uint8_t *id) {
  id_words words;
  memcpy(&words, id, sizeof words);
  return words;
}

/* Not zero when the 32 bytes are the same. */
static inline uint32_t same_id(id_words a, id_words b) {
#ifdef __AVX2__
  const __m256i difference = (__m256i)(a ^ b);
  return (uint32_t)_mm256_testz_si256(difference, difference);
#else
  const id_longs difference = (id_longs)(a ^ b);
  return (difference[0] | difference[1] | difference[2] | difference[3]) == 0;
#endif
}

/* Factors of the hash of eight words at once: a word's power is the chain's, for the words after it. */
struct id_hash {
  id_words addends, factors, powers;
};

static struct id_hash id_hash_of(const struct sortition_snapshot *snapshot) {
  struct id_hash hash;
  uint32_t power = 1;
  for (uint32_t i = SORTITION_ID_WORDS; i-- > 0; power *= SORTITION_ID_HASH_CHAIN) {
    hash.addends[i] = snapshot->index_keys[2 * i];
    hash.factors[i] = snapshot->index_keys[2 * i + 1];
    hash.powers[i] = power;
  }
  return hash;
}

/* As sortition_id_hash, all words side by side. */
static inline uint32_t hash_id(const struct id_hash *hash, id_words words) {
  words = (words ^ hash->addends) * hash->factors;
  words = (words ^ words >> 16) * hash->powers;
  words += __builtin_shuffle(words, (id_words){4, 5, 6, 7, 0, 1, 2, 3});
  words += __builtin_shuffle(words, (id_words){2, 3, 0, 1, 6, 7, 4, 5});
  uint32_t h = words[0] + words[1];
  h = (h ^ h >> 16) * SORTITION_ID_HASH_MIX_FIRST;
  return h ^ h >> 13;
}

/* Writes the rows of the known ones of `count` ids to `rows`; returns how many they are. */
static uint32_t find_rows(struct id_lookup *lookup, const struct sortition_snapshot *snapshot,
                          const uint8_t *ids, uint32_t count, uint32_t *rows) {
  if (snapshot->row_count == 0) return 0;
  const uint8_t *index = snapshot->base + snapshot->id_index.offset;
  const uint32_t mask = snapshot->index_entries - 1;
  const struct id_hash hash = id_hash_of(snapshot);
  for (uint32_t i = 0; i < count; i++) {
    lookup->entry[i] = hash_id(&hash, load_id(ids + SORTITION_ID_BYTES * (size_t)i)) & mask;
    lookup->open[i] = i;
    __builtin_prefetch(index + SORTITION_ENTRY_BYTES * (size_t)lookup->entry[i]);
  }
  uint32_t found = 0;
  for (uint32_t open = count; open > 0;) {
    uint32_t still_open = 0;
    for (uint32_t i = 0; i < open; i++) {
      const uint32_t id = lookup->open[i];
      const uint32_t entry = lookup->entry[id];
      const uint32_t value = sortition_u32(index + SORTITION_ENTRY_BYTES * (size_t)entry);
      const uint32_t row = value == 0 ? 0 : value - 1;
      const id_words wanted = load_id(ids + SORTITION_ID_BYTES * (size_t)id);
      const uint32_t same = same_id(load_id(sortition_row(snapshot, row)), wanted);
      rows[found] = row;
      found += (value != 0) & same;
      lookup->entry[id] = (entry + 1) & mask;
      lookup->open[still_open] = id;
      still_open += (value != 0) & (same ^ 1);
    }
    open = still_open;
  }
  return found;
}

#endif
