/// hostd.scheduler.state/1, as hostd/roles/scheduler.h defines it.
#ifndef BINPACK_STATE_H
#define BINPACK_STATE_H

#include "cluster.h"
#include "output.h"
#include "trace.h"

void state_write(output *output, const cluster *cluster);
/// What a trace names, as it is now.
void state_write_changes(output *output, const cluster *cluster, const trace *trace);
/// Fills an empty cluster. Fails the call with HOSTD_ERROR_VERSION for another format, with HOSTD_ERROR_INVALID_ARGUMENT for
/// damaged bytes; the cluster must be cleared then.
void state_read(call *call, cluster *cluster, const uint8_t *state, uint64_t size);
/// Takes changes over. They are read once before anything changes: damaged bytes leave the cluster as it is. Without memory
/// some are taken, and the revision is still the old one.
void state_read_changes(call *call, cluster *cluster, const uint8_t *changes, uint64_t size);

#endif
