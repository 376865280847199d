/// The pieces of a root file system that pods with users of their own put together in another order (users.c).
#ifndef CONTAINER_INIT_ROOT_H
#define CONTAINER_INIT_ROOT_H

#include <linux/mount.h>

#include "init.h"

/// Of images that are mounted as volumes.
enum { image_attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };

/// A copy of a mount that is attached nowhere yet.
int open_tree_clone(int directory, const char *path, unsigned flags);
int attach_mount(int mount, int target);
/// Nothing that happens here may reach the host; what the host mounts later may come in (hostToContainer).
void leave_peers(void);
/// - devices: what is mounted as /dev instead of a new file system; -1 for none.
void mount_filesystems(const struct configuration *configuration, int root, int devices);
/// - first: the number of the container's root on the host.
void make_devices(const struct configuration *configuration, int root, uint32_t first);
/// Read-only paths, masked ones, and the change of roots. Closes `root`.
void finish_root(const struct configuration *configuration, int root);

#endif
