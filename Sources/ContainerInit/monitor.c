#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"
#include "log.h"
#include "oci.h"
#include "streams.h"
#include "users.h"

static struct {
    char *log_path, *oom_path;
    pid_t process;
    int exited;
    int exit_code, exit_signal;
    int signals, listener;
    uint64_t oom_before;
    struct identity_report identity; ///< `kind` is 0 while it is not known.
} monitor;

static uint64_t oom_kills(void)
{
    char text[512];
    int file = monitor.oom_path ? open(monitor.oom_path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return 0;
    ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    if (size <= 0)
        return 0;
    text[size] = 0;
    const char *at = strstr(text, "oom_kill ");
    return at ? strtoull(at + strlen("oom_kill "), NULL, 10) : 0;
}

/// Writes `text` to `name` in the state directory so that a reader sees all of it or nothing.
static int write_record(const char *name, const char *text)
{
    char temporary[32];
    *append_text(append_text(temporary, name), ".new") = 0;
    if (write_file(temporary, text, O_CREAT | O_TRUNC) < 0)
        return errno;
    return rename(temporary, name) < 0 ? errno : 0;
}

static void write_exit(void)
{
    char text[160];
    char *at = append_number(append_text(text, "code "), (uint64_t)monitor.exit_code);
    at = append_number(append_text(at, "\nsignal "), (uint64_t)monitor.exit_signal);
    at = append_number(append_text(at, "\noom "), oom_kills() > monitor.oom_before ? 1 : 0);
    at = append_number(append_text(at, "\nfinished "), (uint64_t)now_nanoseconds());
    *append_text(at, "\n") = 0;
    write_record("exit", text); // On failure the missing record itself tells: Runtime reports an unknown exit.
}

static char *append_identity(char *at)
{
    const struct identity_report *identity = &monitor.identity;
    at = append_number(append_text(at, "user "), identity->user);
    at = append_number(append_text(at, "\ngroup "), identity->group);
    at = append_number(append_text(at, "\ngroups "), identity->group_count);
    for (uint32_t index = 0; index < identity->group_count && index < GROUP_LIMIT; index++) {
        at = append_number(append_text(at, "\ngroup"), index);
        at = append_number(append_text(at, " "), identity->groups[index]);
    }
    return append_text(at, "\n");
}

static void write_started(const struct report *report)
{
    char text[256 + 24 * GROUP_LIMIT];
    char *at = append_number(append_text(text, "process "), (uint64_t)report->process);
    at = append_number(append_text(at, "\nstart "), report->start_time);
    at = append_number(append_text(at, "\nmonitor "), (uint64_t)getpid());
    at = append_number(append_text(at, "\nmonitor-start "), process_start_time(getpid()));
    at = append_text(append_number(append_text(at, "\nat "), (uint64_t)report->at), "\n");
    if (monitor.identity.kind)
        at = append_identity(at);
    *at = 0;
    int code = write_record("started", text);
    if (code) {
        kill(report->process, SIGKILL);
        fail(STEP_MONITOR, code, "started");
    }
}

static void open_control(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "control"};
    unlink("control");
    monitor.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (monitor.listener < 0 || bind(monitor.listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(monitor.listener, 16) < 0)
        fail(STEP_MONITOR, errno, "control");
}

static void detach(const struct configuration *configuration)
{
    const char *directory = configuration_string(configuration, TAG_STATE_DIRECTORY);
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    write_file("/proc/self/oom_score_adj", "-999", 0); // Best effort: without CAP_SYS_RESOURCE it stays as it is.
    if (!directory || chdir(directory) < 0)
        fail(STEP_MONITOR, directory ? errno : EINVAL, directory);
    const char *log = configuration_string(configuration, TAG_LOG_PATH);
    const char *oom = configuration_string(configuration, TAG_CGROUP_OOM);
    monitor.log_path = log ? strdup(log) : NULL;
    monitor.oom_path = oom ? strdup(oom) : NULL;
    int code = log_open(monitor.log_path);
    if (code)
        fail(STEP_LOG, code, log);
    open_control();
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    monitor.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (monitor.signals < 0)
        fail(STEP_MONITOR, errno, "signalfd");
}

static int open_cgroup(const struct configuration *configuration)
{
    const char *path = configuration_string(configuration, TAG_CGROUP_UNIFIED);
    if (!path)
        return -1;
    int cgroup = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cgroup < 0)
        fail(STEP_CGROUP, errno, path);
    return cgroup;
}

