/*
 * Picks as node records, JSON and MessagePack: byte for byte what src/engine/encoding/ writes. With AVX-512 a
 * row is one load, one permutation puts its text, its port and the words around them where they belong, and a
 * node is two stores; each may overrun what it is about, because the next one is written over the overrun.
 */
#ifndef FLOOR_ENCODING_H
#define FLOOR_ENCODING_H

#if defined(__AVX512VBMI__) || defined(__SSSE3__)
#include <immintrin.h>
#endif

#include <stdbool.h>

#include "../../native-layout/sortition-snapshot.h"

/* Bytes of the longest element in any format, and of what stands around the elements. */
enum { NODE_BYTES_MAX = 160, FRAME_BYTES_MAX = 256 };

struct answer {
  const struct sortition_snapshot *snapshot;
  const uint32_t *rows;
  uint32_t count;
  uint64_t age_ms;
};

static inline uint8_t *put(uint8_t *to, const char *text, size_t length) {
  memcpy(to, text, length);
  return to + length;
}

#define PUT(to, text) put(to, text, sizeof(text) - 1)

static uint8_t *put_decimal(uint8_t *to, uint64_t value) {
  uint8_t digits[20];
  size_t at = sizeof digits;
  do digits[--at] = (uint8_t)('0' + value % 10); while ((value /= 10) != 0);
  memcpy(to, digits + at, sizeof digits - at);
  return to + (sizeof digits - at);
}

static inline uint8_t *put_big_endian(uint8_t *to, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
  return to + bytes;
}

/*
 * The rows of an answer. In locals, because a byte that is written might be one of the snapshot's fields, as
 * far as the compiler knows.
 */
struct row_reader {
  const uint8_t *table;
  const uint32_t *rows;
  uint32_t count, vetted_rows;
};

static inline struct row_reader read_rows(const struct answer *answer) {
  const struct sortition_snapshot *snapshot = answer->snapshot;
  const uint8_t *table = snapshot->base + snapshot->row.offset;
  return (struct row_reader){table, answer->rows, answer->count, snapshot->vetted_rows};
}

static inline const uint8_t *row_of(const struct row_reader *reader, uint32_t i) {
  return reader->table + SORTITION_ROW_BYTES * (size_t)reader->rows[i];
}

static inline size_t is_vetted(const struct row_reader *reader, uint32_t i) {
  return reader->rows[i] < reader->vetted_rows;
}

/* Asks for a later row: where a store goes hangs on the rows before, and loads do not run far ahead of it. */
static inline void prefetch_row(const struct row_reader *reader, uint32_t i) {
  enum { ROWS_AHEAD = 16 };
  if (i + ROWS_AHEAD < reader->count) __builtin_prefetch(row_of(reader, i + ROWS_AHEAD));
}

/* The 64 hexadecimal digits of an id. */
static inline void put_hex(uint8_t *to, const uint8_t *id) {
#ifdef __AVX512VBMI__
  const __m512i digits = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)"0123456789abcdef"));
  /* Four bytes of the id to eight: of each byte the upper half, then the lower one. */
  const __m512i nibbles = _mm512_set1_epi64(0x181c1014080c0004);
  const __m512i fours = _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)id));
  /* The permutation takes six bits of an index, two of which are a neighbour's: 16 digits four times. */
  _mm512_storeu_si512(to, _mm512_permutexvar_epi8(_mm512_multishift_epi64_epi8(nibbles, fours), digits));
#elif defined(__SSSE3__)
  const __m128i digits = _mm_loadu_si128((const __m128i *)"0123456789abcdef");
  const __m128i low_half = _mm_set1_epi8(15);
  for (int part = 0; part < 2; part++) {
    const __m128i bytes = _mm_loadu_si128((const __m128i *)(id + 16 * part));
    const __m128i upper = _mm_shuffle_epi8(digits, _mm_and_si128(_mm_srli_epi16(bytes, 4), low_half));
    const __m128i lower = _mm_shuffle_epi8(digits, _mm_and_si128(bytes, low_half));
    _mm_storeu_si128((__m128i *)(to + 32 * part), _mm_unpacklo_epi8(upper, lower));
    _mm_storeu_si128((__m128i *)(to + 32 * part + 16), _mm_unpackhi_epi8(upper, lower));
  }
