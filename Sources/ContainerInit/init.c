#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "users.h"

void join_cgroups(const struct configuration *configuration)
{
    size_t offset = 0;
    struct record record;
    while (configuration_next(configuration, TAG_CGROUP_JOIN, &offset, &record))
        if (write_file((const char *)record.data, "0", 0) < 0)
            fail(STEP_CGROUP, errno, (const char *)record.data);
}

/// All namespaces but those of processes, which the parent entered, and mounts, which clone made.
static void join_namespaces(const struct configuration *configuration)
{
    size_t offset = 0;
    struct record record;
    while (configuration_next(configuration, TAG_JOIN_NAMESPACE, &offset, &record)) {
        int kind = (int)record_number(&record, 0);
        if (kind == CLONE_NEWPID)
            continue;
        const char *path = record_string(&record, 1, 0);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0 || setns(file, kind) < 0)
            fail(STEP_NAMESPACE, errno, path);
        close(file);
    }
}

/// Both need CAP_SYS_RESOURCE for some values; a container without the exact value is better than none, and Runtime
/// says once at its start that the capability is missing.
void set_limits(const struct configuration *configuration)
{
    size_t offset = 0;
    struct record record;
    while (configuration_next(configuration, TAG_RESOURCE_LIMIT, &offset, &record)) {
        struct rlimit limit = {.rlim_cur = record_number(&record, 1), .rlim_max = record_number(&record, 2)};
        if (setrlimit((int)record_number(&record, 0), &limit) == 0)
            continue;
        struct rlimit present;
        if (getrlimit((int)record_number(&record, 0), &present) == 0) {
            present.rlim_cur = limit.rlim_cur < present.rlim_max ? limit.rlim_cur : present.rlim_max;
            setrlimit((int)record_number(&record, 0), &present);
        }
    }
    // Set in any case: the monitor's own score, which would be inherited, protects it.
    int64_t score = (int64_t)configuration_number(configuration, TAG_OOM_SCORE, 0);
    char text[16], *at = text;
    if (score < 0)
        *at++ = '-';
    *append_number(at, (uint64_t)(score < 0 ? -score : score)) = 0;
    write_file("/proc/self/oom_score_adj", text, 0);
}

_Noreturn void container_start(const struct configuration *configuration)
{
    uint32_t first;
    if (users_wanted(configuration, &first))
        users_start(configuration, first);
    reset_signals();
    umask(0022);
    join_cgroups(configuration);
    if (configuration_number(configuration, TAG_TERMINAL, 0) == 0 && setsid() < 0)
        fail(STEP_NAMESPACE, errno, "setsid");
    set_limits(configuration);
    join_namespaces(configuration);
    if (unshare(CLONE_NEWCGROUP) < 0)
        fail(STEP_NAMESPACE, errno, "cgroup");
    build_root(configuration);
    if (configuration_number(configuration, TAG_TERMINAL, 0))
        terminal_open(configuration);
    become_and_execute(configuration);
}
