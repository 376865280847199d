#include "sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <fcntl.h>
#include <unistd.h>

/// -1, with the sentence "WHAT: reason".
int sandbox_refuse(char *message, const char *what, int code)
{
    snprintf(message, SANDBOX_MESSAGE_LIMIT, code ? "%s: %s" : "%s", what, strerror(code));
    return -1;
}

// MARK: Options

static int is_key(const char *option, const char *key, const char **value)
{
    size_t size = strlen(key);
    if (strncmp(option, key, size) != 0 || option[size] != '=')
        return 0;
    *value = option + size + 1;
    return 1;
}

static int number(const char *text, int base, uint64_t *result, char *message)
{
    char *end;
    errno = 0;
    *result = strtoull(text, &end, base);
    if (errno != 0 || end == text || *end != 0)
        return sandbox_refuse(message, "an option of the sandbox is not a number", 0);
    return 0;
}

int sandbox_option(struct sandbox *sandbox, const char *option, char *message)
{
    const char *value;
    uint64_t parsed = 0;
    int status = 0;
    if (is_key(option, "data", &value)) {
        sandbox->data = value;
    } else if (is_key(option, "directory", &value)) {
        sandbox->directory = value;
    } else if (is_key(option, "library", &value)) {
        sandbox->library = value;
    } else if (is_key(option, "group", &value)) {
        if (sandbox->group_count == SANDBOX_GROUP_LIMIT)
            return sandbox_refuse(message, "too many control groups", 0);
        sandbox->groups[sandbox->group_count++] = value;
    } else if (is_key(option, "capabilities", &value)) {
        status = number(value, 16, &sandbox->capabilities, message);
    } else if (is_key(option, "files", &value)) {
        status = number(value, 10, &sandbox->files, message);
    } else if (is_key(option, "processes", &value)) {
        status = number(value, 10, &sandbox->processes, message);
    } else if (is_key(option, "parent", &value)) {
        status = number(value, 10, &parsed, message);
        sandbox->parent = (pid_t)parsed;
    } else if (is_key(option, "user", &value)) {
        status = number(value, 10, &parsed, message);
        sandbox->user = (uint32_t)parsed;
    } else if (is_key(option, "network", &value)) {
        sandbox->has_network = *value == '1';
    } else if (is_key(option, "exec", &value)) {
        sandbox->has_exec = *value == '1';
    } else {
        return sandbox_refuse(message, "an option of the sandbox is unknown", 0);
    }
    return status;
}

// MARK: Descriptors, control groups, limits

static int close_others(const int *keep, size_t count, char *message)
{
    unsigned next = 3;
    for (size_t index = 0; index < count; index++) {
        unsigned kept = (unsigned)keep[index];
        if (kept > next && syscall(SYS_close_range, next, kept - 1, 0) < 0)
            return sandbox_refuse(message, "cannot close descriptors", errno);
        if (kept >= next)
            next = kept + 1;
    }
    if (syscall(SYS_close_range, next, ~0u, 0) < 0)
        return sandbox_refuse(message, "cannot close descriptors", errno);
    return 0;
}

static int join_groups(const struct sandbox *sandbox, char *message)
{
    for (unsigned index = 0; index < sandbox->group_count; index++) {
        int file = open(sandbox->groups[index], O_WRONLY | O_CLOEXEC);
        ssize_t written = file < 0 ? -1 : write(file, "0", 1);
        int code = errno;
        if (file >= 0)
            close(file);
        if (written != 1)
            return sandbox_refuse(message, sandbox->groups[index], code);
    }
    return 0;
}

/// Lowers a limit; a hard limit that is lower already stays.
static int limit(int resource, uint64_t value, char *message)
{
    struct rlimit present;
    if (getrlimit(resource, &present) < 0)
        return sandbox_refuse(message, "cannot read a limit", errno);
    if (value > present.rlim_max)
        value = present.rlim_max;
    struct rlimit wanted = {.rlim_cur = value, .rlim_max = value};
    if (setrlimit(resource, &wanted) < 0)
        return sandbox_refuse(message, "cannot set a limit", errno);
    return 0;
}

static int set_limits(const struct sandbox *sandbox, char *message)
{
    if (limit(RLIMIT_CORE, 0, message) < 0)
        return -1;
    if (sandbox->files && limit(RLIMIT_NOFILE, sandbox->files, message) < 0)
        return -1;
    if (sandbox->processes && limit(RLIMIT_NPROC, sandbox->processes, message) < 0)
        return -1;
    return 0;
}