#else
  for (size_t i = 0; i < SORTITION_ID_BYTES; i++) {
    to[2 * i] = (uint8_t)"0123456789abcdef"[id[i] >> 4];
    to[2 * i + 1] = (uint8_t)"0123456789abcdef"[id[i] & 15];
  }
#endif
}

#ifdef __AVX512VBMI__
/* Which byte of the row each byte of a record is; and what no row has, for a new node and a vetted one. */
static _Alignas(64) uint8_t record_places[64], record_constants[2][64];
static const __mmask64 RECORD_BYTES_OF_ROW = 0x0003f000ffffffff;

static void prepare_records(void) {
  for (uint8_t i = 0; i < SORTITION_ID_BYTES; i++) record_places[i] = i;
  for (uint8_t i = 0; i < 4; i++) record_places[44 + i] = (uint8_t)(SORTITION_ROW_ADDRESS_BYTE + i);
  for (uint8_t i = 0; i < 2; i++) record_places[48 + i] = (uint8_t)(SORTITION_ROW_PORT_BYTE + i);
  for (size_t vetted = 0; vetted < 2; vetted++) {
    memset(record_constants[vetted] + 42, 0xff, 2);
    record_constants[vetted][50] = vetted ? SORTITION_POOL_VETTED : SORTITION_POOL_NEW;
  }
}

static inline void put_record(uint8_t *to, const uint8_t *row, size_t vetted) {
  const __m512i places = _mm512_load_si512(record_places);
  const __m512i bytes = _mm512_maskz_permutexvar_epi8(RECORD_BYTES_OF_ROW, places, _mm512_load_si512(row));
  _mm512_storeu_si512(to, _mm512_or_si512(bytes, _mm512_load_si512(record_constants[vetted])));
}
#else
static void prepare_records(void) {
}

static inline void put_record(uint8_t *to, const uint8_t *row, size_t vetted) {
  const uint64_t address = sortition_u32(row + SORTITION_ROW_ADDRESS_BYTE);
  const uint64_t mapped[2] = {0, 0xffff0000 | address << 32};
  const uint32_t tail = sortition_port(row) | (vetted ? SORTITION_POOL_VETTED : SORTITION_POOL_NEW) << 16;
  memcpy(to, row, SORTITION_ID_BYTES);
  memcpy(to + 4 * SORTITION_RECORD_ADDRESS_WORD, mapped, sizeof mapped);
  memcpy(to + 4 * SORTITION_RECORD_TAIL_WORD, &tail, sizeof tail);
}
#endif

/* Without a test in each row where all addresses are IPv4: the header says so. */
static size_t encode_records(const struct answer *answer, uint8_t *to) {
  const struct row_reader reader = read_rows(answer);
  for (uint32_t i = 0; i < reader.count; i++) {
    put_record(to + SORTITION_RECORD_BYTES * (size_t)i, row_of(&reader, i), is_vetted(&reader, i));
  }
  if (answer->snapshot->wide_addresses > 0) {
    for (uint32_t i = 0; i < reader.count; i++) {
      uint8_t *record = to + SORTITION_RECORD_BYTES * (size_t)i;
      sortition_address(answer->snapshot, row_of(&reader, i), record + 4 * SORTITION_RECORD_ADDRESS_WORD);
    }
  }
  return SORTITION_RECORD_BYTES * (size_t)reader.count;
}

#define JSON_IP "\",\"ip\":\""
#define JSON_PORT "\",\"port\":"
#define JSON_VETTED ",\"pool\":\"vetted\"},{\"id\":\""
#define JSON_NEW ",\"pool\":\"new\"},{\"id\":\""

enum { TEXT_LENGTHS = 16, PORT_LENGTHS = 6 };
/* Of a new node, without the texts of address and port. */
enum { JSON_NEW_TAIL_BYTES = sizeof JSON_IP JSON_PORT JSON_NEW - 1 };

