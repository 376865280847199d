/// What has changed in a cluster since it was last handed out, by name.
#ifndef BINPACK_TRACE_H
#define BINPACK_TRACE_H

#include "table.h"

typedef struct trace {
    uint64_t mark;     ///< By which changes are asked for; 0: nobody asks, and nothing is noted.
    bool is_reset;     ///< The cluster was forgotten, or there was no memory to note a change: all of it is handed out.
    table nodes, pods; ///< The names and uids that have changed, each a `keyed`.
} trace;

/// Begins anew, under a mark that is not 0.
void trace_begin(trace *trace, uint64_t mark);
/// Notes nothing from now on.
void trace_end(trace *trace);
void trace_note_node(trace *trace, text name);
void trace_note_pod(trace *trace, text uid);
void trace_note_reset(trace *trace);

#endif
