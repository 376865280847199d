#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "root.h"

int open_tree_clone(int directory, const char *path, unsigned flags)
{
    return (int)syscall(SYS_open_tree, directory, path, flags | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static int set_attributes(int mount, unsigned flags, uint64_t set, uint64_t propagation)
{
    struct mount_attr attributes = {.attr_set = set, .propagation = propagation};
    return (int)syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes);
}

int attach_mount(int mount, int target)
{
    return (int)syscall(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

/// Opens the directory of the path's last component, making missing ones; `*name` becomes that component.
static int make_parents(int root, const char *path, const char **name)
{
    char prefix[PATH_MAX];
    int parent = open_in_root(root, "/", O_PATH | O_DIRECTORY);
    size_t size = 0;
    *name = path;
    for (const char *at = path; parent >= 0;) {
        while (*at == '/')
            at++;
        size_t part = strcspn(at, "/");
        const char *next = at + part;
        while (*next == '/')
            next++;
        *name = at;
        if (*next == 0 || size + part + 2 > sizeof prefix)
            return parent;
        memcpy(prefix + size, at, part);
        size += part;
        prefix[size] = 0;
        int directory = open_in_root(root, prefix, O_PATH | O_DIRECTORY);
        if (directory < 0 && errno == ENOENT) {
            char component[NAME_MAX + 1];
            copy_path(component, part < NAME_MAX ? part + 1 : NAME_MAX + 1, at);
            if (mkdirat(parent, component, 0755) < 0 && errno != EEXIST)
                fail(STEP_MOUNT_TARGET, errno, path);
            directory = open_in_root(root, prefix, O_PATH | O_DIRECTORY);
        }
        close(parent);
        parent = directory;
        prefix[size++] = '/';
        at = next;
    }
    return parent;
}

int make_target(int root, const char *path, int directory)
{
    int target = open_in_root(root, path, O_PATH | (directory ? O_DIRECTORY : 0));
    if (target >= 0 || errno != ENOENT)
        return target;
    const char *name;
    int parent = make_parents(root, path, &name);
    if (parent < 0)
        return -1;
    char component[NAME_MAX + 1];
    size_t size = strcspn(name, "/");
    copy_path(component, size < NAME_MAX ? size + 1 : NAME_MAX + 1, name);
    int result = directory ? mkdirat(parent, component, 0755) : mknodat(parent, component, S_IFREG | 0644, 0);
    int code = errno;
    close(parent);
    if (result < 0) {
        errno = code;
        return -1;
    }
    return open_in_root(root, path, O_PATH | (directory ? O_DIRECTORY : 0));
}

int mount_on(int target, const char *source, const char *type, unsigned long flags, const char *data)
{
    char path[40];
    *append_number(append_text(path, "/proc/self/fd/"), (uint64_t)target) = 0;
    return mount(source, path, type, flags, *data ? data : NULL);
}

void leave_peers(void)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        fail(STEP_ROOT, errno, "/");
}

static void mount_root(const struct configuration *configuration, const char *root)
{
    const char *directory = configuration_string(configuration, TAG_OVERLAY_DIRECTORY);
    const char *options = configuration_string(configuration, TAG_OVERLAY_OPTIONS);
    if (options && directory) {
        if (chdir(directory) < 0)
            fail(STEP_ROOT, errno, directory);
        if (mount("overlay", root, "overlay", 0, options) < 0)
            fail(STEP_ROOT, errno, options);
    } else if (mount(root, root, NULL, MS_BIND | MS_REC, NULL) < 0) {
        fail(STEP_ROOT, errno, root);
    }
}

void mount_filesystems(const struct configuration *configuration, int root, int devices)
{
    size_t offset = 0;
    struct record record;
    while (configuration_next(configuration, TAG_FILESYSTEM, &offset, &record)) {
        const char *path = record_string(&record, 1, 2);
        int target = make_target(root, path, 1);
        if (target < 0)
            fail(STEP_MOUNT_TARGET, errno, path);
        int is_given = devices >= 0 && strcmp(path, "/dev") == 0;
        if (is_given ? attach_mount(devices, target) < 0
                     : mount_on(target, record_string(&record, 1, 1), record_string(&record, 1, 0),
                                record_number(&record, 0), record_string(&record, 1, 3)) < 0)
            fail(STEP_MOUNT, errno, path);
        close(target);
    }
}

#define BIDIRECTIONAL_LIMIT 64

/// Clones of the sources of bidirectional mounts, in the order of their records: taken while this namespace's mounts are
/// still peers of the host's, so that what is mounted below them in the container appears on the host too.
static int bidirectional[BIDIRECTIONAL_LIMIT];

static void clone_bidirectional(const struct configuration *configuration)
{
    size_t offset = 0;
    struct record record;
    int count = 0;
    while (configuration_next(configuration, TAG_BIND, &offset, &record)) {
        uint64_t flags = record_number(&record, 0);
        const char *source = record_string(&record, 1, 0);
        if (!(flags & BIND_BIDIRECTIONAL))
            continue;
        if (count == BIDIRECTIONAL_LIMIT)
            fail(STEP_MOUNT_SOURCE, E2BIG, source);
        int mount = open_tree_clone(AT_FDCWD, source, flags & BIND_RECURSIVE ? AT_RECURSIVE : 0);
        if (mount < 0)
            fail(STEP_MOUNT_SOURCE, errno, source);
        bidirectional[count++] = mount;
    }
}

#define IMAGE_LIMIT 64

/// Clones of the images, or of parts of them, that are mounted as volumes, in the order of their records.
static int images[IMAGE_LIMIT];

/// Each image is put together where the root file system will be; what is wanted of it is cloned there, and stays.
static void clone_images(const struct configuration *configuration, const char *root)
{
    const char *directory = configuration_string(configuration, TAG_OVERLAY_DIRECTORY);
    size_t offset = 0;
    struct record record;
    int count = 0;
    while (configuration_next(configuration, TAG_IMAGE, &offset, &record)) {
        const char *options = record_string(&record, 0, 0), *path = record_string(&record, 0, 1);
        const char *name = record_string(&record, 0, 2);
        if (count == IMAGE_LIMIT)
            fail(STEP_IMAGE, E2BIG, name);
        if (!directory || chdir(directory) < 0 || mount("overlay", root, "overlay", MS_RDONLY, options) < 0)
            fail(STEP_IMAGE, directory ? errno : EINVAL, name);
        int whole = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        int part = whole < 0 ? -1 : open_in_root(whole, path, O_PATH);
        int clone = part < 0 ? -1 : open_tree_clone(part, "", AT_EMPTY_PATH);
        if (clone < 0)
            fail(part < 0 ? STEP_IMAGE_PATH : STEP_IMAGE, errno, part < 0 ? path : name);
        close(part);
        close(whole);
        if (umount2(root, MNT_DETACH) < 0)
            fail(STEP_IMAGE, errno, name);
        images[count++] = clone;
    }
}

/// What comes next of the clones that were taken before.
struct taken {
    int bidirectional, image;
};

static void bind(int root, const struct record *record, struct taken *taken)
{
    uint64_t flags = record_number(record, 0);
    const char *source = record_string(record, 1, 0), *path = record_string(record, 1, 1);
    unsigned recursive = flags & BIND_RECURSIVE ? AT_RECURSIVE : 0;
    int mount = flags & BIND_BIDIRECTIONAL ? bidirectional[taken->bidirectional++]
                : flags & BIND_IMAGE       ? images[taken->image++]
                                           : open_tree_clone(AT_FDCWD, source, recursive);
    struct stat status;
    if (mount < 0 || fstat(mount, &status) < 0)
        fail(STEP_MOUNT_SOURCE, errno, source);
    int target = make_target(root, path, S_ISDIR(status.st_mode));
    if (target < 0)
        fail(STEP_MOUNT_TARGET, errno, path);
    uint64_t propagation = flags & BIND_BIDIRECTIONAL ? MS_SHARED : flags & BIND_HOST_TO_CONTAINER ? MS_SLAVE : MS_PRIVATE;
    uint64_t attributes = flags & BIND_READ_ONLY ? MOUNT_ATTR_RDONLY : 0;
    if (flags & BIND_IMAGE)
        attributes = image_attributes;
    if (set_attributes(mount, AT_RECURSIVE, attributes, propagation) < 0 || attach_mount(mount, target) < 0)
        fail(STEP_MOUNT, errno, path);
    close(mount);
    close(target);
}

static void bind_all(const struct configuration *configuration, int root)
{
    size_t offset = 0;
    struct record record;
    struct taken taken = {0};
    while (configuration_next(configuration, TAG_BIND, &offset, &record))
        bind(root, &record, &taken);
}

void make_devices(const struct configuration *configuration, int root, uint32_t first)
{
    size_t offset = 0;
    struct record record;
    while (configuration_next(configuration, TAG_DEVICE, &offset, &record)) {
        const char *path = record_string(&record, 5, 0), *name;
        int parent = make_parents(root, path, &name);
        if (parent < 0)
            fail(STEP_DEVICE, errno, path);
        mode_t mode = (mode_t)record_number(&record, 0);
        dev_t device = ((dev_t)(record_number(&record, 1) & 0xfffff000) << 32) | ((record_number(&record, 1) & 0xfff) << 8) |
                       ((dev_t)(record_number(&record, 2) & 0xffffff00) << 12) | (record_number(&record, 2) & 0xff);
        mode_t mask = umask(0);
        if (mknodat(parent, name, mode, device) < 0 && errno != EEXIST)
            fail(STEP_DEVICE, errno, path);
        umask(mask);
        uid_t user = first + (uid_t)record_number(&record, 3);
        gid_t group = first + (gid_t)record_number(&record, 4);
        if (fchownat(parent, name, user, group, AT_SYMLINK_NOFOLLOW) < 0)
            fail(STEP_DEVICE, errno, path);
        close(parent);
    }
    offset = 0;
    while (configuration_next(configuration, TAG_SYMBOLIC_LINK, &offset, &record)) {
        const char *path = record_string(&record, 0, 1), *name;
        int parent = make_parents(root, path, &name);
        if (parent < 0 || (symlinkat(record_string(&record, 0, 0), parent, name) < 0 && errno != EEXIST) ||
            (first && fchownat(parent, name, first, first, AT_SYMLINK_NOFOLLOW) < 0))
            fail(STEP_DEVICE, errno, path);
        close(parent);
    }
}

static void mask_paths(const struct configuration *configuration, int root)
{
    size_t offset = 0;
    struct record record;
    while (configuration_next(configuration, TAG_MASKED_PATH, &offset, &record)) {
        const char *path = (const char *)record.data;
        struct stat status;
        int target = open_in_root(root, path, O_PATH);
        if (target < 0 && (errno == ENOENT || errno == ENOTDIR))
            continue;
        if (target < 0 || fstat(target, &status) < 0)
            fail(STEP_MASK, errno, path);
        int result;
        if (S_ISDIR(status.st_mode)) {
            result = mount_on(target, "tmpfs", "tmpfs", MS_RDONLY, "size=0k");
        } else {
            int null = open_tree_clone(AT_FDCWD, "/dev/null", 0);
            result = null < 0 ? -1 : attach_mount(null, target);
            if (null >= 0)
                close(null);
        }
        if (result < 0)
            fail(STEP_MASK, errno, path);
        close(target);
    }
}

static void make_read_only(const struct configuration *configuration, int root)
{
    size_t offset = 0;
    struct record record;
    while (configuration_next(configuration, TAG_READ_ONLY_PATH, &offset, &record)) {
        const char *path = (const char *)record.data;
        int target = open_in_root(root, path, O_PATH);
        if (target < 0 && (errno == ENOENT || errno == ENOTDIR))
            continue;
        int mount = target < 0 ? -1 : open_tree_clone(target, "", AT_EMPTY_PATH | AT_RECURSIVE);
        if (mount < 0 || set_attributes(mount, AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0) < 0 || attach_mount(mount, target) < 0)
            fail(STEP_MASK, errno, path);
        close(mount);
        close(target);
    }
}

/// Changes the root; the old one is stacked under it and taken away, so no path leads back.
static void pivot(int root, int read_only)
{
    if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        fail(STEP_PIVOT, errno, "/");
    int top = open("/", O_PATH | O_CLOEXEC);
    if (top < 0 || (read_only && set_attributes(top, 0, MOUNT_ATTR_RDONLY, 0) < 0))
        fail(STEP_PIVOT, errno, "/");
    close(top);
}

void finish_root(const struct configuration *configuration, int root)
{
    make_read_only(configuration, root);
    mask_paths(configuration, root);
    pivot(root, configuration_number(configuration, TAG_READ_ONLY_ROOT, 0) != 0);
    close(root);
}

void build_root(const struct configuration *configuration)
{
    const char *path = configuration_string(configuration, TAG_ROOT);
    if (!path)
        fail(STEP_ROOT, EINVAL, "");
    clone_bidirectional(configuration);
    leave_peers();
    clone_images(configuration, path);
    mount_root(configuration, path);
    int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        fail(STEP_ROOT, errno, path);
    mount_filesystems(configuration, root, -1);
    mount_cgroups(configuration, root);
    make_devices(configuration, root, 0);
    bind_all(configuration, root);
    finish_root(configuration, root);
}

void mount_cgroups(const struct configuration *configuration, int root)
{
    size_t offset = 0;
    struct record record;
    while (configuration_next(configuration, TAG_CGROUP_MOUNT, &offset, &record)) {
        const char *controllers = record_string(&record, 1, 0), *path = record_string(&record, 1, 1);
        int target = make_target(root, path, 1);
        if (target < 0)
            fail(STEP_MOUNT_TARGET, errno, path);
        const char *type = *controllers ? "cgroup" : "cgroup2";
        if (mount_on(target, type, type, record_number(&record, 0), controllers) < 0)
            fail(STEP_CGROUP_MOUNT, errno, path);
        close(target);
    }
}
