#include "oci.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec.h"
#include "init.h"

/// Where the runtime sends the terminal's master: OCI runtimes' --console-socket.
static int open_console(const struct configuration *configuration)
{
    const char *name = configuration_string(configuration, TAG_CONSOLE_SOCKET);
    if (!name)
        return -1;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    copy_path(address.sun_path, sizeof address.sun_path, name);
    unlink(name);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1) < 0)
        fail(STEP_TERMINAL, errno, name);
    return listener;
}

/// The runtime has sent the master before it ended.
static int receive_console(int listener)
{
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0)
        fail(STEP_TERMINAL, errno, "accept");
    char name[256];
    int master = -1;
    if (receive_packet(connection, name, sizeof name, &master, 1) < 0 || master < 0)
        fail(STEP_TERMINAL, errno ? errno : EPROTO, "hand-over");
    close(connection);
    close(listener);
    return master;
}

static _Noreturn void execute(const struct configuration *configuration, const struct stream_ends *ends)
{
    char *arguments[64];
    size_t offset = 0, count = 0;
    struct record record;
    while (count < 63 && configuration_next(configuration, TAG_RUNTIME_ARGUMENT, &offset, &record))
        arguments[count++] = (char *)record.data;
    arguments[count] = NULL;
    if (ends)
        streams_install(ends);
    reset_signals();
    umask(0022);
    prctl(PR_SET_PDEATHSIG, SIGKILL); // A runtime that hangs ends with whoever waits for it.
    char *environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    if (count > 0)
        execve(arguments[0], arguments, environment);
    _exit(127);
}

static pid_t read_process(const char *name)
{
    char text[32];
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t size = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (size <= 0)
        fail(STEP_RUNTIME, file < 0 ? errno : EPROTO, name);
    close(file);
    text[size] = 0;
    return (pid_t)strtol(text, NULL, 10);
}

pid_t oci_start(const struct configuration *configuration, const struct stream_ends *ends, int *terminal)
{
    int console = open_console(configuration);
    // On hybrid machines the runtime keeps to v1: what is born in the container's v2 group stays there.
    const char *group = configuration_string(configuration, TAG_CGROUP_UNIFIED);
    int cgroup = group ? open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (group && cgroup < 0)
        fail(STEP_CGROUP, errno, group);
    pid_t runtime = clone_process(0, cgroup, NULL);
    if (runtime < 0)
        fail(STEP_FORK, errno, group);
    if (runtime == 0)
        execute(configuration, ends);
    if (cgroup >= 0)
        close(cgroup);
    int status = 0;
    while (waitpid(runtime, &status, 0) < 0 && errno == EINTR)
        continue;
    if (status != 0)
        fail(STEP_RUNTIME, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
             configuration_string(configuration, TAG_RUNTIME_LOG));
    if (console >= 0)
        *terminal = receive_console(console);
    return read_process(configuration_string(configuration, TAG_PROCESS_FILE));
}

static void remove_temporaries(const struct configuration *configuration)
{
    size_t offset = 0;
    struct record record;
    while (configuration_next(configuration, TAG_TEMPORARY, &offset, &record))
        if (unlink((const char *)record.data) < 0 && errno == EISDIR)
            rmdir((const char *)record.data); // What stays goes with the container's directory.
}

int oci_exec_main(void)
{
    struct configuration configuration = configuration_open();
    close_from(DESCRIPTOR_CONTROL + 1);
    setsid();
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    fcntl(DESCRIPTOR_REPORT, F_SETFD, FD_CLOEXEC);
    fcntl(DESCRIPTOR_CONTROL, F_SETFD, FD_CLOEXEC);
    const char *directory = configuration_string(&configuration, TAG_STATE_DIRECTORY);
    if (!directory || chdir(directory) < 0)
        fail(STEP_MONITOR, directory ? errno : EINVAL, directory);
    int terminal = -1;
    pid_t process = oci_start(&configuration, NULL, &terminal);
    int ended = (int)syscall(SYS_pidfd_open, process, 0);
    if (ended < 0)
        fail(STEP_MONITOR, errno, "pidfd");
    remove_temporaries(&configuration);
    struct report report = {.kind = REPORT_STARTED, .process = process, .at = now_nanoseconds()};
    report_send(&report);
    if (terminal < 0)
        standard_streams_to_null();
    return exec_finish(process, ended, terminal);
}
