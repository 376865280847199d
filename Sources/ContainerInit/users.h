/// Pods with users of their own (user namespaces): what has to be made with the host's users is made before theirs are entered.
#ifndef CONTAINER_INIT_USERS_H
#define CONTAINER_INIT_USERS_H

#include "init.h"

/// Whether the configuration names users of the pod's own, and where their numbers begin on the host.
int users_wanted(const struct configuration *configuration, uint32_t *first);
/// Makes a user namespace and with it others of the `kinds`, which belong to it, and enters those but the users'. Returns a
/// process that keeps it; the caller ends it.
pid_t users_make(const struct configuration *configuration, uint64_t kinds);
/// Has this process be root of the user namespace that it has entered.
void users_become_root(void);
/// Gives the pipes among the standard streams to the namespace's root, so that it may give them on.
void users_own_streams(uint32_t first);
/// What `container_start` is, for a pod with users of its own: a second process, a child of this one's parent, enters them and
/// the container; its number goes to the parent as REPORT_STARTED, and this process ends.
_Noreturn void users_start(const struct configuration *configuration, uint32_t first);

#endif
