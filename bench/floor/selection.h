/*
 * A selection as class Selector in src/engine/selection/selection.ts makes it, for distinct networks: the
 * same draws in the same order, so the same key gives the same answer. What makes it fast: no branch depends
 * on what was drawn, and with AVX-512 sixteen draws are one; the set of what is taken is so small that it is
 * cleared as a whole.
 */
#ifndef FLOOR_SELECTION_H
#define FLOOR_SELECTION_H

#include <stdlib.h>

#include "../../native-layout/sortition-snapshot.h"
#include "id-lookup.h"
#include "random.h"

enum { COUNT_MAX = 1000, MEMBER_TRIES = 8, DRAW_ROUNDS_MAX = 16, NO_GROUP = -1 };
/* A set larger than this for each of its numbers is not cleared as a whole but number by number. */
enum { CLEARED_BYTES_PER_NUMBER = 32 };
/* Draws in one vector, and how few of them are not worth it. */
enum { AT_ONCE = 16, AT_ONCE_MIN = 12, UNROLLED = 8 };
/* Draws that may fail before rejection gives way to a walk. */
enum { MISSES_MAX = 64 + 7 * COUNT_MAX };

#define NO_MEMBER UINT32_MAX

struct draw {
  uint32_t count;
  double new_fraction;
  bool cap_new_fraction;
  const uint8_t *excluded_ids, *held_ids;
  uint32_t excluded_ids_count, held_ids_count;
};

/*
 * A bit for each number. In bytes: a load that follows a store to the same place waits for it, and the wider
 * the place the more do.
 */
struct number_set {
  uint8_t *bits;
  uint32_t bytes;
  uint32_t size;
  /* What to clear: every number that was added, some of them more than once. */
  uint32_t *listed;
  uint32_t listed_count;
};

struct selector {
  const struct sortition_snapshot *snapshot;
  const struct sortition_set *set;
  const uint64_t *groups; /* start in the low half, key in the high half */
  const uint32_t *rows;   /* NULL: a position is a row */
  struct random random;
  struct number_set taken, excluded;
  uint32_t blocked; /* rows that are excluded or held */
  uint32_t pick_count, new_picked;
  uint32_t *order;
  int32_t *vetted_group_of;
  struct id_lookup lookup;
  uint32_t blocked_rows[IDS_MAX];
  /* One more: a draw that fails writes beyond the last pick. */
  uint32_t picks[COUNT_MAX + 1];
};

static inline bool set_has(const struct number_set *set, uint32_t number) {
  return (set->bits[number >> 3] >> (number & 7)) & 1;
}

/* Sets the bit of `number`; returns 1 if it was not set, 0 if it was. Neither size nor list know of it. */
static inline uint32_t set_mark(struct number_set *set, uint32_t number) {
  uint8_t *byte = &set->bits[number >> 3];
  const uint32_t before = *byte;
  *byte = (uint8_t)(before | 1u << (number & 7));
  return ~before >> (number & 7) & 1;
}

static inline bool set_add(struct number_set *set, uint32_t number) {
  const uint32_t added = set_mark(set, number);
  set->listed[set->listed_count] = number;
  set->listed_count += added;
  set->size += added;
  return added;
}

/* Takes out `number`, which is there; what is to be cleared stays listed. */
static inline void set_remove(struct number_set *set, uint32_t number) {
  set->bits[number >> 3] &= (uint8_t)~(1u << (number & 7));
  set->size--;
}

static inline void set_clear(struct number_set *set) {
  if (set->listed_count == 0) return;
  if (set->bytes <= CLEARED_BYTES_PER_NUMBER * set->listed_count) {
    memset(set->bits, 0, set->bytes);
  } else {
    for (uint32_t i = 0; i < set->listed_count; i++) set->bits[set->listed[i] >> 3] = 0;
  }
  set->size = set->listed_count = 0;
}

