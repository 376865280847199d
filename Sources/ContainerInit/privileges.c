#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct capability_sets {
    uint64_t bounding, effective, inheritable, ambient;
};

/// The sets asked for, without what this process does not have itself: a host may lack some even as root.
static struct capability_sets capability_sets(const struct configuration *configuration)
{
    struct capability_sets sets = {0};
    size_t offset = 0;
    struct record record;
    if (configuration_next(configuration, TAG_CAPABILITIES, &offset, &record))
        sets = (struct capability_sets){record_number(&record, 0), record_number(&record, 1), record_number(&record, 2),
                                        record_number(&record, 3)};
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &head, data) < 0)
        fail(STEP_CAPABILITIES, errno, "capget");
    uint64_t permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    sets.effective &= permitted;
    sets.inheritable &= permitted;
    sets.ambient &= sets.inheritable & sets.effective;
    return sets;
}

static void drop_bounding(uint64_t keep)
{
    for (int capability = 0; capability < 64; capability++)
        if (!(keep & 1ull << capability) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
            if (errno == EINVAL)
                return; // Past the last capability that this kernel knows.
            fail(STEP_CAPABILITIES, errno, "bounding set");
        }
}

static void set_capabilities(const struct capability_sets *sets)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    for (int half = 0; half < 2; half++) {
        data[half].effective = data[half].permitted = (uint32_t)(sets->effective >> (32 * half));
        data[half].inheritable = (uint32_t)(sets->inheritable >> (32 * half));
    }
    if (syscall(SYS_capset, &head, data) < 0)
        fail(STEP_CAPABILITIES, errno, "capset");
    for (int capability = 0; capability < 64; capability++)
        if (sets->ambient & 1ull << capability && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
            fail(STEP_CAPABILITIES, errno, "ambient set");
}

static void install_filter(const struct configuration *configuration)
{
    size_t offset = 0;
    struct record record;
    if (!configuration_next(configuration, TAG_SECCOMP, &offset, &record))
        return;
    struct sock_fprog program = {.len = (unsigned short)(record.size / sizeof(struct sock_filter))};
    void *copy = malloc(record.size); // The record need not be aligned.
    if (!copy)
        fail(STEP_SECCOMP, ENOMEM, "");
    memcpy(copy, record.data, record.size);
    program.filter = copy;
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        fail(STEP_SECCOMP, errno, "");
}

/// Makes missing directories as root, and refuses a directory outside the new root (a leaked descriptor's).
static void enter_working_directory(const struct configuration *configuration)
{
    const char *path = configuration_string(configuration, TAG_WORKING_DIRECTORY);
    if (!path || !*path)
        path = "/";
    if (chdir(path) < 0 && errno == ENOENT) {
        char prefix[PATH_MAX];
        copy_path(prefix, sizeof prefix, path);
        for (char *at = prefix + 1; *at; at++)
            if (*at == '/') {
                *at = 0;
                mkdir(prefix, 0755);
                *at = '/';
            }
        mkdir(prefix, 0755); // A failure shows in the chdir that follows.
        if (chdir(path) < 0)
            fail(STEP_WORKING_DIRECTORY, errno, path);
    } else if (chdir(path) < 0) {
        fail(STEP_WORKING_DIRECTORY, errno, path);
    }
    char present[PATH_MAX];
    if (!getcwd(present, sizeof present) || present[0] != '/')
        fail(STEP_WORKING_DIRECTORY, EXDEV, path);
}

static void become(const struct identity *identity, const struct capability_sets *sets)
{
    drop_bounding(sets->bounding);
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
        setgroups((size_t)identity->group_count, identity->groups) < 0 ||
        setresgid(identity->group, identity->group, identity->group) < 0 ||
        setresuid(identity->user, identity->user, identity->user) < 0)
        fail(STEP_USER, errno, "setresuid");
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
        fail(STEP_CAPABILITIES, errno, "keep");
    set_capabilities(sets);
}

