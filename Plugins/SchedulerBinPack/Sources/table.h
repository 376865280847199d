/// A hash table of things by their text, which begins each of them.
#ifndef BINPACK_TABLE_H
#define BINPACK_TABLE_H

#include "call.h"

/// What is kept begins with its key.
typedef struct keyed {
    text key;
} keyed;

typedef struct table {
    keyed **slots;
    uint32_t capacity; ///< A power of two, or 0.
    uint32_t count;
} table;

/// Makes room for one more; false without memory, and nothing has changed.
bool table_reserve(table *table);
/// Adds a thing whose key is not in the table, into room that was reserved.
void table_insert(table *table, keyed *thing);
void *table_find(const table *table, text key);
/// Walks a table: the next thing from `*slot` on, NULL at the end.
void *table_next(const table *table, uint32_t *slot);
void table_remove(table *table, text key);
/// Gives back the table's own memory.
void table_clear(table *table);

#endif