/* A set of numbers below `limit`, into which up to `additions` are put between two clearings. */
static struct number_set new_set(uint32_t limit, uint32_t additions) {
  const uint32_t bytes = limit / 8 + 1;
  struct number_set set = {calloc(bytes, 1), bytes, 0, malloc(4 * ((size_t)additions + AT_ONCE)), 0};
  if (set.bits == NULL || set.listed == NULL) abort();
  return set;
}

static struct selector *new_selector(const struct sortition_snapshot *snapshot, const uint8_t *key) {
  struct selector *selector = aligned_alloc(64, (sizeof *selector + 63) / 64 * 64);
  if (selector == NULL) abort();
  memset(selector, 0, sizeof *selector);
  selector->snapshot = snapshot;
  const struct sortition_set *set = selector->set = &snapshot->sets[0];
  selector->groups = (const uint64_t *)(snapshot->base + set->groups.offset);
  selector->rows = set->identity ? NULL : (const uint32_t *)(snapshot->base + set->rows.offset);
  seed_random(&selector->random, key);
  selector->taken = new_set(snapshot->networks, 3 * DRAW_ROUNDS_MAX * (COUNT_MAX + MISSES_MAX) + IDS_MAX);
  selector->excluded = new_set(snapshot->row_count, IDS_MAX);
  selector->order = malloc(4 * ((size_t)set->vetted_groups + set->new_groups));
  selector->vetted_group_of = malloc(4 * (size_t)snapshot->networks);
  return selector;
}

static inline uint32_t group_start(const struct selector *selector, uint32_t group) {
  return (uint32_t)selector->groups[group];
}

static inline uint32_t group_key(const struct selector *selector, uint32_t group) {
  return (uint32_t)(selector->groups[group] >> 32);
}

static inline uint32_t row_at(const struct selector *selector, uint32_t position) {
  return selector->rows == NULL ? position : selector->rows[position];
}

/* One of the allowed members, which are counted out: for groups of which most are blocked. */
static uint32_t draw_allowed_member(struct selector *selector, uint32_t start, uint32_t size) {
  uint32_t allowed = 0;
  for (uint32_t i = start; i < start + size; i++) {
    allowed += !set_has(&selector->excluded, row_at(selector, i));
  }
  if (allowed == 0) return NO_MEMBER;
  uint32_t left = below(&selector->random, allowed);
  for (uint32_t i = start;; i++) {
    const uint32_t row = row_at(selector, i);
    if (!set_has(&selector->excluded, row) && left-- == 0) return row;
  }
}

static uint32_t draw_member(struct selector *selector, uint32_t group) {
  const uint32_t start = group_start(selector, group);
  const uint32_t size = group_start(selector, group + 1) - start;
  for (int tries = 0; tries < MEMBER_TRIES; tries++) {
    const uint32_t row = row_at(selector, size == 1 ? start : start + below(&selector->random, size));
    if (selector->blocked == 0 || !set_has(&selector->excluded, row)) return row;
    if (size == 1) return NO_MEMBER;
  }
  return draw_allowed_member(selector, start, size);
}

static bool try_pick(struct selector *selector, uint32_t group) {
  const uint32_t key = group_key(selector, group);
  if (set_has(&selector->taken, key)) return false;
  const uint32_t row = draw_member(selector, group);
  if (row == NO_MEMBER) return false;
  set_add(&selector->taken, key);
  selector->picks[selector->pick_count++] = row;
  return true;
}

/* Draws of groups that are under way: how many are wanted, and how many more may fail. */
struct trials {
  uint32_t from, width;
  uint32_t *picks;
  uint32_t made, wanted;
  uint32_t misses;
};

#ifdef __AVX512F__
/* High and low halves of sixteen products. */
static inline __m512i products(__m512i a, __m512i b, __m512i *low) {
  const __m512i even = _mm512_mul_epu32(a, b);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
  *low = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
  return _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
}

