/*
 * The floor of the selection bench: what an answer costs in C. Maps a snapshot file and reads lines:
 *
 *   seed <64 hexadecimal digits>        key of the randomness
 *   draw <new fraction> <0 or 1>        share of new picks; 1: capped at their natural share
 *   age <milliseconds>                  what the answers give as their age
 *   exclude [<id> ...]                  ids as hexadecimal digits; none: nothing is excluded
 *   held [<id> ...]
 *   answer <case> <count>               replies with the bytes of one answer in hexadecimal
 *   time <case> <count> <milliseconds>  calls the case that long, and replies with a line of JSON
 *
 * Cases: select (the rows, 32 bits each), records, json, messagepack. See bench/floor/floor.ts.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "encoding.h"
#include "selection.h"

/* A sample is so long that reading the clock does not show. */
enum { SAMPLE_NS_MIN = 5000, SAMPLES_MAX = 1 << 18, CALLS_MAX = 1 << 16 };
static const double WARMUP_SHARE = 0.1;

struct floor {
  struct selector *selector;
  struct draw draw;
  uint64_t age_ms;
  uint8_t excluded_ids[IDS_MAX * SORTITION_ID_BYTES], held_ids[IDS_MAX * SORTITION_ID_BYTES];
  uint8_t output[COUNT_MAX * NODE_BYTES_MAX + FRAME_BYTES_MAX];
  double samples[SAMPLES_MAX];
};

typedef size_t answer_case(struct floor *floor);

static _Noreturn __attribute__((format(printf, 1, 2))) void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

static struct answer pick(struct floor *floor) {
  struct selector *selector = floor->selector;
  select_rows(selector, &floor->draw);
  return (struct answer){selector->snapshot, selector->picks, selector->pick_count, floor->age_ms};
}

static size_t select_case(struct floor *floor) {
  return 4 * (size_t)pick(floor).count;
}

static size_t records_case(struct floor *floor) {
  const struct answer answer = pick(floor);
  return encode_records(&answer, floor->output);
}

static size_t json_case(struct floor *floor) {
  const struct answer answer = pick(floor);
  return encode_json(&answer, floor->output);
}

static size_t messagepack_case(struct floor *floor) {
  const struct answer answer = pick(floor);
  return encode_messagepack(&answer, floor->output);
}

static const struct {
  const char *name;
  answer_case *run;
} CASES[] = {
    {"select", select_case},
    {"records", records_case},
    {"json", json_case},
    {"messagepack", messagepack_case},
};

static answer_case *case_named(const char *name) {
  for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
    if (strcmp(name, CASES[i].name) == 0) return CASES[i].run;
  }
  fail("there is no case \"%s\"", name);
}

static double now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

/* Nanoseconds that `calls` calls take. */
static double time_calls(struct floor *floor, answer_case *run, uint32_t calls) {
  static volatile size_t sink;
  size_t bytes = 0;
  const double started = now_ns();
  for (uint32_t i = 0; i < calls; i++) bytes += run(floor);
  const double elapsed = now_ns() - started;
  sink = sink + bytes;
  return elapsed;
}

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void time_case(struct floor *floor, answer_case *run, double milliseconds) {
  uint32_t calls = 1;
  const double started = now_ns();
  while (now_ns() - started < WARMUP_SHARE * 1e6 * milliseconds) {
    if (time_calls(floor, run, calls) < SAMPLE_NS_MIN && calls < CALLS_MAX) calls *= 2;
  }
  uint32_t samples = 0;
  double total = 0;
  const double begun = now_ns();
  do {
    const double elapsed = time_calls(floor, run, calls);
    floor->samples[samples++] = elapsed / calls;
    total += elapsed;
  } while (samples < SAMPLES_MAX && now_ns() - begun < 1e6 * milliseconds);
  qsort(floor->samples, samples, sizeof floor->samples[0], compare);
  printf("{\"p50_ns\":%.1f,\"mean_ns\":%.1f,", floor->samples[samples / 2], total / samples / calls);
  printf("\"p99_ns\":%.1f,\"min_ns\":%.1f,", floor->samples[(size_t)(0.99 * samples)], floor->samples[0]);
  printf("\"calls\":%llu,\"calls_per_sample\":%u}\n", (unsigned long long)samples * calls, calls);
}

static void answer_once(struct floor *floor, answer_case *run) {
  const size_t bytes = run(floor);
  const uint8_t *from = run == select_case ? (const uint8_t *)floor->selector->picks : floor->output;
  for (size_t i = 0; i < bytes; i++) printf("%02x", from[i]);
  putchar('\n');
}

