/// The namespaces that the containers of a pod share.
#ifndef CONTAINER_INIT_SANDBOX_H
#define CONTAINER_INIT_SANDBOX_H

/// Makes the namespaces, configures and binds them to files, and ends; with TAG_HOLDER a process stays as the first one
/// of a shared process namespace. Reports started (process 0 without a holder).
int sandbox_main(void);

#endif