/*
 * Works out the groups of the next words, up to `count`, and their keys; returns how many: up to one that
 * needs care. Asks for all of them before it looks at any, so that their cache lines come together.
 */
static inline uint32_t look_ahead(const struct selector *selector, const struct trials *trials,
                                  uint32_t count, uint32_t *groups, uint32_t *keys) {
  const uint32_t *words = selector->random.words + selector->random.next;
  const uint32_t *key_table = (const uint32_t *)selector->groups + 1;
  const __m512i width = _mm512_set1_epi32((int)trials->width), from = _mm512_set1_epi32((int)trials->from);
  for (uint32_t i = 0; i < count; i += AT_ONCE) {
    __m512i low;
    const __m512i high = products(_mm512_loadu_si512(words + i), width, &low);
    const __m512i group = _mm512_add_epi32(high, from);
    _mm512_store_si512(groups + i, group);
    _mm512_storeu_si512(keys + i, _mm512_i32gather_epi32(group, key_table, 8));
    const uint32_t care = _mm512_cmplt_epu32_mask(low, width);
    if (likely(care == 0)) continue;
    const uint32_t first = i + (uint32_t)__builtin_ctz(care);
    return first < count ? first : count;
  }
  return count;
}

/* As many draws as can be had from the words at hand without care. */
static void draw_at_once(struct selector *selector, struct trials *trials, uint32_t left) {
  _Alignas(64) uint32_t groups[BUFFER_WORDS + AT_ONCE];
  struct number_set *taken = &selector->taken;
  uint32_t *picks = trials->picks, *keys = taken->listed + taken->listed_count;
  uint32_t made = trials->made;
  const uint32_t wanted = trials->wanted;
  /* Some fail: a few more than are wanted. */
  const uint32_t enough = (wanted - made) * 17 / 16 + 2;
  const uint32_t count = look_ahead(selector, trials, enough < left ? enough : left, groups, keys);
  uint32_t k = 0;
  while (k + UNROLLED <= count && made + UNROLLED <= wanted) {
    for (uint32_t end = k + UNROLLED; k < end; k++) {
      picks[made] = groups[k];
      made += set_mark(taken, keys[k]);
    }
  }
  for (; k < count && made < wanted; k++) {
    picks[made] = groups[k];
    made += set_mark(taken, keys[k]);
  }
  const uint32_t added = made - trials->made;
  selector->random.next += k;
  taken->listed_count += k;
  taken->size += added;
  trials->made = made;
  trials->misses -= k - added;
}

/* Puts rows in the place of groups, as far as the words at hand go without care; returns where it stopped. */
static uint32_t draw_members_at_once(struct selector *selector, uint32_t first, uint32_t end) {
  struct random *random = &selector->random;
  uint32_t *picks = selector->picks;
  uint32_t i = first;
  for (; i < end; i += AT_ONCE) {
    const __mmask16 there = end - i >= AT_ONCE ? 0xffff : (__mmask16)((1u << (end - i)) - 1);
    const __m512i group = _mm512_maskz_loadu_epi32(there, picks + i);
    const __m512i starts = _mm512_i32gather_epi32(group, selector->groups, 8);
    const __m512i ends = _mm512_i32gather_epi32(group, selector->groups + 1, 8);
    const __m512i sizes = _mm512_sub_epi32(ends, starts);
    /* Groups of one take no word: the others get the next ones in their order. */
    const __mmask16 several = _mm512_mask_cmpgt_epu32_mask(there, sizes, _mm512_set1_epi32(1));
    const uint32_t used = (uint32_t)__builtin_popcount(several);
    if (unlikely(random->next + used > OUTPUT_WORDS)) break;
    __m512i low;
    const __m512i words = _mm512_maskz_expandloadu_epi32(several, random->words + random->next);
    const __m512i member = products(words, sizes, &low);
    if (unlikely(_mm512_mask_cmplt_epu32_mask(several, low, sizes))) break;
    __m512i row = _mm512_add_epi32(starts, member);
    if (selector->rows != NULL) row = _mm512_mask_i32gather_epi32(row, there, row, selector->rows, 4);
    _mm512_mask_storeu_epi32(picks + i, there, row);
    random->next += used;
  }
  return i < end ? i : end;
}
#else
static inline void draw_at_once(struct selector *selector, struct trials *trials, uint32_t left) {
  (void)selector, (void)trials, (void)left;
}

