#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "root.h"

int users_wanted(const struct configuration *configuration, uint32_t *first)
{
    size_t offset = 0;
    struct record record;
    if (!configuration_next(configuration, TAG_USER_NAMESPACE, &offset, &record))
        return 0;
    *first = (uint32_t)record_number(&record, 0);
    return 1;
}

static void write_map(pid_t process, const char *name, const struct record *record)
{
    char path[64], text[64];
    *append_text(append_text(append_number(append_text(path, "/proc/"), (uint64_t)process), "/"), name) = 0;
    char *at = append_number(append_text(text, "0 "), record_number(record, 0));
    *append_number(append_text(at, " "), record_number(record, 1)) = 0;
    if (write_file(path, text, 0) < 0)
        fail(STEP_USERS, errno, name);
}

pid_t users_make(const struct configuration *configuration, uint64_t kinds)
{
    size_t offset = 0;
    struct record record;
    if (!configuration_next(configuration, TAG_USER_NAMESPACE, &offset, &record))
        fail(STEP_CONFIGURATION, EINVAL, "");
    int descriptor = -1;
    pid_t process = clone_process(kinds | CLONE_NEWUSER, -1, &descriptor);
    if (process < 0)
        fail(STEP_USERS, errno, "clone");
    if (process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    write_map(process, "uid_map", &record);
    write_map(process, "gid_map", &record);
    kinds &= ~(uint64_t)CLONE_NEWUSER;
    if (kinds && setns(descriptor, (int)kinds) < 0)
        fail(STEP_NAMESPACE, errno, "users");
    close(descriptor);
    return process;
}

void users_become_root(void)
{
    if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        fail(STEP_USERS, errno, "root");
}

void users_own_streams(uint32_t first)
{
    for (int stream = 0; stream < 3; stream++) {
        struct stat status;
        if (fstat(stream, &status) == 0 && S_ISFIFO(status.st_mode) && fchown(stream, first, first) < 0)
            fail(STEP_USERS, errno, "standard streams");
    }
}

#define BIND_LIMIT 512
#define NAMESPACE_LIMIT 8

/// Copies of mounts, and namespaces, that the second process gets.
static struct {
    int users;
    int scratch; ///< Directory of a file system of this process' own, which goes with it.
    unsigned layers;
    int root, devices;
    int binds[BIND_LIMIT];
    int namespaces[NAMESPACE_LIMIT];
    int kinds[NAMESPACE_LIMIT], namespace_count;
} prepared;

/// A copy of a mount that shows files of the host's user N as those of the namespace's user N.
static int mapped(int directory, const char *path, unsigned flags, uint64_t set, uint64_t propagation)
{
    int mount = open_tree_clone(directory, path, flags);
    if (mount < 0)
        fail(STEP_MOUNT_SOURCE, errno, path);
    struct mount_attr attributes = {
        .attr_set = set | MOUNT_ATTR_IDMAP, .propagation = propagation, .userns_fd = (uint64_t)prepared.users};
    if (syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | (flags & AT_RECURSIVE), &attributes, sizeof attributes) < 0)
        fail(STEP_MAPPED_MOUNT, errno, path);
    return mount;
}

