#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"
#include "streams.h"
#include "users.h"

static int target_descriptor = -1;

/// One direction of the terminal's traffic, with the bytes that the far side has not taken yet.
struct flow {
    int from, to;
    size_t size, at;
    char bytes[4096];
};

static void open_target(const struct configuration *configuration)
{
    size_t offset = 0;
    struct record record;
    if (!configuration_next(configuration, TAG_TARGET_PROCESS, &offset, &record))
        fail(STEP_CONFIGURATION, EINVAL, "");
    pid_t process = (pid_t)record_number(&record, 0);
    target_descriptor = (int)syscall(SYS_pidfd_open, process, 0);
    if (target_descriptor < 0)
        fail(STEP_TARGET, errno, "");
    if (process_start_time(process) != record_number(&record, 1))
        fail(STEP_TARGET, ESRCH, ""); // The number belongs to another process by now.
}

static _Noreturn void run_child(const struct configuration *configuration)
{
    reset_signals();
    umask(0022);
    // Until execve nobody in the container may look into this process or at its program file.
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    join_cgroups(configuration);
    uint32_t first;
    int has_users = users_wanted(configuration, &first);
    if (has_users)
        users_own_streams(first);
    int kinds = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    if (setns(target_descriptor, has_users ? kinds | CLONE_NEWUSER : kinds) < 0)
        fail(errno == ESRCH ? STEP_TARGET : STEP_NAMESPACE, errno, "");
    if (has_users)
        users_become_root();
    if (configuration_number(configuration, TAG_TERMINAL, 0))
        terminal_open(configuration);
    else if (setsid() < 0)
        fail(STEP_NAMESPACE, errno, "setsid");
    become_and_execute(configuration);
}

static void make_non_blocking(int descriptor)
{
    int flags = fcntl(descriptor, F_GETFL);
    if (flags >= 0)
        fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

/// Moves what it can; 0 while both sides live.
static int flow_move(struct flow *flow)
{
    if (flow->size == flow->at) {
        ssize_t size = read(flow->from, flow->bytes, sizeof flow->bytes);
        if (size <= 0)
            return size < 0 && errno == EAGAIN ? 0 : -1;
        flow->size = (size_t)size;
        flow->at = 0;
    }
    ssize_t written = write(flow->to, flow->bytes + flow->at, flow->size - flow->at);
    if (written > 0)
        flow->at += (size_t)written;
    return written < 0 && errno != EAGAIN ? -1 : 0;
}

static void serve_control(int *control, pid_t process, int terminal)
{
    uint8_t packet[16];
    ssize_t size = recv(*control, packet, sizeof packet, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0 || packet[0] == COMMAND_KILL) { // hostd is gone, so is whoever waited for this process.
        kill(-process, SIGKILL);
        kill(process, SIGKILL);
        if (size <= 0) {
            close(*control);
            *control = -1;
        }
    } else if (packet[0] == COMMAND_RESIZE && size == 5 && terminal >= 0) {
        uint16_t numbers[2];
        memcpy(numbers, packet + 1, sizeof numbers);
        struct winsize window = {.ws_col = numbers[0], .ws_row = numbers[1]};
        ioctl(terminal, TIOCSWINSZ, &window);
    }
}

static short wanted_input(const struct flow *flow)
{
    return flow->size == flow->at ? POLLIN : 0;
}

static short wanted_output(const struct flow *back)
{
    return back->size != back->at ? POLLOUT : 0;
}

/// Waits for the end of the process while it carries the terminal's bytes and obeys the control socket.
static void supervise(pid_t process, int ended, int terminal)
{
    static struct flow in, out;
    int control = DESCRIPTOR_CONTROL;
    in = (struct flow){.from = 0, .to = terminal};
    out = (struct flow){.from = terminal, .to = 0};
    int in_open = terminal >= 0, out_open = terminal >= 0;
    if (terminal >= 0) {
        make_non_blocking(terminal);
        make_non_blocking(0);
    }
    for (;;) {
        short stream = (short)((in_open ? wanted_input(&in) : 0) | (out_open ? wanted_output(&out) : 0));
        short pty = (short)((out_open ? wanted_input(&out) : 0) | (in_open ? wanted_output(&in) : 0));
        struct pollfd polled[4] = {{.fd = ended, .events = POLLIN}, {.fd = control, .events = POLLIN},
                                   {.fd = stream ? 0 : -1, .events = stream}, {.fd = pty ? terminal : -1, .events = pty}};
        if (poll(polled, 4, -1) < 0)
            continue;
        if (polled[1].revents)
            serve_control(&control, process, terminal);
        if (out_open && (polled[2].revents | polled[3].revents) && flow_move(&out) < 0)
            out_open = 0;
        if (in_open && (polled[2].revents | polled[3].revents) && flow_move(&in) < 0)
            in_open = 0;
        if (polled[0].revents)
            break;
    }
    for (int round = 0; out_open && round < 64; round++) { // What the terminal still holds.
        struct pollfd writable = {.fd = 0, .events = POLLOUT};
        if (poll(&writable, 1, 1000) <= 0 || flow_move(&out) < 0)
            break;
        struct pollfd readable = {.fd = terminal, .events = POLLIN};
        if (out.size == out.at && poll(&readable, 1, 0) <= 0)
            break;
    }
}

int exec_main(void)
{
    struct configuration configuration = configuration_open();
    close_from(DESCRIPTOR_CONTROL + 1);
    setsid();
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    open_target(&configuration);
    const char *group = configuration_string(&configuration, TAG_CGROUP_UNIFIED);
    int cgroup = group ? open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (group && cgroup < 0)
        fail(errno == ENOENT ? STEP_TARGET : STEP_CGROUP, errno, group);
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        fail(STEP_MONITOR, errno, "socketpair");
    if (setns(target_descriptor, CLONE_NEWPID) < 0)
        fail(errno == ESRCH ? STEP_TARGET : STEP_NAMESPACE, errno, "pid");
    fcntl(DESCRIPTOR_REPORT, F_SETFD, FD_CLOEXEC);
    fcntl(DESCRIPTOR_CONTROL, F_SETFD, FD_CLOEXEC);
    int ended = -1;
    pid_t process = clone_process(0, cgroup, &ended);
    if (process < 0)
        fail(STEP_FORK, errno, group);
    if (process == 0) {
        report_descriptor = sockets[1];
        run_child(&configuration);
    }
    close(sockets[1]);
    int terminal = -1;
    struct report report;
    while (receive_packet(sockets[0], &report, sizeof report, &terminal, 1) > 0)
        if (report.kind == REPORT_FAILED) {
            report_send(&report);
            _exit(125);
        }
    close(sockets[0]);
    report = (struct report){.kind = REPORT_STARTED, .process = process, .at = now_nanoseconds()};
    report_send(&report);
    if (!configuration_number(&configuration, TAG_TERMINAL, 0))
        standard_streams_to_null();
    return exec_finish(process, ended, terminal);
}

int exec_finish(pid_t process, int ended, int terminal)
{
    supervise(process, ended, terminal);
    int status = 0;
    waitpid(process, &status, 0);
    struct report report = {.kind = REPORT_EXITED, .process = process, .at = now_nanoseconds()};
    report.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    report.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    report_send(&report);
    return 0;
}
