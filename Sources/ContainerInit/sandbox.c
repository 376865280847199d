#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"
#include "users.h"

static const struct {
    uint64_t kind;
    const char *path;
} namespace_files[] = {
    {CLONE_NEWNET, "/proc/self/ns/net"},
    {CLONE_NEWIPC, "/proc/self/ns/ipc"},
    {CLONE_NEWUTS, "/proc/self/ns/uts"},
};

static uint64_t wanted_namespaces(const struct configuration *configuration)
{
    uint64_t kinds = 0;
    size_t offset = 0;
    struct record record;
    while (configuration_next(configuration, TAG_KEEP_NAMESPACE, &offset, &record))
        kinds |= record_number(&record, 0);
    return kinds;
}

static void loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    int handle = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (handle < 0 || ioctl(handle, SIOCGIFFLAGS, &request) < 0)
        fail(STEP_LOOPBACK, errno, "lo");
    request.ifr_flags |= IFF_UP;
    if (ioctl(handle, SIOCSIFFLAGS, &request) < 0)
        fail(STEP_LOOPBACK, errno, "lo");
    close(handle);
}

static void set_parameters(const struct configuration *configuration)
{
    size_t offset = 0;
    struct record record;
    while (configuration_next(configuration, TAG_SYSCTL, &offset, &record)) {
        char path[512];
        const char *name = record_string(&record, 0, 0);
        if (strlen(name) > sizeof path - 16)
            fail(STEP_SYSCTL, ENAMETOOLONG, name);
        *append_text(append_text(path, "/proc/sys/"), name) = 0;
        if (write_file(path, record_string(&record, 0, 1), 0) < 0)
            fail(STEP_SYSCTL, errno, name);
    }
}

static void keep_namespaces(const struct configuration *configuration)
{
    size_t offset = 0;
    struct record record;
    while (configuration_next(configuration, TAG_KEEP_NAMESPACE, &offset, &record)) {
        const char *path = record_string(&record, 1, 0), *source = NULL;
        for (size_t index = 0; index < sizeof namespace_files / sizeof *namespace_files; index++)
            if (namespace_files[index].kind == record_number(&record, 0))
                source = namespace_files[index].path;
        int file = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
        if (!source || file < 0)
            fail(STEP_NAMESPACE, source ? errno : EINVAL, path);
        close(file);
        if (mount(source, path, NULL, MS_BIND, NULL) < 0)
            fail(STEP_NAMESPACE, errno, path);
    }
}

static void mount_shared_memory(const struct configuration *configuration)
{
    size_t offset = 0;
    struct record record;
    if (!configuration_next(configuration, TAG_SHARED_MEMORY, &offset, &record))
        return;
    const char *path = record_string(&record, 1, 0);
    char options[64];
    *append_number(append_text(options, "mode=1777,size="), record_number(&record, 0)) = 0;
    if ((mkdir(path, 0755) < 0 && errno != EEXIST) ||
        mount("shm", path, "tmpfs", MS_NOEXEC | MS_NOSUID | MS_NODEV, options) < 0)
        fail(STEP_SHARED_MEMORY, errno, path);
}

/// First process of a shared process namespace: inherits orphans and reaps them until it is killed.
static _Noreturn void hold(int has_users)
{
    if (has_users)
        users_become_root();
    standard_streams_to_null();
    close_from(3);
    setsid();
    prctl(PR_SET_NAME, "hostd-holder");
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    for (;;) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        siginfo_t information;
        sigwaitinfo(&wanted, &information);
    }
}

/// - users: file of the user namespace that the processes' one is to belong to; -1 for the host's.
static void start_holder(const struct configuration *configuration, struct report *report, int users)
{
    const char *group = configuration_string(configuration, TAG_CGROUP_UNIFIED);
    int cgroup = group ? open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (group && cgroup < 0)
        fail(STEP_CGROUP, errno, group);
    if (users >= 0 && setns(users, CLONE_NEWUSER) < 0)
        fail(STEP_USERS, errno, "holder");
    report->process = clone_process(CLONE_NEWPID, cgroup, NULL);
    if (report->process < 0)
        fail(STEP_FORK, errno, "holder");
    if (report->process == 0)
        hold(users >= 0);
    report->start_time = process_start_time(report->process);
}

/// Binds the user namespace that `process` keeps to its file.
/// - Returns: the file.
static int keep_users(const struct configuration *configuration, pid_t process)
{
    size_t offset = 0;
    struct record record;
    configuration_next(configuration, TAG_USER_NAMESPACE, &offset, &record);
    const char *path = record_string(&record, 2, 0);
    char source[64];
    *append_text(append_number(append_text(source, "/proc/"), (uint64_t)process), "/ns/user") = 0;
    int file = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        fail(STEP_USERS, errno, path);
    close(file);
    if (mount(source, path, NULL, MS_BIND, NULL) < 0 || (file = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        fail(STEP_USERS, errno, path);
    kill(process, SIGKILL);
    waitpid(process, NULL, 0);
    return file;
}

int sandbox_main(void)
{
    struct configuration configuration = configuration_open();
    standard_streams_to_null();
    close_from(DESCRIPTOR_CONTROL);
    uint64_t kinds = wanted_namespaces(&configuration);
    uint32_t first;
    int users = -1;
    if (users_wanted(&configuration, &first))
        users = keep_users(&configuration, users_make(&configuration, kinds));
    else if (unshare((int)kinds) < 0)
        fail(STEP_NAMESPACE, errno, "unshare");
    if (kinds & CLONE_NEWNET)
        loopback_up();
    const char *name = configuration_string(&configuration, TAG_HOST_NAME);
    if (name && kinds & CLONE_NEWUTS && sethostname(name, strlen(name)) < 0)
        fail(STEP_HOST_NAME, errno, name);
    set_parameters(&configuration);
    mount_shared_memory(&configuration);
    keep_namespaces(&configuration);
    struct report report = {.kind = REPORT_STARTED};
    if (configuration_number(&configuration, TAG_HOLDER, 0))
        start_holder(&configuration, &report, users);
    report.at = now_nanoseconds();
    report_send(&report);
    return 0;
}
