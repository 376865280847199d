/// The stage that runs inside the new namespaces and ends in the container's own program.
#ifndef CONTAINER_INIT_INIT_H
#define CONTAINER_INIT_INIT_H

#include "support.h"

/// Joins what the configuration names, builds the root file system, drops privileges and executes. Failures go to
/// `report_descriptor`, a SOCK_SEQPACKET socket that closes on success; the terminal's master is sent over it too.
_Noreturn void container_start(const struct configuration *configuration);

/// Root file system: overlay, mounts, devices, masks, pivot_root. Called with the new mount namespace already entered.
void build_root(const struct configuration *configuration);
/// Mounts that must see the container's own view: the cgroup file systems.
void mount_cgroups(const struct configuration *configuration, int root);
/// A descriptor of `path` inside `root`, made (as a directory or an empty file) where it is missing.
int make_target(int root, const char *path, int directory);
int mount_on(int target, const char *source, const char *type, unsigned long flags, const char *data);

/// Writes this process into each file of TAG_CGROUP_JOIN.
void join_cgroups(const struct configuration *configuration);
/// Resource limits and the score for when memory runs out.
void set_limits(const struct configuration *configuration);

struct identity {
    uid_t user;
    gid_t group;
    int group_count;
    gid_t groups[GROUP_LIMIT];
    char home[256];
};
/// Reads /etc/passwd and /etc/group of the present root.
void identity_resolve(const struct configuration *configuration, struct identity *identity);
/// Everything between "the file system is right" and execve: working directory, user, capabilities, seccomp.
_Noreturn void become_and_execute(const struct configuration *configuration);

/// Opens a new terminal of the devpts at /dev/pts, makes it the controlling terminal and the standard streams, and sends
/// the master to the parent.
void terminal_open(const struct configuration *configuration);

#endif
