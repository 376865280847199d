/// Processes that an OCI runtime starts in our place: `runc run` and `runc exec`, detached.
#ifndef CONTAINER_INIT_OCI_H
#define CONTAINER_INIT_OCI_H

#include "streams.h"
#include "support.h"

/// Runs the command of TAG_RUNTIME_ARGUMENT in the state directory, which must be the present one, and waits for its end.
/// What it started is a child of this process from then on, which must be a subreaper.
/// - Parameter ends: standard streams of the process; NULL hands on this process' own.
/// - Parameter terminal: the terminal's master, where the configuration asks for one.
/// - Returns the process; failures are reported, with the runtime's log as the path, and end this program.
pid_t oci_start(const struct configuration *configuration, const struct stream_ends *ends, int *terminal);

/// A further process in a running container. Streams, reports and control as in exec.h.
int oci_exec_main(void);

#endif
