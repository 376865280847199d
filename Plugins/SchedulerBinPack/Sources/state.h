/// hostd.scheduler.state/1, as hostd/roles/scheduler.h defines it.
#ifndef BINPACK_STATE_H
#define BINPACK_STATE_H

#include "cluster.h"
#include "output.h"

void state_write(output *output, const cluster *cluster);
/// Fills an empty cluster. Fails the call with HOSTD_ERROR_VERSION for another format, with HOSTD_ERROR_INVALID_ARGUMENT for
/// damaged bytes; the cluster must be cleared then.
void state_read(call *call, cluster *cluster, const uint8_t *state, uint64_t size);

#endif
