#include "table.h"

#include <stdlib.h>

/// FNV-1a.
static uint64_t hash(text key) {
    uint64_t hash = 0xCBF29CE484222325;
    for (uint32_t index = 0; index < key.size; index++) hash = (hash ^ (uint8_t)key.data[index]) * 0x100000001B3;
    return hash ^ hash >> 32;
}

/// The slot of a key, or the empty one where it would be.
static uint32_t position(const table *table, text key) {
    uint32_t slot = (uint32_t)hash(key) & (table->capacity - 1);
    while (table->slots[slot] != NULL && !text_equal(table->slots[slot]->key, key))
        slot = (slot + 1) & (table->capacity - 1);
    return slot;
}

bool table_reserve(table *table) {
    // At most three quarters full.
    if ((uint64_t)(table->count + 1) * 4 <= (uint64_t)table->capacity * 3) return true;
    struct table larger = {.capacity = table->capacity == 0 ? 16 : table->capacity * 2, .count = table->count};
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (larger.slots == NULL) return false;
    for (uint32_t slot = 0; slot < table->capacity; slot++)
        if (table->slots[slot] != NULL) larger.slots[position(&larger, table->slots[slot]->key)] = table->slots[slot];
    free(table->slots);
    *table = larger;
    return true;
}

void table_insert(table *table, keyed *thing) {
    table->slots[position(table, thing->key)] = thing;
    table->count++;
}

void *table_find(const table *table, text key) {
    return table->capacity == 0 ? NULL : table->slots[position(table, key)];
}

void *table_next(const table *table, uint32_t *slot) {
    while (*slot < table->capacity) {
        keyed *thing = table->slots[(*slot)++];
        if (thing != NULL) return thing;
    }
    return NULL;
}

void table_remove(table *table, text key) {
    if (table->capacity == 0) return;
    uint32_t hole = position(table, key), mask = table->capacity - 1;
    if (table->slots[hole] == NULL) return;
    table->slots[hole] = NULL;
    table->count--;
    // What follows without a gap moves up when its own place is at or before the hole.
    for (uint32_t slot = (hole + 1) & mask; table->slots[slot] != NULL; slot = (slot + 1) & mask) {
        uint32_t home = (uint32_t)hash(table->slots[slot]->key) & mask;
        if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
        table->slots[hole] = table->slots[slot];
        table->slots[slot] = NULL;
        hole = slot;
    }
}

void table_clear(table *table) {
    free(table->slots);
    *table = (struct table){0};
}