/* Parses hexadecimal digits; returns how many bytes they were, `bytes` at the most. */
static size_t parse_hex(const char *text, uint8_t *out, size_t bytes) {
  size_t at = 0;
  for (; at < bytes; at++, text += 2) {
    const char digits[3] = {text[0], text[0] == 0 ? 0 : text[1], 0};
    char *end;
    const unsigned long value = strtoul(digits, &end, 16);
    if (end != digits + 2) break;
    out[at] = (uint8_t)value;
  }
  return at;
}

static uint32_t parse_ids(char *arguments, uint8_t *out) {
  uint32_t count = 0;
  for (char *id = strtok(arguments, " "); id != NULL; id = strtok(NULL, " ")) {
    if (count == IDS_MAX) fail("more than %d ids", IDS_MAX);
    if (parse_hex(id, out + SORTITION_ID_BYTES * count, SORTITION_ID_BYTES) != SORTITION_ID_BYTES) {
      fail("\"%s\" is no id", id);
    }
    count++;
  }
  return count;
}

static void set_seed(struct floor *floor, const char *text) {
  uint8_t key[4 * KEY_WORDS];
  if (parse_hex(text, key, sizeof key) != sizeof key) fail("\"%s\" is no key", text);
  seed_random(&floor->selector->random, key);
}

static void run_line(struct floor *floor, char *line) {
  char *arguments = strchr(line, ' ');
  if (arguments == NULL) arguments = strchr(line, 0);
  else *arguments++ = 0;
  char name[32];
  int cap;
  double milliseconds;
  unsigned long long age;
  if (strcmp(line, "seed") == 0) {
    set_seed(floor, arguments);
  } else if (strcmp(line, "draw") == 0 && sscanf(arguments, "%lf %d", &floor->draw.new_fraction, &cap) == 2) {
    floor->draw.cap_new_fraction = cap != 0;
  } else if (strcmp(line, "age") == 0 && sscanf(arguments, "%llu", &age) == 1) {
    floor->age_ms = age;
  } else if (strcmp(line, "exclude") == 0) {
    floor->draw.excluded_ids_count = parse_ids(arguments, floor->excluded_ids);
  } else if (strcmp(line, "held") == 0) {
    floor->draw.held_ids_count = parse_ids(arguments, floor->held_ids);
  } else if (strcmp(line, "answer") == 0 && sscanf(arguments, "%31s %u", name, &floor->draw.count) == 2) {
    if (floor->draw.count > COUNT_MAX) fail("count is %d at the most", COUNT_MAX);
    answer_once(floor, case_named(name));
  } else if (strcmp(line, "time") == 0 &&
             sscanf(arguments, "%31s %u %lf", name, &floor->draw.count, &milliseconds) == 3) {
    if (floor->draw.count > COUNT_MAX) fail("count is %d at the most", COUNT_MAX);
    time_case(floor, case_named(name), milliseconds);
  } else {
    fail("\"%s %s\" is no line of the protocol", line, arguments);
  }
  fflush(stdout);
}

static const void *map_file(const char *path, uint64_t *bytes) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0) fail("cannot open %s", path);
  *bytes = (uint64_t)status.st_size;
  const void *base = mmap(NULL, (size_t)*bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
  if (base == MAP_FAILED) fail("cannot map %s", path);
  close(file);
  return base;
}

int main(int argument_count, char **arguments) {
  if (argument_count < 2) fail("usage: floor <snapshot file> [64 hexadecimal digits]");
  static struct sortition_snapshot snapshot;
  uint64_t bytes;
  const void *base = map_file(arguments[1], &bytes);
  const char *problem = sortition_open(&snapshot, base, bytes);
  if (problem != NULL) fail("%s: %s", arguments[1], problem);
  static struct floor floor;
  static const uint8_t no_key[4 * KEY_WORDS];
  prepare_encoding();
  floor.selector = new_selector(&snapshot, no_key);
  floor.draw = (struct draw){0, 0, true, floor.excluded_ids, floor.held_ids, 0, 0};
  if (argument_count > 2) set_seed(&floor, arguments[2]);
  char *line = NULL;
  size_t capacity = 0;
  for (ssize_t length; (length = getline(&line, &capacity, stdin)) > 0;) {
    if (line[length - 1] == '\n') line[length - 1] = 0;
    if (line[0] != 0) run_line(&floor, line);
  }
  return 0;
}