static inline uint32_t draw_members_at_once(struct selector *selector, uint32_t first, uint32_t end) {
  (void)selector, (void)end;
  return first;
}
#endif

/* Draws from the words at hand, up to one that needs care. */
static inline void draw_one_by_one(struct selector *selector, struct trials *trials, uint32_t left) {
  struct number_set *taken = &selector->taken;
  const uint32_t *words = selector->random.words + selector->random.next;
  uint32_t *picks = trials->picks, *keys = taken->listed + taken->listed_count;
  const uint32_t from = trials->from, width = trials->width, wanted = trials->wanted;
  uint32_t made = trials->made, k = 0;
  for (; k < left && made < wanted; k++) {
    const uint64_t product = (uint64_t)words[k] * width;
    if (unlikely((uint32_t)product < width)) break;
    const uint32_t group = from + (uint32_t)(product >> 32);
    const uint32_t key = group_key(selector, group);
    picks[made] = group;
    keys[k] = key;
    made += set_mark(taken, key);
  }
  const uint32_t added = made - trials->made;
  selector->random.next += k;
  taken->listed_count += k;
  taken->size += added;
  trials->made = made;
  trials->misses -= k - added;
}

/*
 * Writes up to `wanted` groups that were not taken to the picks; returns how many. A group that was taken is
 * written as well, and the next one over it.
 */
static inline uint32_t draw_groups(struct selector *selector, uint32_t from, uint32_t width,
                                   uint32_t wanted) {
  struct random *random = &selector->random;
  uint32_t *picks = selector->picks + selector->pick_count;
  struct trials trials = {from, width, picks, 0, wanted, 64 + 7 * wanted};
  while (trials.made < wanted) {
    if (unlikely(random->next == OUTPUT_WORDS)) refill(random);
    uint32_t left = OUTPUT_WORDS - random->next;
    if (wanted - trials.made >= AT_ONCE_MIN && left <= trials.misses) draw_at_once(selector, &trials, left);
    left = OUTPUT_WORDS - random->next;
    draw_one_by_one(selector, &trials, left < trials.misses ? left : trials.misses);
    if (trials.made == wanted || random->next == OUTPUT_WORDS) continue;
    /* A word that needs care, or the last one that may fail. */
    const uint32_t group = from + below(random, width);
    if (set_add(&selector->taken, group_key(selector, group))) trials.picks[trials.made++] = group;
    else if (trials.misses-- == 0) break;
  }
  return trials.made;
}

/* Puts rows in the place of the groups that stand in the picks from `first` to `end`. */
static inline void draw_members(struct selector *selector, uint32_t first, uint32_t end) {
  struct random *random = &selector->random;
  uint32_t *picks = selector->picks;
  uint32_t i = first;
  while (i < end) {
    if (unlikely(random->next == OUTPUT_WORDS)) refill(random);
    if (end - i >= AT_ONCE_MIN) i = draw_members_at_once(selector, i, end);
    uint32_t next = random->next;
    for (; i < end && next < OUTPUT_WORDS; i++) {
      const uint32_t start = group_start(selector, picks[i]);
      const uint32_t size = group_start(selector, picks[i] + 1) - start;
      const uint64_t product = (uint64_t)random->words[next] * size;
      if (unlikely((uint32_t)product < size)) break;
      /* A group of one: the high half is zero, whatever the word is, and the word is not used up. */
      picks[i] = row_at(selector, start + (uint32_t)(product >> 32));
      next += size > 1;
    }
    random->next = next;
    if (i == end || next == OUTPUT_WORDS) continue;
    const uint32_t start = group_start(selector, picks[i]);
    const uint32_t size = group_start(selector, picks[i] + 1) - start;
    picks[i++] = row_at(selector, size == 1 ? start : start + below(random, size));
  }
}

