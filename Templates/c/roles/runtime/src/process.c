// Processes: started, read, waited for. Nothing here knows of containers.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime.h"

char **texts_of(const json *list, const json *more) {
    size_t first = json_count(list), count = first + json_count(more);
    char **texts = allocate((count + 1) * sizeof *texts);
    for (size_t i = 0; i < count; i++) {
        const char *one = json_string(i < first ? json_at(list, i) : json_at(more, i - first), "");
        texts[i] = copy_text(one, strlen(one));
    }
    texts[count] = NULL;
    return texts;
}

char **environment_of(const json *list) {
    static const char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char **texts = allocate((json_count(list) + 2) * sizeof *texts);
    texts[0] = copy_text(path, sizeof path - 1);
    for (size_t i = 0; i < json_count(list); i++) {
        text pair = {0};
        text_add(&pair, "%s=%s", json_string(json_get(json_at(list, i), "name"), ""), json_string(json_get(json_at(list, i), "value"), ""));
        text_add_bytes(&pair, "", 1);
        texts[i + 1] = pair.bytes;
    }
    texts[json_count(list) + 1] = NULL;
    return texts;
}

void free_texts(char **texts) {
    for (char **one = texts; *one != NULL; one++) free(*one);
    free(texts);
}

static int spawn(const launch *what, pid_t *process) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    sigfillset(&all), sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    // hostd blocks and ignores signals that a program of its own wants.
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    for (int i = 0; i < 3; i++) {
        if (what->streams[i] >= 0) posix_spawn_file_actions_adddup2(&actions, what->streams[i], i);
        else posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
    }
    if (what->directory != NULL) posix_spawn_file_actions_addchdir_np(&actions, what->directory);
    int code = posix_spawnp(process, what->arguments[0], &actions, &attributes, what->arguments, what->environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return code;
}

int32_t launch_process(const launch *what, pid_t *process, hostd_error *error) {
    if (what->arguments[0] == NULL || what->arguments[0][0] == 0)
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "there is no command: images here have none of their own");
    int code = spawn(what, process);
    if (code == 0) return HOSTD_OK;
    int32_t status = code == ENOENT ? HOSTD_ERROR_NOT_FOUND : HOSTD_ERROR_INVALID_ARGUMENT;
    return fail(error, status, "%.200s cannot be executed: %s", what->arguments[0], strerror(code));
}

void kill_group(pid_t process, int signal) {
    if (kill(-process, signal) != 0) kill(process, signal);
}

void await_end(pid_t process) {
    siginfo_t about;
    while (waitid(P_PID, (id_t)process, &about, WEXITED | WNOWAIT) < 0 && errno == EINTR) continue;
}

int wait_for(pid_t process) {
    int status;
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int milliseconds_until(uint64_t deadline) {
    uint64_t now = monotonic_nanoseconds();
    if (deadline == 0) return -1;
    return now >= deadline ? 0 : (int)((deadline - now) / 1000000 + 1);
}

bool read_streams(const int streams[2], text output[2], size_t limit, uint64_t deadline) {
    struct pollfd waited[2] = {{streams[0], POLLIN, 0}, {streams[1], POLLIN, 0}};
    char block[16384];
    while (waited[0].fd >= 0 || waited[1].fd >= 0) {
        int ready = poll(waited, 2, milliseconds_until(deadline));
        if (ready == 0) return false;
        for (int i = 0; i < 2; i++) {
            if (waited[i].fd < 0 || waited[i].revents == 0) continue;
            ssize_t count = read(waited[i].fd, block, sizeof block);
            if (count > 0 && output[i].size < limit) text_add_bytes(&output[i], block, (size_t)count);
            if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN)) waited[i].fd = -1;
        }
    }
    return true;
}

void write_base64(text *out, const text *bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes->size; i += 3) {
        size_t count = bytes->size - i < 3 ? bytes->size - i : 3;
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++) group = group << 8 | (k < count ? (uint8_t)bytes->bytes[i + k] : 0);
        char quad[4] = {digits[group >> 18], digits[group >> 12 & 63], count > 1 ? digits[group >> 6 & 63] : '=',
                        count > 2 ? digits[group & 63] : '='};
        text_add_bytes(out, quad, 4);
    }
}

uint64_t wall_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void write_time(text *out, uint64_t nanoseconds) {
    if (nanoseconds == 0) return;
    time_t seconds = (time_t)(nanoseconds / 1000000000);
    struct tm parts;
    char date[64], all[96];
    gmtime_r(&seconds, &parts);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(all, sizeof all, "%s.%09lluZ", date, (unsigned long long)(nanoseconds % 1000000000));
    text_add(out, "%s", all);
}
