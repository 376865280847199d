/// One monitor per container: it outlives hostd, keeps the output flowing and records the end.
#ifndef CONTAINER_INIT_MONITOR_H
#define CONTAINER_INIT_MONITOR_H

int monitor_main(void);
/// The same for a container that an OCI runtime makes.
int oci_monitor_main(void);
int monitor_reopen_log(void);

#endif