#ifdef __AVX512VBMI__
/* Where each byte of what follows an id comes from: places below 32 are constants, the others of the row. */
static _Alignas(64) uint8_t json_tails[2 * TEXT_LENGTHS * PORT_LENGTHS][64];
static _Alignas(64) uint8_t json_constants[64];

static size_t tail_constant(uint8_t *places, size_t at, const char *text) {
  for (; *text != 0; text++) {
    uint8_t place = 0;
    while (json_constants[place] != 0 && json_constants[place] != (uint8_t)*text) place++;
    json_constants[place] = (uint8_t)*text;
    places[at++] = place;
  }
  return at;
}

static void prepare_json(void) {
  for (size_t vetted = 0; vetted < 2; vetted++) {
    for (size_t text = 0; text < TEXT_LENGTHS; text++) {
      for (size_t port = 0; port < PORT_LENGTHS; port++) {
        uint8_t *places = json_tails[(vetted * TEXT_LENGTHS + text) * PORT_LENGTHS + port];
        size_t at = tail_constant(places, 0, JSON_IP);
        for (size_t i = 0; i < text; i++) places[at++] = (uint8_t)(SORTITION_ROW_TEXT_BYTE + i);
        at = tail_constant(places, at, JSON_PORT);
        for (size_t i = 0; i < port; i++) places[at++] = (uint8_t)(SORTITION_ROW_PORT_TEXT_BYTE + i);
        tail_constant(places, at, vetted ? JSON_VETTED : JSON_NEW);
      }
    }
  }
}
#else
static void prepare_json(void) {
}
#endif

/* What follows the id, in parts; a constant overruns its text up to the next multiple of eight bytes. */
static inline uint8_t *put_json_tail(uint8_t *to, const struct sortition_snapshot *snapshot,
                                     const uint8_t *row, size_t vetted) {
  size_t length;
  const char *text = sortition_address_text(snapshot, row, &length);
  memcpy(to, JSON_IP, 8);
  to += 8;
  if (__builtin_expect(sortition_is_ipv4(row), 1)) memcpy(to, text, 16);
  else memcpy(to, text, length);
  to += length;
  memcpy(to, JSON_PORT "\0\0\0\0\0\0", 16);
  to += sizeof JSON_PORT - 1;
  memcpy(to, row + SORTITION_ROW_PORT_TEXT_BYTE, 8);
  to += row[SORTITION_ROW_PORT_TEXT_LENGTH_BYTE];
  if (vetted) {
    memcpy(to, JSON_VETTED, 16);
    memcpy(to + sizeof JSON_VETTED - 1 - 16, &JSON_VETTED[sizeof JSON_VETTED - 1 - 16], 16);
    return to + sizeof JSON_VETTED - 1;
  }
  memcpy(to, JSON_NEW, 16);
  memcpy(to + sizeof JSON_NEW - 1 - 16, &JSON_NEW[sizeof JSON_NEW - 1 - 16], 16);
  return to + sizeof JSON_NEW - 1;
}

static size_t encode_json(const struct answer *answer, uint8_t *target) {
  const struct sortition_snapshot *snapshot = answer->snapshot;
  uint8_t *to = PUT(target, "{\"generation\":");
  to = put_decimal(to, snapshot->generation);
  to = PUT(to, ",\"ageMs\":");
  to = put_decimal(to, answer->age_ms);
  to = PUT(to, ",\"nodes\":[");
  if (answer->count > 0) to = PUT(to, "{\"id\":\"");
  const struct row_reader reader = read_rows(answer);
  for (uint32_t i = 0; i < reader.count; i++) {
    const uint8_t *row = row_of(&reader, i);
    const size_t vetted = is_vetted(&reader, i);
    prefetch_row(&reader, i);
    put_hex(to, row);
    to += 2 * SORTITION_ID_BYTES;
#ifdef __AVX512VBMI__
    if (__builtin_expect(sortition_is_ipv4(row), 1)) {
      const size_t text = row[SORTITION_ROW_TEXT_LENGTH_BYTE];
      const size_t port = row[SORTITION_ROW_PORT_TEXT_LENGTH_BYTE];
      const __m512i constants = _mm512_load_si512(json_constants);
      const __m512i source = _mm512_mask_blend_epi64(0xf0, constants, _mm512_load_si512(row));
      const size_t form = (vetted * TEXT_LENGTHS + text) * PORT_LENGTHS + port;
      _mm512_storeu_si512(to, _mm512_permutexvar_epi8(_mm512_load_si512(json_tails[form]), source));
      to += JSON_NEW_TAIL_BYTES + (sizeof JSON_VETTED - sizeof JSON_NEW) * vetted + text + port;
      continue;
    }
#endif
    to = put_json_tail(to, snapshot, row, vetted);
  }
  /* The comma and what begins another element go. */
  if (answer->count > 0) to -= sizeof ",{\"id\":\"" - 1;
  to = PUT(to, "]}");
  return (size_t)(to - target);
}

