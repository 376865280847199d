#include "trace.h"

#include <stdlib.h>
#include <string.h>

static void forget(table *table) {
    uint32_t slot = 0;
    for (keyed *name; (name = table_next(table, &slot)) != NULL;) free(name);
    table_clear(table);
}

static void note(trace *trace, table *table, text name) {
    if (trace->mark == 0 || trace->is_reset || table_find(table, name) != NULL) return;
    keyed *copy = malloc(sizeof *copy + name.size);
    if (copy == NULL || !table_reserve(table)) {
        free(copy);
        return trace_note_reset(trace);
    }
    if (name.size > 0) memcpy(copy + 1, name.data, name.size);
    copy->key = (text){(char *)(copy + 1), name.size};
    table_insert(table, copy);
}

void trace_begin(trace *trace, uint64_t mark) {
    trace_end(trace);
    trace->mark = mark;
}

void trace_end(trace *trace) {
    forget(&trace->nodes);
    forget(&trace->pods);
    *trace = (struct trace){0};
}

void trace_note_node(trace *trace, text name) { note(trace, &trace->nodes, name); }
void trace_note_pod(trace *trace, text uid) { note(trace, &trace->pods, uid); }

void trace_note_reset(trace *trace) {
    if (trace->mark == 0) return;
    trace_begin(trace, trace->mark);
    trace->is_reset = true;
}