/*
 * Replaces blocked rows of the picks from `first` to `end` by other members of the groups they were drawn
 * from. The last pick takes the place of one whose group has no allowed member; that group is free again.
 * Returns where the picks end.
 */
static uint32_t without_blocked(struct selector *selector, uint32_t first, uint32_t end, uint32_t *drawn) {
  uint32_t *picks = selector->picks;
  for (uint32_t i = first; i < end; i++) {
    if (likely(!set_has(&selector->excluded, picks[i]))) continue;
    const uint32_t group = drawn[i - first];
    const uint32_t row = draw_member(selector, group);
    if (row != NO_MEMBER) {
      picks[i] = row;
      continue;
    }
    set_remove(&selector->taken, group_key(selector, group));
    picks[i] = picks[--end];
    drawn[i-- - first] = drawn[end - first];
  }
  return end;
}

/* First all groups, then a member of each, then others for those that are blocked. */
static uint32_t draw_round(struct selector *selector, uint32_t from, uint32_t width, uint32_t wanted) {
  const uint32_t first = selector->pick_count;
  uint32_t drawn[COUNT_MAX];
  uint32_t end = first + draw_groups(selector, from, width, wanted);
  if (selector->blocked > 0) memcpy(drawn, selector->picks + first, 4 * (size_t)(end - first));
  draw_members(selector, first, end);
  if (selector->blocked > 0) end = without_blocked(selector, first, end, drawn);
  selector->pick_count = end;
  return end - first;
}

/* In rounds: each but the first replaces groups that have no allowed member. */
static uint32_t draw_grouped(struct selector *selector, uint32_t from, uint32_t width, uint32_t wanted) {
  uint32_t made = draw_round(selector, from, width, wanted);
  if (likely(selector->blocked == 0)) return made;
  for (int round = 1; round < DRAW_ROUNDS_MAX && made < wanted; round++) {
    made += draw_round(selector, from, width, wanted - made);
  }
  return made;
}

/* Looks at the groups in random order, each once, until `wanted` picks are made. */
static uint32_t walk(struct selector *selector, uint32_t from, uint32_t width, uint32_t wanted) {
  uint32_t *order = selector->order, made = 0;
  for (uint32_t i = 0; i < width; i++) order[i] = from + i;
  for (uint32_t i = 0; i < width && made < wanted; i++) {
    const uint32_t j = i + below(&selector->random, width - i);
    const uint32_t group = order[j];
    order[j] = order[i];
    order[i] = group;
    made += try_pick(selector, group);
  }
  return made;
}

static inline uint32_t draw_from(struct selector *selector, uint32_t from, uint32_t to, uint32_t wanted) {
  const uint32_t width = to - from;
  uint32_t made = 0;
  if (wanted == 0 || width == 0) return 0;
  if (2 * (wanted + selector->taken.size + selector->blocked) <= width) {
    made = draw_grouped(selector, from, width, wanted);
    if (made == wanted) return made;
  }
  return made + walk(selector, from, width, wanted - made);
}

