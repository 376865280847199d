// Enters the sandbox that its arguments ask for, then tries one thing after another and prints what came of it: a line
// "NAME: ok" or "NAME: reason". The first argument is the sandbox's settings, the others are files to open and write.
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../Sources/PluginProcess/sandbox.h"

static void tell(const char *name, long result)
{
    printf("%s: %s\n", name, result < 0 ? strerrorname_np(errno) : "ok");
}

static void *nothing(void *argument) { return argument; }

static long make_thread(void)
{
    pthread_t thread;
    int code = pthread_create(&thread, NULL, nothing, NULL);
    errno = code;
    return code ? -1 : pthread_join(thread, NULL);
}

static long make_process(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return child < 0 ? -1 : waitpid(child, NULL, 0);
}

static long run_program(void)
{
    pid_t child = vfork();
    if (child == 0) {
        execl("/bin/true", "true", NULL);
        _exit(errno);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return -1;
    errno = WEXITSTATUS(status);
    return errno ? -1 : 0;
}

static long receive_signal(void)
{
    signal(SIGUSR1, SIG_IGN);
    return kill(getpid(), SIGUSR1);
}

static void tell_identity(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    struct rlimit files;
    syscall(SYS_capget, &head, data);
    getrlimit(RLIMIT_NOFILE, &files);
    printf("identity: uid %u gid %u groups %d effective %x permitted %x files %lu no_new_privs %d\n", (unsigned)geteuid(),
           (unsigned)getegid(), getgroups(0, NULL), data[0].effective, data[0].permitted, (unsigned long)files.rlim_cur,
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

static void tell_calls(void)
{
    tell("mount", mount("none", "/mnt", "tmpfs", 0, NULL));
    tell("unshare", unshare(CLONE_NEWUSER));
    tell("setns", setns(0, 0));
    tell("ptrace", ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    tell("bpf", syscall(SYS_bpf, 0, NULL, 0));
    tell("init_module", syscall(SYS_init_module, NULL, 0, ""));
    tell("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0));
    tell("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0));
    tell("io_uring_setup", syscall(SYS_io_uring_setup, 1, NULL));
    tell("userfaultfd", syscall(SYS_userfaultfd, 0));
    tell("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    tell("reboot", reboot(RB_DISABLE_CAD));
    tell("process_vm_readv", syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
    tell("keep living", prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0));
    tell("signal the parent", kill(getppid(), 0));
    tell("signal itself", receive_signal());
    tell("socket unix", socket(AF_UNIX, SOCK_STREAM, 0));
    tell("socket inet", socket(AF_INET, SOCK_STREAM, 0));
    tell("socket inet, hidden bits", syscall(SYS_socket, (1ull << 32) | AF_INET, SOCK_STREAM, 0));
    tell("socket netlink", socket(AF_NETLINK, SOCK_RAW, 0));
    tell("thread", make_thread());
    tell("process", make_process());
    tell("program", run_program());
    tell("descriptor 9", fcntl(9, F_GETFD));
}

int main(int count, char **arguments)
{
    char message[SANDBOX_MESSAGE_LIMIT];
    dup2(1, 9); // A descriptor that was left open by mistake.
    if (count < 2)
        return 2;
    if (sandbox_enter(arguments[1], NULL, 0, message) < 0)
        return fprintf(stderr, "%s\n", message), 1;
    tell_identity();
    tell_calls();
    for (int index = 2; index < count; index++) {
        char name[4200];
        snprintf(name, sizeof name, "read %s", arguments[index]);
        tell(name, open(arguments[index], O_RDONLY | O_CLOEXEC));
        snprintf(name, sizeof name, "write %s", arguments[index]);
        tell(name, open(arguments[index], O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    }
    return 0;
}