// MARK: User and capabilities

static int set_capabilities(uint64_t wanted, char *message)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &head, data) < 0)
        return sandbox_refuse(message, "cannot read capabilities", errno);
    uint64_t permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    if (wanted & ~permitted)
        return sandbox_refuse(message, "hostd itself lacks a capability that the plugin is granted", 0);
    for (int half = 0; half < 2; half++) {
        data[half].effective = data[half].permitted = (uint32_t)(wanted >> (32 * half));
        data[half].inheritable = 0;
    }
    if (syscall(SYS_capset, &head, data) < 0)
        return sandbox_refuse(message, "cannot drop capabilities", errno);
    return 0;
}

static int drop_bounding(uint64_t keep, char *message)
{
    for (int capability = 0; capability < 64; capability++)
        if (!(keep & 1ull << capability) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
            if (errno == EINVAL)
                return 0; // Past the last capability that this kernel knows.
            return sandbox_refuse(message, "cannot drop capabilities", errno);
        }
    return 0;
}

/// The user, and the capabilities that outlive the change of it.
static int become(const struct sandbox *sandbox, char *message)
{
    if (geteuid() == 0) {
        if (drop_bounding(sandbox->capabilities, message) < 0)
            return -1;
        if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
            setresgid(sandbox->user, sandbox->user, sandbox->user) < 0 ||
            setresuid(sandbox->user, sandbox->user, sandbox->user) < 0)
            return sandbox_refuse(message, "cannot change the user", errno);
        if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
            return sandbox_refuse(message, "cannot change the user", errno);
    }
    if (set_capabilities(sandbox->capabilities, message) < 0)
        return -1;
    // A change of the user clears the signal, so it is asked for afterwards, and then it is too late for a parent gone.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return sandbox_refuse(message, "cannot follow the parent", errno);
    if (sandbox->parent && getppid() != sandbox->parent)
        return sandbox_refuse(message, "hostd has ended", 0);
    return 0;
}

static int check_library(const struct sandbox *sandbox, char *message)
{
    if (!sandbox->library || faccessat(AT_FDCWD, sandbox->library, R_OK, AT_EACCESS) == 0)
        return 0;
    snprintf(message, SANDBOX_MESSAGE_LIMIT,
             "the user %u of the plugin cannot read %.300s (%s): make its directories searchable (o+x) and the file "
             "readable (o+r) for others",
             (unsigned)geteuid(), sandbox->library, strerror(errno));
    return -1;
}

/// Namespaces of its own: no other machine and no abstract socket in reach without `network`, no shared memory of others.
static int leave_namespaces(const struct sandbox *sandbox, char *message)
{
    const uint64_t administration = 1ull << CAP_SYS_ADMIN;
    if (geteuid() != 0 || (sandbox->capabilities & administration))
        return 0;
    if (unshare(CLONE_NEWNS | CLONE_NEWIPC | (sandbox->has_network ? 0 : CLONE_NEWNET)) < 0)
        return sandbox_refuse(message, "cannot make namespaces (hostd needs CAP_SYS_ADMIN for isolation)", errno);
    return sandbox_hide_data(sandbox, message);
}

static int apply(const struct sandbox *sandbox, const int *keep, size_t keep_count, char *message)
{
    if (close_others(keep, keep_count, message) < 0 || join_groups(sandbox, message) < 0 ||
        leave_namespaces(sandbox, message) < 0 || set_limits(sandbox, message) < 0 || become(sandbox, message) < 0 ||
        check_library(sandbox, message) < 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return sandbox_refuse(message, "cannot give up new privileges", errno);
    return sandbox_filter_calls(sandbox, message);
}

int sandbox_enter(char *settings, const int *keep, size_t keep_count, char *message)
{
    struct sandbox sandbox = {0};
    int is_wanted = 0;
    for (char *line = settings, *next; *line; line = next) {
        next = line + strcspn(line, "\n");
        if (*next)
            *next++ = 0;
        if (!*line)
            continue;
        is_wanted = 1;
        if (sandbox_option(&sandbox, line, message) < 0)
            return -1;
    }
    return is_wanted ? apply(&sandbox, keep, keep_count, message) : 0;
}
