#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin_check.h"

extern char **environ;

typedef struct text {
    char *start;
    uint64_t size, used;
} text;

__attribute__((format(printf, 2, 3))) static void add(text *text, const char *format, ...) {
    if (text->used >= text->size) return;
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(text->start + text->used, text->size - text->used, format, arguments);
    va_end(arguments);
    if (count > 0) text->used += (uint64_t)count;
}

uint32_t check_threads(char *start, uint64_t size) {
    text text = {start, size, 0};
    start[0] = 0;
    uint32_t count = 0;
    DIR *directory = opendir("/proc/self/task");
    if (directory == NULL) return 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        char path[300], name[64] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "re");
        if (file == NULL) continue; // Ended meanwhile.
        if (fgets(name, sizeof name, file) != NULL) {
            name[strcspn(name, "\n")] = 0;
            add(&text, "%s\n", name);
            count++;
        }
        fclose(file);
    }
    closedir(directory);
    return count;
}

uint32_t check_descriptors(char *start, uint64_t size) {
    text text = {start, size, 0};
    start[0] = 0;
    uint32_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL) return 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(directory)) continue;
        char target[300];
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);
        if (length < 0) continue;
        target[length] = 0;
        int flags = fcntl(atoi(entry->d_name), F_GETFD);
        add(&text, "%s %d %s\n", entry->d_name, flags & FD_CLOEXEC ? 1 : 0, target);
        count++;
    }
    closedir(directory);
    return count;
}

static void add_signals(text *text) {
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    for (int number = 1; number < 65; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) != 0) continue;
        add(text, "handler of signal %d=%p\n", number, (void *)action.sa_sigaction);
        add(text, "mask of signal %d=%d\n", number, sigismember(&mask, number));
    }
}

void check_process(char *start, uint64_t size) {
    text text = {start, size, 0};
    start[0] = 0;
    add_signals(&text);
    mode_t mask = umask(0);
    umask(mask);
    char path[4096];
    add(&text, "umask=%o\n", (unsigned)mask);
    add(&text, "working directory=%s\n", getcwd(path, sizeof path) == NULL ? "none" : path);
    for (int stream = 0; stream < 3; stream++) {
        char name[32];
        snprintf(name, sizeof name, "/proc/self/fd/%d", stream);
        ssize_t length = readlink(name, path, sizeof path - 1);
        path[length < 0 ? 0 : length] = 0;
        add(&text, "stream %d=%s\n", stream, path);
    }
    for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
        add(&text, "environment variable %.*s=%016llx\n", (int)strcspn(*variable, "="), *variable,
            (unsigned long long)check_hash(*variable, strlen(*variable)));
    }
}