static int scratch_directory(const char *name)
{
    if (mkdirat(prepared.scratch, name, 0755) < 0 && errno != EEXIST)
        fail(STEP_ROOT, errno, name);
    int directory = openat(prepared.scratch, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        fail(STEP_ROOT, errno, name);
    return directory;
}

/// Mounts the overlay that `options` describe with its layers mapped, and returns a copy of it that lasts.
static int mapped_overlay(const char *directory, const char *options, unsigned long flags)
{
    static const char prefix[] = "lowerdir=";
    char mapped_options[4096], *at = append_text(mapped_options, prefix);
    const char *from = options + sizeof prefix - 1;
    size_t size = strcspn(from, ",");
    const char *rest = from + size;
    int layers = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (layers < 0 || strlen(options) > sizeof mapped_options / 2)
        fail(STEP_ROOT, layers < 0 ? errno : E2BIG, directory);
    for (const char *end = from + size; from < end; from += strcspn(from, ":,") + 1) {
        char name[NAME_MAX + 1], place[16];
        size_t length = strcspn(from, ":,");
        copy_path(name, length < NAME_MAX ? length + 1 : NAME_MAX + 1, from);
        *append_number(append_text(place, "l"), prepared.layers++) = 0;
        int layer = mapped(layers, name, 0, 0, MS_PRIVATE), target = scratch_directory(place);
        if (attach_mount(layer, target) < 0)
            fail(STEP_ROOT, errno, name);
        close(layer);
        close(target);
        if (at[-1] != '=')
            *at++ = ':';
        at = append_text(at, place);
    }
    close(layers);
    *append_text(at, rest) = 0;
    close(scratch_directory("root"));
    if (fchdir(prepared.scratch) < 0 || mount("overlay", "root", "overlay", flags, mapped_options) < 0)
        fail(STEP_ROOT, errno, mapped_options);
    int copy = open_tree_clone(prepared.scratch, "root", 0);
    if (copy < 0 || umount2("root", MNT_DETACH) < 0)
        fail(STEP_ROOT, errno, "root");
    return copy;
}

static void prepare_devices(const struct configuration *configuration, uint32_t first)
{
    int target = scratch_directory("dev");
    if (mount_on(target, "tmpfs", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k") < 0)
        fail(STEP_DEVICE, errno, "/dev");
    close(target);
    make_devices(configuration, prepared.scratch, first);
    if (fchownat(prepared.scratch, "dev", first, first, 0) < 0)
        fail(STEP_DEVICE, errno, "/dev");
    prepared.devices = open_tree_clone(prepared.scratch, "dev", 0);
    if (prepared.devices < 0)
        fail(STEP_DEVICE, errno, "/dev");
}

/// What is wanted of an image; the next of TAG_IMAGE.
static int prepare_image(const struct configuration *configuration, size_t *offset)
{
    const char *directory = configuration_string(configuration, TAG_OVERLAY_DIRECTORY);
    struct record record;
    if (!directory || !configuration_next(configuration, TAG_IMAGE, offset, &record))
        fail(STEP_CONFIGURATION, EINVAL, "");
    int whole = mapped_overlay(directory, record_string(&record, 0, 0), MS_RDONLY);
    const char *path = record_string(&record, 0, 1);
    int part = open_in_root(whole, path, O_PATH);
    int clone = part < 0 ? -1 : open_tree_clone(part, "", AT_EMPTY_PATH);
    if (clone < 0)
        fail(part < 0 ? STEP_IMAGE_PATH : STEP_IMAGE, errno, part < 0 ? path : record_string(&record, 0, 2));
    close(part);
    close(whole);
    struct mount_attr attributes = {.attr_set = image_attributes, .propagation = MS_PRIVATE};
    if (syscall(SYS_mount_setattr, clone, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0)
        fail(STEP_IMAGE, errno, path);
    return clone;
}

static void prepare_binds(const struct configuration *configuration)
{
    size_t offset = 0, images = 0;
    struct record record;
    for (int count = 0; configuration_next(configuration, TAG_BIND, &offset, &record); count++) {
        uint64_t flags = record_number(&record, 0);
        const char *source = record_string(&record, 1, 0), *path = record_string(&record, 1, 1);
        // What the container mounted there would appear on the host.
        if (count == BIND_LIMIT || flags & BIND_BIDIRECTIONAL)
            fail(STEP_MOUNT, count == BIND_LIMIT ? E2BIG : EPERM, path);
        if (flags & BIND_IMAGE) {
            prepared.binds[count] = prepare_image(configuration, &images);
            continue;
        }
        prepared.binds[count] =
            mapped(AT_FDCWD, source, flags & BIND_RECURSIVE ? AT_RECURSIVE : 0, flags & BIND_READ_ONLY ? MOUNT_ATTR_RDONLY : 0,
                   flags & BIND_HOST_TO_CONTAINER ? MS_SLAVE : MS_PRIVATE);
    }
}

/// The path to a namespace is the host's. One of processes is entered now: it counts for children only.
static void prepare_namespaces(const struct configuration *configuration)
{
    size_t offset = 0;
    struct record record;
    while (configuration_next(configuration, TAG_JOIN_NAMESPACE, &offset, &record)) {
        int kind = (int)record_number(&record, 0);
        const char *path = record_string(&record, 1, 0);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0 || (kind == CLONE_NEWPID && setns(file, kind) < 0))
            fail(STEP_NAMESPACE, errno, path);
        if (kind == CLONE_NEWPID) {
            close(file);
            continue;
        }
        if (prepared.namespace_count == NAMESPACE_LIMIT)
            fail(STEP_NAMESPACE, E2BIG, path);
        prepared.kinds[prepared.namespace_count] = kind;
        prepared.namespaces[prepared.namespace_count++] = file;
    }
}

static void prepare(const struct configuration *configuration, uint32_t first)
{
    size_t offset = 0;
    struct record record;
    const char *root = configuration_string(configuration, TAG_ROOT);
    const char *options = configuration_string(configuration, TAG_OVERLAY_OPTIONS);
    const char *directory = configuration_string(configuration, TAG_OVERLAY_DIRECTORY);
    if (!root || !options || !directory || !configuration_next(configuration, TAG_USER_NAMESPACE, &offset, &record))
        fail(STEP_CONFIGURATION, EINVAL, "");
    const char *path = record_string(&record, 2, 0);
    prepared.users = open(path, O_RDONLY | O_CLOEXEC);
    if (prepared.users < 0)
        fail(STEP_USERS, errno, path);
    leave_peers();
    if (mount("tmpfs", root, "tmpfs", MS_NOSUID, "mode=700,size=1m") < 0)
        fail(STEP_ROOT, errno, root);
    prepared.scratch = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (prepared.scratch < 0)
        fail(STEP_ROOT, errno, root);
    prepared.root = mapped_overlay(directory, options, 0);
    prepare_devices(configuration, first);
    prepare_binds(configuration);
    prepare_namespaces(configuration);
}

static void attach_all(const struct configuration *configuration)
{
    size_t offset = 0;
    struct record record;
    for (int count = 0; configuration_next(configuration, TAG_BIND, &offset, &record); count++) {
        const char *path = record_string(&record, 1, 1);
        struct stat status;
        if (fstat(prepared.binds[count], &status) < 0)
            fail(STEP_MOUNT_SOURCE, errno, path);
        int target = make_target(prepared.root, path, S_ISDIR(status.st_mode));
        if (target < 0)
            fail(STEP_MOUNT_TARGET, errno, path);
        if (attach_mount(prepared.binds[count], target) < 0)
            fail(STEP_MOUNT, errno, path);
        close(target);
        close(prepared.binds[count]);
    }
}

static void build_users_root(const struct configuration *configuration)
{
    leave_peers();
    // Over the host's root, which every user can reach: what lies under it stays out of sight and goes with the change of roots.
    int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (top < 0 || attach_mount(prepared.root, top) < 0)
        fail(STEP_ROOT, errno, "/");
    close(top);
    mount_filesystems(configuration, prepared.root, prepared.devices);
    mount_cgroups(configuration, prepared.root);
    attach_all(configuration);
    finish_root(configuration, prepared.root);
}

static _Noreturn void run(const struct configuration *configuration)
{
    users_become_root();
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (configuration_number(configuration, TAG_TERMINAL, 0) == 0 && setsid() < 0)
        fail(STEP_NAMESPACE, errno, "setsid");
    for (int index = 0; index < prepared.namespace_count; index++) {
        if (setns(prepared.namespaces[index], prepared.kinds[index]) < 0)
            fail(STEP_NAMESPACE, errno, "pod");
        close(prepared.namespaces[index]);
    }
    if (unshare(CLONE_NEWCGROUP) < 0)
        fail(STEP_NAMESPACE, errno, "cgroup");
    build_users_root(configuration);
    if (configuration_number(configuration, TAG_TERMINAL, 0))
        terminal_open(configuration);
    become_and_execute(configuration);
}

_Noreturn void users_start(const struct configuration *configuration, uint32_t first)
{
    reset_signals();
    umask(0022);
    join_cgroups(configuration);
    set_limits(configuration);
    users_own_streams(first);
    prepare(configuration, first);
    if (setns(prepared.users, CLONE_NEWUSER) < 0)
        fail(STEP_USERS, errno, "enter");
    uint64_t kinds = configuration_number(configuration, TAG_NEW_NAMESPACES, 0);
    // The end of the second process is told as this one's would be.
    struct clone_args arguments = {.flags = kinds | CLONE_PARENT};
    pid_t process = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (process < 0)
        fail(STEP_FORK, errno, "users");
    if (process == 0)
        run(configuration);
    struct report report = {.kind = REPORT_STARTED, .process = process};
    report_send(&report);
    _exit(0);
}