#define PACKED_ID "\x84\xa2id\xc4\x20"
#define PACKED_IP "\xa2ip"
#define PACKED_PORT "\xa4port\xcd"
#define PACKED_POOL "\xa4pool"
#define PACKED_VETTED "\xa6vetted"
#define PACKED_NEW "\xa3new"

enum { FIXSTR = 0xa0, STR8 = 0xd9, FIXSTR_LENGTH_MAX = 31, UINT32 = 0xce, FLOAT64 = 0xcb };
/* Map head, `id`, `ip` and the head of its text. */
enum { PACKED_HEAD_BYTES = sizeof PACKED_ID - 1 + SORTITION_ID_BYTES + sizeof PACKED_IP - 1 + 1 };
/* Of a new node, from the port on. */
enum { PACKED_NEW_TAIL_BYTES = sizeof PACKED_PORT PACKED_POOL PACKED_NEW - 1 + 2 };

static uint8_t *put_packed_head(uint8_t *to, const struct answer *answer) {
  to = PUT(to, "\x83\xaageneration\xce");
  to = put_big_endian(to, answer->snapshot->generation, 4);
  to = PUT(to, "\xa5""ageMs");
  if (answer->age_ms <= UINT32_MAX) {
    *to++ = UINT32;
    to = put_big_endian(to, answer->age_ms, 4);
  } else {
    const double age = (double)answer->age_ms;
    uint64_t bits;
    memcpy(&bits, &age, sizeof bits);
    *to++ = FLOAT64;
    to = put_big_endian(to, bits, 8);
  }
  to = PUT(to, "\xa5nodes\xdd");
  return put_big_endian(to, answer->count, 4);
}

/* Map head to the end of the address. */
static inline uint8_t *put_packed_address(uint8_t *to, const struct sortition_snapshot *snapshot,
                                          const uint8_t *row) {
  to = PUT(to, PACKED_ID);
  to = put(to, (const char *)row, SORTITION_ID_BYTES);
  to = PUT(to, PACKED_IP);
  size_t length;
  const char *text = sortition_address_text(snapshot, row, &length);
  if (__builtin_expect(sortition_is_ipv4(row), 1)) {
    *to++ = (uint8_t)(FIXSTR + length);
    memcpy(to, text, 16);
    return to + length;
  }
  if (length <= FIXSTR_LENGTH_MAX) {
    *to++ = (uint8_t)(FIXSTR + length);
  } else {
    *to++ = STR8;
    *to++ = (uint8_t)length;
  }
  return put(to, text, length);
}

static inline uint8_t *put_packed_tail(uint8_t *to, const uint8_t *row, size_t vetted) {
  memcpy(to, PACKED_PORT "\0\0" PACKED_POOL "\0\0", 16);
  to[sizeof PACKED_PORT - 1] = row[SORTITION_ROW_PORT_BYTE + 1];
  to[sizeof PACKED_PORT] = row[SORTITION_ROW_PORT_BYTE];
  to += sizeof PACKED_PORT PACKED_POOL - 1 + 2;
  memcpy(to, vetted ? PACKED_VETTED : PACKED_NEW "\0\0\0", 8);
  return to + (vetted ? sizeof PACKED_VETTED : sizeof PACKED_NEW) - 1;
}