/* Moves new picks out of groups that have vetted members, and picks vetted ones there; returns how many. */
static uint32_t free_shared_groups(struct selector *selector, uint32_t missing) {
  const struct sortition_set *set = selector->set;
  uint32_t moved_picks[COUNT_MAX], vetted_rows[COUNT_MAX], moves = 0;
  for (uint32_t i = 0; i < selector->snapshot->networks; i++) selector->vetted_group_of[i] = NO_GROUP;
  for (uint32_t i = 0; i < set->vetted_groups; i++) {
    selector->vetted_group_of[group_key(selector, i)] = (int32_t)i;
  }
  for (uint32_t pick = 0; pick < selector->new_picked && moves < missing; pick++) {
    const uint32_t key = sortition_network(sortition_row(selector->snapshot, selector->picks[pick]));
    const int32_t group = selector->vetted_group_of[key];
    const uint32_t row = group == NO_GROUP ? NO_MEMBER : draw_member(selector, (uint32_t)group);
    if (row == NO_MEMBER) continue;
    moved_picks[moves] = pick;
    vetted_rows[moves++] = row;
  }
  const uint32_t first = selector->pick_count, from = set->vetted_groups;
  const uint32_t gained = draw_from(selector, from, from + set->new_groups, moves);
  for (uint32_t i = 0; i < gained; i++) {
    selector->picks[moved_picks[i]] = selector->picks[first + i];
    selector->picks[first + i] = vetted_rows[i];
  }
  return gained;
}

static void block(struct selector *selector, const struct draw *draw) {
  const struct sortition_snapshot *snapshot = selector->snapshot;
  uint32_t *rows = selector->blocked_rows;
  const uint32_t excluded =
      find_rows(&selector->lookup, snapshot, draw->excluded_ids, draw->excluded_ids_count, rows);
  for (uint32_t i = 0; i < excluded; i++) set_add(&selector->excluded, rows[i]);
  const uint32_t held = find_rows(&selector->lookup, snapshot, draw->held_ids, draw->held_ids_count, rows);
  for (uint32_t i = 0; i < held; i++) {
    set_add(&selector->excluded, rows[i]);
    set_add(&selector->taken, sortition_network(sortition_row(snapshot, rows[i])));
  }
  selector->blocked = excluded + held;
}

static inline uint32_t draw_new_count(struct selector *selector, const struct draw *draw) {
  const struct sortition_set *set = selector->set;
  double fraction = draw->new_fraction;
  if (draw->cap_new_fraction) {
    const double positions = (double)set->vetted_positions + set->new_positions;
    const double natural = positions == 0 ? 0 : set->new_positions / positions;
    if (natural < fraction) fraction = natural;
  }
  const double expected = draw->count * fraction;
  const uint32_t whole = (uint32_t)expected;
  return whole + chance(&selector->random, expected - whole);
}

/* Exchanges the first picks, or all, with picks at random. */
static inline void mix(struct selector *selector, uint32_t new_first, bool fully) {
  uint32_t *picks = selector->picks;
  const uint32_t count = selector->pick_count;
  if (count == 0) return;
  const uint32_t exchanged = fully || new_first >= count ? count - 1 : new_first;
  for (uint32_t i = 0; i < exchanged; i++) {
    const uint32_t j = i + below(&selector->random, count - i);
    const uint32_t row = picks[i];
    picks[i] = picks[j];
    picks[j] = row;
  }
}

/* Picks rows, as many as can be had up to `draw->count`. */
static inline void select_rows(struct selector *selector, const struct draw *draw) {
  const struct sortition_set *set = selector->set;
  selector->pick_count = 0;
  selector->blocked = 0;
  if (unlikely(draw->excluded_ids_count + draw->held_ids_count > 0)) block(selector, draw);
  const uint32_t new_wanted = draw_new_count(selector, draw);
  const uint32_t vetted_end = set->vetted_groups, end = vetted_end + set->new_groups;
  const uint32_t new_first = draw_from(selector, vetted_end, end, new_wanted);
  const uint32_t vetted_wanted = draw->count - new_first;
  const uint32_t missing = vetted_wanted - draw_from(selector, 0, vetted_end, vetted_wanted);
  selector->new_picked = new_first;
  uint32_t repaired = 0;
  if (unlikely(missing > 0 && new_first > 0)) repaired = free_shared_groups(selector, missing);
  mix(selector, new_first, repaired > 0);
  set_clear(&selector->taken);
  set_clear(&selector->excluded);
  erase_used(&selector->random);
}

#endif