/// A pid namespace given by path must be entered before the fork: it counts for children only.
static void join_process_namespace(const struct configuration *configuration)
{
    size_t offset = 0;
    struct record record;
    while (configuration_next(configuration, TAG_JOIN_NAMESPACE, &offset, &record)) {
        if (record_number(&record, 0) != CLONE_NEWPID)
            continue;
        const char *path = record_string(&record, 1, 0);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0 || setns(file, CLONE_NEWPID) < 0)
            fail(STEP_NAMESPACE, errno, path);
        close(file);
    }
}

/// Waits until the first process has executed its program; a failure on the way is passed on and ends the monitor.
static void await_execution(int socket)
{
    for (;;) {
        union {
            struct report report;
            struct identity_report identity;
        } packet;
        int descriptor = -1;
        ssize_t size = receive_packet(socket, &packet, sizeof packet, &descriptor, 1);
        if (size <= 0)
            break;
        if (packet.report.kind == REPORT_TERMINAL) {
            streams_set_terminal(descriptor);
            continue;
        }
        if (packet.report.kind == REPORT_IDENTITY) {
            monitor.identity = packet.identity;
            continue;
        }
        if (packet.report.kind == REPORT_STARTED) { // Another process is the first one, see users_start.
            waitpid(monitor.process, NULL, 0);
            monitor.process = packet.report.process;
            continue;
        }
        waitpid(monitor.process, NULL, 0);
        unlink("control");
        report_send(&packet.report);
        _exit(125);
    }
    close(socket);
}

static struct stream_ends prepare(const struct configuration *configuration)
{
    int terminal = configuration_number(configuration, TAG_TERMINAL, 0) != 0;
    monitor.oom_before = oom_kills();
    return streams_prepare(terminal, (int)configuration_number(configuration, TAG_STANDARD_INPUT, 0));
}

/// The first process runs.
static void announce(struct configuration *configuration, struct report *report)
{
    report->at = now_nanoseconds();
    write_started(report);
    report_send(report);
    close(report_descriptor);
    report_descriptor = -1;
    configuration_close(configuration);
}

static void start_process(struct configuration *configuration)
{
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        fail(STEP_MONITOR, errno, "socketpair");
    struct stream_ends ends = prepare(configuration);
    int cgroup = open_cgroup(configuration);
    uint64_t kinds = configuration_number(configuration, TAG_NEW_NAMESPACES, 0);
    uint32_t first;
    if (users_wanted(configuration, &first))
        kinds &= ~(uint64_t)CLONE_NEWPID; // The process that enters the pod's users makes and joins it.
    else
        join_process_namespace(configuration);
    monitor.process = clone_process(kinds, cgroup, NULL);
    if (monitor.process < 0)
        fail(STEP_FORK, errno, configuration_string(configuration, TAG_CGROUP_UNIFIED));
    if (monitor.process == 0) {
        report_descriptor = sockets[1];
        streams_install(&ends);
        container_start(configuration);
    }
    close(sockets[1]);
    if (cgroup >= 0)
        close(cgroup);
    streams_close(&ends);
    await_execution(sockets[0]);
    struct report report = {.kind = REPORT_STARTED, .process = monitor.process};
    report.start_time = process_start_time(monitor.process);
    announce(configuration, &report);
}

static void start_through_runtime(struct configuration *configuration)
{
    struct stream_ends ends = prepare(configuration);
    int terminal = -1;
    struct report report = {.kind = REPORT_STARTED};
    report.process = monitor.process = oci_start(configuration, &ends, &terminal);
    report.start_time = process_start_time(monitor.process);
    streams_close(&ends);
    if (terminal >= 0)
        streams_set_terminal(terminal);
    announce(configuration, &report);
}

static void reap(void)
{
    struct signalfd_siginfo information;
    while (read(monitor.signals, &information, sizeof information) > 0)
        continue;
    int status;
    pid_t process;
    while ((process = waitpid(-1, &status, WNOHANG)) > 0) {
        if (process != monitor.process)
            continue;
        monitor.exited = 1;
        monitor.exit_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        monitor.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
}

int monitor_reopen_log(void)
{
    return log_open(monitor.log_path);
}

static int run(void (*start)(struct configuration *))
{
    struct configuration configuration = configuration_open();
    standard_streams_to_null();
    close_from(DESCRIPTOR_CONTROL);
    fcntl(DESCRIPTOR_REPORT, F_SETFD, FD_CLOEXEC);
    detach(&configuration);
    start(&configuration);
    streams_watch(monitor.signals, monitor.listener);
    while (!monitor.exited)
        if (streams_turn(-1))
            reap();
    // What the process had written before its end still belongs to the log. Attached readers get a second to take theirs.
    streams_finish(1000);
    write_exit();
    unlink("control");
    return 0;
}

int monitor_main(void)
{
    return run(start_process);
}

int oci_monitor_main(void)
{
    return run(start_through_runtime);
}