static char **list_of(const struct configuration *configuration, uint32_t tag, int spare)
{
    size_t offset = 0, count = 0;
    struct record record;
    while (configuration_next(configuration, tag, &offset, &record))
        count++;
    char **list = calloc(count + (size_t)spare + 1, sizeof *list);
    if (!list)
        fail(STEP_CONFIGURATION, ENOMEM, "");
    offset = count = 0;
    while (configuration_next(configuration, tag, &offset, &record))
        list[count++] = (char *)record.data;
    return list;
}

static const char *lookup(char **environment, const char *name)
{
    size_t size = strlen(name);
    for (; *environment; environment++)
        if (strncmp(*environment, name, size) == 0 && (*environment)[size] == '=')
            return *environment + size + 1;
    return NULL;
}

/// Searches PATH as execvp does; a found but forbidden file is told apart from none.
static _Noreturn void execute(char **arguments, char **environment)
{
    const char *name = arguments[0];
    if (!name || !*name)
        fail(STEP_SEARCH, ENOENT, "");
    if (strchr(name, '/')) {
        execve(name, arguments, environment);
        fail(STEP_EXECUTABLE, errno, name);
    }
    const char *search = lookup(environment, "PATH");
    int code = ENOENT;
    char path[PATH_MAX];
    for (const char *at = search ? search : DEFAULT_PATH;;) {
        size_t size = strcspn(at, ":");
        if (size + strlen(name) + 2 < sizeof path) {
            memcpy(path, at, size);
            path[size] = '/';
            strcpy(path + size + 1, name);
            execve(size ? path : name, arguments, environment);
            if (errno != ENOENT && errno != ENOTDIR)
                code = errno;
            else if (faccessat(AT_FDCWD, path, F_OK, 0) == 0)
                fail(STEP_EXECUTABLE, errno, path); // The file is there, its interpreter is not.
        }
        if (at[size] == 0)
            break;
        at += size + 1;
    }
    fail(code == ENOENT ? STEP_SEARCH : STEP_EXECUTABLE, code, name);
}

/// Tells the first stage who the program runs as; one that does not want to know passes over it.
static void report_identity(const struct identity *identity)
{
    struct identity_report report = {.kind = REPORT_IDENTITY, .user = identity->user, .group = identity->group};
    report.group_count = (uint32_t)identity->group_count;
    memcpy(report.groups, identity->groups, sizeof report.groups);
    if (send(report_descriptor, &report, sizeof report, MSG_NOSIGNAL) < 0)
        fail(STEP_USER, errno, "report");
}

_Noreturn void become_and_execute(const struct configuration *configuration)
{
    struct identity identity;
    identity_resolve(configuration, &identity);
    report_identity(&identity);
    enter_working_directory(configuration);
    char **arguments = list_of(configuration, TAG_ARGUMENT, 0);
    char **environment = list_of(configuration, TAG_ENVIRONMENT, 1);
    char home[sizeof identity.home + 8];
    if (!lookup(environment, "HOME")) {
        *append_text(append_text(home, "HOME="), *identity.home ? identity.home : "/") = 0;
        size_t count = 0;
        while (environment[count])
            count++;
        environment[count] = home;
    }
    for (int stream = 0; stream < 3; stream++) {
        struct stat status; // So that the program may open /dev/stdout and its kin again.
        if (fstat(stream, &status) == 0 && S_ISFIFO(status.st_mode) && status.st_uid != identity.user &&
            fchown(stream, identity.user, (gid_t)-1) < 0)
            fail(STEP_USER, errno, "standard streams");
    }
    struct capability_sets sets = capability_sets(configuration);
    int no_new_privileges = configuration_number(configuration, TAG_NO_NEW_PRIVILEGES, 0) != 0;
    if (!no_new_privileges) {
        install_filter(configuration); // Needs CAP_SYS_ADMIN, which goes next.
        become(&identity, &sets);
    } else {
        become(&identity, &sets);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
            fail(STEP_CAPABILITIES, errno, "no_new_privs");
        install_filter(configuration);
    }
    execute(arguments, environment);
}
