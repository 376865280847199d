#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int report_descriptor = DESCRIPTOR_REPORT;

struct configuration configuration_open(void)
{
    struct stat status;
    if (fstat(DESCRIPTOR_CONFIGURATION, &status) < 0 || status.st_size <= 0)
        fail(STEP_CONFIGURATION, errno ? errno : EINVAL, "");
    struct configuration configuration = {.size = (size_t)status.st_size};
    configuration.bytes = mmap(NULL, configuration.size, PROT_READ, MAP_PRIVATE, DESCRIPTOR_CONFIGURATION, 0);
    if (configuration.bytes == MAP_FAILED)
        fail(STEP_CONFIGURATION, errno, "");
    close(DESCRIPTOR_CONFIGURATION);
    size_t offset = 0;
    while (offset < configuration.size) {
        uint32_t head[2];
        if (configuration.size - offset < sizeof head)
            fail(STEP_CONFIGURATION, EBADMSG, "");
        memcpy(head, configuration.bytes + offset, sizeof head);
        offset += sizeof head;
        if (head[1] >= configuration.size - offset || configuration.bytes[offset + head[1]] != 0)
            fail(STEP_CONFIGURATION, EBADMSG, "");
        offset += head[1] + 1u;
    }
    return configuration;
}

void configuration_close(struct configuration *configuration)
{
    munmap((void *)configuration->bytes, configuration->size);
    configuration->size = 0;
}

int configuration_next(const struct configuration *configuration, uint32_t tag, size_t *offset, struct record *record)
{
    while (*offset < configuration->size) {
        uint32_t head[2];
        memcpy(head, configuration->bytes + *offset, sizeof head);
        record->tag = head[0];
        record->size = head[1];
        record->data = configuration->bytes + *offset + sizeof head;
        *offset += sizeof head + head[1] + 1u;
        if (record->tag == tag)
            return 1;
    }
    return 0;
}

const char *configuration_string(const struct configuration *configuration, uint32_t tag)
{
    size_t offset = 0;
    struct record record;
    return configuration_next(configuration, tag, &offset, &record) ? (const char *)record.data : NULL;
}

uint64_t configuration_number(const struct configuration *configuration, uint32_t tag, uint64_t absent)
{
    size_t offset = 0;
    struct record record;
    return configuration_next(configuration, tag, &offset, &record) ? record_number(&record, 0) : absent;
}

uint64_t record_number(const struct record *record, unsigned index)
{
    uint64_t value = 0;
    if ((index + 1) * sizeof value > record->size)
        fail(STEP_CONFIGURATION, EBADMSG, "");
    memcpy(&value, record->data + index * sizeof value, sizeof value);
    return value;
}

const char *record_string(const struct record *record, unsigned numbers, unsigned index)
{
    const char *at = (const char *)record->data + numbers * sizeof(uint64_t);
    const char *end = (const char *)record->data + record->size;
    while (index-- > 0 && at < end)
        at += strlen(at) + 1;
    return at < end ? at : "";
}

void report_send(const struct report *report)
{
    if (report_descriptor >= 0 && write(report_descriptor, report, sizeof *report) < 0)
        return; // The reader is gone: hostd was killed, and finds the outcome in the state directory instead.
}

_Noreturn void fail(uint32_t step, int code, const char *path)
{
    struct report report = {.kind = REPORT_FAILED, .step = step, .code = code};
    copy_path(report.path, sizeof report.path, path);
    report_send(&report);
    _exit(125);
}

int64_t now_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

uint64_t process_start_time(pid_t process)
{
    char path[40], text[1024];
    char *end = append_text(append_number(append_text(path, "/proc/"), (uint64_t)process), "/stat");
    *end = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    if (size <= 0)
        return 0;
    text[size] = 0;
    char *at = strrchr(text, ')'); // The name may hold spaces and parentheses; field 3 follows the last one.
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

int write_all(int descriptor, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t written = write(descriptor, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

int write_file(const char *path, const char *text, int flags)
{
    int file = open(path, O_WRONLY | O_CLOEXEC | flags, 0600);
    if (file < 0)
        return -1;
    int result = write_all(file, text, strlen(text));
    int code = errno;
    if (close(file) < 0 && result == 0)
        return -1;
    errno = code;
    return result;
}

char *append_number(char *at, uint64_t value)
{
    char digits[20];
    int count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (count)
        *at++ = digits[--count];
    return at;
}

char *append_text(char *at, const char *text)
{
    size_t size = strlen(text);
    memcpy(at, text, size);
    return at + size;
}

void copy_path(char *destination, size_t capacity, const char *source)
{
    size_t size = source ? strlen(source) : 0;
    if (size > capacity - 1)
        size = capacity - 1;
    if (size)
        memcpy(destination, source, size);
    destination[size] = 0;
}

int open_in_root(int root, const char *path, uint64_t flags)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

pid_t clone_process(uint64_t flags, int cgroup, int *process_descriptor)
{
    struct clone_args arguments = {.flags = flags, .exit_signal = SIGCHLD};
    if (process_descriptor) {
        arguments.flags |= CLONE_PIDFD;
        arguments.pidfd = (uint64_t)(uintptr_t)process_descriptor;
    }
    if (cgroup >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)cgroup;
    }
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

int send_descriptor(int socket, const struct report *report, int descriptor)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = (void *)report, .iov_len = sizeof *report};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
    return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

void close_from(unsigned first)
{
    syscall(SYS_close_range, first, ~0u, 0);
}

void standard_streams_to_null(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        fail(STEP_MONITOR, errno, "/dev/null");
    for (int descriptor = 0; descriptor < 3; descriptor++)
        if (dup2(null, descriptor) < 0)
            fail(STEP_MONITOR, errno, "/dev/null");
    if (null > 2)
        close(null);
}

void reset_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}
