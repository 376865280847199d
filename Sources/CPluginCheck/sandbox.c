#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugin_check.h"

static int write_file(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return -1;
    ssize_t count = write(file, text, strlen(text));
    close(file);
    return count == (ssize_t)strlen(text) ? 0 : -1;
}

/// The namespaces; as somebody who is not root, with a user namespace around them. NULL, or what failed.
static const char *make_namespaces(void) {
    int flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID;
    uid_t user = geteuid();
    gid_t group = getegid();
    if (user == 0 && unshare(flags) == 0) return NULL;
    if (unshare(flags | CLONE_NEWUSER) != 0) return "namespaces (unshare)";
    char map[64];
    snprintf(map, sizeof map, "0 %u 1\n", user);
    if (write_file("/proc/self/uid_map", map) != 0) return "a map of users";
    write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1\n", group);
    return write_file("/proc/self/gid_map", map) == 0 ? NULL : "a map of groups";
}

static int set_read_only(const char *path, int is_read_only, unsigned flags) {
    struct mount_attr attributes = {
        .attr_set = is_read_only ? MOUNT_ATTR_RDONLY : 0,
        .attr_clr = is_read_only ? 0 : MOUNT_ATTR_RDONLY,
    };
    return (int)syscall(SYS_mount_setattr, AT_FDCWD, path, flags, &attributes, sizeof attributes);
}

/// Everything is read-only but `writable`, control groups, and fresh /proc, /run and /dev/shm. In the process namespace.
static const char *arrange_files(const char *writable) {
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return "private mounts";
    if (mount(writable, writable, NULL, MS_BIND, NULL) != 0) return "a mount of the scratch directory";
    if (set_read_only("/", 1, AT_RECURSIVE) != 0) return "read-only files";
    if (set_read_only(writable, 0, 0) != 0) return "a writable scratch directory";
    set_read_only("/sys/fs/cgroup", 0, AT_RECURSIVE); // Where there are control groups; as root only.
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0) return "a mount of /proc";
    if (mount("run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") != 0) return "a mount of /run";
    mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
    return NULL;
}

static const char *raise_loopback(void) {
    int socket_file = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_flags = IFF_UP | IFF_RUNNING};
    strcpy(request.ifr_name, "lo");
    int status = socket_file < 0 ? -1 : ioctl(socket_file, SIOCSIFFLAGS, &request);
    if (socket_file >= 0) close(socket_file);
    return status == 0 ? NULL : "a loopback interface";
}

/// The first process of the namespaces: waits for the second, tells of its end, and ends everything by ending itself.
static _Noreturn void wait_for(pid_t process, int status_file) {
    int status = 0;
    for (;;) {
        pid_t ended = wait(&status);
        if (ended == process || (ended < 0 && errno != EINTR)) break;
    }
    dprintf(status_file, "{\"status\":%d}\n", status);
    _exit(0);
}

void check_enter_sandbox(const char *writable, int32_t status_file, char *failure, uint64_t failure_size) {
    failure[0] = 0;
    const char *missing = make_namespaces();
    pid_t first = fork();
    if (first < 0) _exit(70);
    if (first > 0) wait_for(first, -1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (missing == NULL) missing = arrange_files(writable);
    if (missing == NULL) missing = raise_loopback();
    if (missing != NULL) snprintf(failure, failure_size, "%s: %s", missing, strerror(errno));
    pid_t second = fork();
    if (second < 0) _exit(70);
    if (second > 0) wait_for(second, status_file);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int32_t check_socket_pair(int32_t *ends) { return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends); }

int32_t check_is_mounted(const char *path) {
    char real[4096], line[8192], place[4096];
    if (realpath(path, real) == NULL) return 0;
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (file == NULL) return 0;
    int found = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%*s %*s %*s %*s %4095s", place) == 1 && strcmp(place, real) == 0) found = 1;
    }
    fclose(file);
    return found;
}

int32_t check_make_network_namespace(const char *path) {
    int file = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return -errno;
    close(file);
    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNET) != 0 || mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) != 0) _exit(errno & 127);
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return -errno;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}