#ifdef __AVX512VBMI__
/* Which byte of the row each of the first 64 bytes is; what no row has; and what comes after the address. */
static _Alignas(64) uint8_t packed_places[64], packed_constants[64];
static _Alignas(64) uint8_t packed_tails[2][64];
static const __mmask64 PACKED_BYTES_OF_ROW =
    0xffffffffull << (sizeof PACKED_ID - 1) | 0xffffull << (PACKED_HEAD_BYTES - 1);

static void prepare_messagepack(void) {
  memcpy(packed_constants, PACKED_ID, sizeof PACKED_ID - 1);
  memcpy(packed_constants + sizeof PACKED_ID - 1 + SORTITION_ID_BYTES, PACKED_IP, sizeof PACKED_IP - 1);
  packed_constants[PACKED_HEAD_BYTES - 1] = FIXSTR;
  for (uint8_t i = 0; i < SORTITION_ID_BYTES; i++) packed_places[sizeof PACKED_ID - 1 + i] = i;
  packed_places[PACKED_HEAD_BYTES - 1] = SORTITION_ROW_TEXT_LENGTH_BYTE;
  for (uint8_t i = 0; i < SORTITION_ROW_TEXT_BYTES; i++) {
    packed_places[PACKED_HEAD_BYTES + i] = (uint8_t)(SORTITION_ROW_TEXT_BYTE + i);
  }
  static const char new_tail[] = PACKED_PORT "\0\0" PACKED_POOL PACKED_NEW;
  static const char vetted_tail[] = PACKED_PORT "\0\0" PACKED_POOL PACKED_VETTED;
  memcpy(packed_tails[0], new_tail, sizeof new_tail - 1);
  memcpy(packed_tails[1], vetted_tail, sizeof vetted_tail - 1);
}

static inline uint8_t *put_packed_node(uint8_t *to, const uint8_t *row, size_t vetted) {
  /* The port comes last in these 16 bytes of a row, and goes out with its higher byte first. */
  const __m128i port_places = _mm_set_epi8(-1, -1, -1, -1, -1, -1, -1, -1, 6, 7, -1, -1, -1, -1, -1, -1);
  const __m512i places = _mm512_load_si512(packed_places), constants = _mm512_load_si512(packed_constants);
  const __m512i bytes = _mm512_maskz_permutexvar_epi8(PACKED_BYTES_OF_ROW, places, _mm512_load_si512(row));
  _mm512_storeu_si512(to, _mm512_or_si512(bytes, constants));
  to += PACKED_HEAD_BYTES + row[SORTITION_ROW_TEXT_LENGTH_BYTE];
  const __m128i port = _mm_load_si128((const __m128i *)(row + SORTITION_ROW_PORT_TEXT_BYTE));
  const __m256i tail = _mm256_load_si256((const __m256i *)packed_tails[vetted]);
  const __m256i port_bytes = _mm256_zextsi128_si256(_mm_shuffle_epi8(port, port_places));
  _mm256_storeu_si256((__m256i *)to, _mm256_or_si256(tail, port_bytes));
  return to + PACKED_NEW_TAIL_BYTES + (sizeof PACKED_VETTED - sizeof PACKED_NEW) * vetted;
}
#else
static void prepare_messagepack(void) {
}
#endif

static size_t encode_messagepack(const struct answer *answer, uint8_t *target) {
  const struct sortition_snapshot *snapshot = answer->snapshot;
  const struct row_reader reader = read_rows(answer);
  uint8_t *to = put_packed_head(target, answer);
  for (uint32_t i = 0; i < reader.count; i++) {
    const uint8_t *row = row_of(&reader, i);
    const size_t vetted = is_vetted(&reader, i);
    prefetch_row(&reader, i);
#ifdef __AVX512VBMI__
    if (__builtin_expect(sortition_is_ipv4(row), 1)) {
      to = put_packed_node(to, row, vetted);
      continue;
    }
#endif
    to = put_packed_address(to, snapshot, row);
    to = put_packed_tail(to, row, vetted);
  }
  return (size_t)(to - target);
}

/* Before the first answer. */
static void prepare_encoding(void) {
  prepare_records();
  prepare_json();
  prepare_messagepack();
}

#endif
