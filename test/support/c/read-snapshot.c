/*
 * Reads a snapshot file through the generated header, as another program would, and prints what it finds as JSON.
 * Ids to look up come as arguments.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../native-layout/sortition-snapshot.h"

static void print_column(const char *name, int number, const char *part, struct sortition_column column) {
  printf("[\"%s", name);
  if (number >= 0) printf(" %d", number);
  printf("%s\",%llu,%llu],", part, (unsigned long long)column.offset, (unsigned long long)column.bytes);
}

static void print_columns(const struct sortition_snapshot *snapshot) {
  printf("\"columns\":[");
  print_column("row", -1, "", snapshot->row);
  for (int i = 0; i < (int)snapshot->attribute_count; i++) {
    print_column("attribute", i, "", snapshot->attributes[i]);
  }
  print_column("idIndex", -1, "", snapshot->id_index);
  print_column("wideAddress", -1, "", snapshot->wide_address);
  print_column("networkKey", -1, "", snapshot->network_key);
  print_column("description", -1, "", snapshot->description);
  for (int i = 0; i < (int)snapshot->set_count; i++) {
    print_column("set", i, " rows", snapshot->sets[i].rows);
    print_column("set", i, " groups", snapshot->sets[i].groups);
  }
  printf("[\"end\",%llu,0]],", (unsigned long long)snapshot->bytes);
}

static void print_sets(const struct sortition_snapshot *snapshot) {
  printf("\"sets\":[");
  for (uint32_t i = 0; i < snapshot->set_count; i++) {
    const struct sortition_set *set = &snapshot->sets[i];
    const uint32_t groups = set->vetted_groups + set->new_groups;
    printf("%s{\"grouping\":%u,\"identity\":%u,", i == 0 ? "" : ",", set->grouping, set->identity);
    printf("\"counts\":[%u,%u,", set->vetted_positions, set->new_positions);
    printf("%u,%u],\"rows\":[", set->vetted_groups, set->new_groups);
    for (uint32_t at = 0; at < set->vetted_positions + set->new_positions; at++) {
      printf("%s%u", at == 0 ? "" : ",", sortition_set_row(snapshot, set, at));
    }
    printf("],\"groups\":[");
    for (uint32_t at = 0; at <= groups; at++) {
      const uint64_t pair = sortition_group(snapshot, set, at);
      printf("%s%u,%u", at == 0 ? "" : ",", (uint32_t)pair, (uint32_t)(pair >> 32));
    }
    printf("]}");
  }
  printf("],");
}

static void print_node(const struct sortition_snapshot *snapshot, uint32_t row) {
  const uint8_t *bytes = sortition_row(snapshot, row);
  size_t length;
  const char *text = sortition_address_text(snapshot, bytes, &length);
  uint8_t address[SORTITION_ADDRESS_BYTES];
  sortition_address(snapshot, bytes, address);
  printf("{\"row\":%u,\"id\":\"", row);
  for (size_t i = 0; i < SORTITION_ID_BYTES; i++) printf("%02x", bytes[i]);
  printf("\",\"ip\":\"%.*s\",\"address\":\"", (int)length, text);
  for (size_t i = 0; i < sizeof address; i++) printf("%02x", address[i]);
  printf("\",\"port\":%u,\"network\":%u,", sortition_port(bytes), sortition_network(bytes));
  const uint8_t *key = sortition_network_key(snapshot, sortition_network(bytes));
  printf("\"networkKey\":\"");
  for (size_t i = 0; i < SORTITION_NETWORK_KEY_BYTES; i++) printf("%02x", key[i]);
  printf("\",\"pool\":%u,\"codes\":[", sortition_pool(snapshot, row));
  for (uint32_t i = 0; i < snapshot->attribute_count; i++) {
    printf("%s%u", i == 0 ? "" : ",", sortition_code(snapshot, i, row));
  }
  printf("]}");
}

static void print_lookup(const struct sortition_snapshot *snapshot, const char *text) {
  uint8_t id[SORTITION_ID_BYTES];
  for (size_t i = 0; i < sizeof id; i++) {
    const char digits[3] = {text[2 * i], text[2 * i + 1], 0};
    id[i] = (uint8_t)strtoul(digits, NULL, 16);
  }
  const uint32_t row = sortition_find_row(snapshot, id);
  if (row == SORTITION_NO_ROW) printf("null");
  else print_node(snapshot, row);
}

int main(int argument_count, char **arguments) {
  struct stat status;
  const int file = argument_count < 2 ? -1 : open(arguments[1], O_RDONLY);
  if (file < 0 || fstat(file, &status) != 0) return 2;
  void *base = status.st_size == 0 ? NULL : mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, file, 0);
  if (base == MAP_FAILED) return 2;
  struct sortition_snapshot snapshot;
  const char *problem = sortition_open(&snapshot, base, (uint64_t)status.st_size);
  if (problem != NULL) {
    printf("{\"problem\":\"%s\"}\n", problem);
    return 0;
  }
  printf("{\"generation\":%u,", snapshot.generation);
  printf("\"networks\":[%u,%u],", snapshot.networks, snapshot.networks_used);
  printf("\"rows\":[%u,%u,%u],", snapshot.row_count, snapshot.vetted_rows, snapshot.new_rows);
  printf("\"readAtUnix\":%.17g,", snapshot.read_at_unix);
  print_columns(&snapshot);
  print_sets(&snapshot);
  printf("\"nodes\":[");
  for (int i = 2; i < argument_count; i++) {
    if (i > 2) putchar(',');
    print_lookup(&snapshot, arguments[i]);
  }
  printf("]}\n");
  return 0;
}
