// Containers: one process each, and a thread that writes its output to the log and sees it end.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime.h"

#define LONGEST_LINE 16384

void sandbox_free(void *value) {
    sandbox *it = value;
    if (it != NULL) json_free(it->config);
    free(it);
}

void container_free(void *value) {
    container *it = value;
    if (it == NULL) return;
    if (it->log >= 0) close(it->log);
    json_free(it->config), free(it->log_path), free(it);
}

int32_t container_reopen_log(container *it, hostd_error *error) {
    if (it->log_path == NULL) return HOSTD_OK;
    int file = open(it->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (file < 0) return fail(error, HOSTD_ERROR_INTERNAL, "cannot open the log %s: %s", it->log_path, strerror(errno));
    if (it->log >= 0) close(it->log);
    it->log = file;
    return HOSTD_OK;
}

// One line in CRI's format: time, stream, F for a full line or P for a part of one, the line.
static void write_line(container *it, int stream, const char *line, size_t size, bool is_full) {
    text entry = {0};
    write_time(&entry, wall_clock());
    text_add(&entry, stream == 0 ? " stdout %s " : " stderr %s ", is_full ? "F" : "P");
    text_add_bytes(&entry, line, size);
    text_add_bytes(&entry, "\n", 1);
    pthread_mutex_lock(&it->owner->lock);
    // A log that cannot be written must not stop the container.
    if (it->log >= 0 && write(it->log, entry.bytes, entry.size) < 0)
        write_log(it->owner->base.log, HOSTD_LOG_WARNING, "the log of %s cannot be written: %s", it->id, strerror(errno));
    pthread_mutex_unlock(&it->owner->lock);
    text_free(&entry);
}

// Writes the whole lines of what came so far; the rest too when nothing follows.
static void write_lines(container *it, int stream, text *pending, bool is_end) {
    size_t start = 0;
    while (start < pending->size) {
        const char *line = pending->bytes + start, *end = memchr(line, '\n', pending->size - start);
        size_t size = end != NULL ? (size_t)(end - line) : pending->size - start;
        if (end == NULL && size < LONGEST_LINE && !is_end) break;
        write_line(it, stream, line, size, end != NULL);
        start += size + (end != NULL);
    }
    if (start > 0) memmove(pending->bytes, pending->bytes + start, pending->size - start);
    pending->size -= start;
}

// Takes what can be read. False at the end of the stream.
static bool take_output(container *it, int stream, text *pending) {
    char block[LONGEST_LINE];
    ssize_t count;
    while ((count = read(it->output[stream], block, sizeof block)) > 0) {
        text_add_bytes(pending, block, (size_t)count);
        write_lines(it, stream, pending, false);
    }
    return count < 0 && (errno == EAGAIN || errno == EINTR);
}

// Until the process has ended: what it leaves behind may hold its streams open for longer.
static void follow(container *it) {
    text pending[2] = {{0}, {0}};
    struct pollfd waited[3] = {{it->output[0], POLLIN, 0}, {it->output[1], POLLIN, 0}, {-1, POLLIN, 0}};
    waited[2].fd = (int)syscall(SYS_pidfd_open, it->process, 0);
    bool is_over = false;
    while (!is_over) {
        if (poll(waited, 3, -1) < 0 && errno != EINTR) break;
        is_over = waited[2].revents != 0 || (waited[2].fd < 0 && waited[0].fd < 0 && waited[1].fd < 0);
        for (int i = 0; i < 2; i++)
            if (waited[i].fd >= 0 && !take_output(it, i, &pending[i])) waited[i].fd = -1;
    }
    for (int i = 0; i < 2; i++) {
        write_lines(it, i, &pending[i], true);
        text_free(&pending[i]);
        close(it->output[i]);
    }
    if (waited[2].fd >= 0) close(waited[2].fd);
}

static void *monitor(void *argument) {
    container *it = argument;
    plugin *owner = it->owner;
    follow(it);
    kill_group(it->process, SIGKILL);
    await_end(it->process);
    // Until it is reaped, its number is its own: so that is done under the lock under which others kill.
    pthread_mutex_lock(&owner->lock);
    it->exit_code = wait_for(it->process), it->finished = wall_clock(), it->state = EXITED;
    emit(owner, "exited", it);
    pthread_mutex_unlock(&owner->lock);
    thread_ends(owner);
    return NULL;
}

static bool make_pipes(int ends[4]) {
    for (int i = 0; i < 4; i++) ends[i] = -1;
    if (pipe2(ends, O_CLOEXEC) == 0 && pipe2(ends + 2, O_CLOEXEC) == 0)
        return fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(ends[2], F_SETFL, O_NONBLOCK) == 0;
    for (int i = 0; i < 4; i++)
        if (ends[i] >= 0) close(ends[i]);
    return false;
}

int32_t container_start(container *it, hostd_error *error) {
    int ends[4];
    if (it->state != CREATED) return fail(error, HOSTD_ERROR_WRONG_STATE, "container %s was started before", it->id);
    int32_t status = container_reopen_log(it, error);
    if (status < 0) return status;
    if (!make_pipes(ends)) return fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "no pipes: %s", strerror(errno));
    const char *directory = json_string(json_get(it->config, "workingDirectory"), "");
    launch what = {texts_of(json_get(it->config, "command"), json_get(it->config, "args")),
                   environment_of(json_get(it->config, "environment")), *directory != 0 ? directory : NULL,
                   {-1, ends[1], ends[3]}};
    status = launch_process(&what, &it->process, error);
    free_texts(what.arguments), free_texts(what.environment);
    close(ends[1]), close(ends[3]);
    it->output[0] = ends[0], it->output[1] = ends[2];
    if (status < 0) return close(ends[0]), close(ends[2]), status;
    it->state = RUNNING, it->started = wall_clock();
    status = start_thread(it->owner, monitor, it, error);
    if (status == HOSTD_OK) return status;
    kill_group(it->process, SIGKILL);
    it->exit_code = wait_for(it->process), it->finished = wall_clock(), it->state = EXITED;
    return close(ends[0]), close(ends[2]), status;
}

static void write_member_time(text *out, const char *name, uint64_t time) {
    text_add(out, ",%q:\"", name);
    write_time(out, time);
    text_add(out, "\"");
}

void container_write(const container *it, text *out) {
    static const char *const states[] = {"created", "running", "exited"};
    const char *reason = it->state != EXITED ? "" : it->exit_code == 0 ? "Completed" : "Error";
    const json *config = it->config;
    text_add(out, "{\"id\":%q,\"sandboxID\":%q,\"name\":%q,\"attempt\":%i,\"state\":%q", it->id, it->sandbox_id,
             json_string(json_get(config, "name"), ""), json_integer(json_get(config, "attempt"), 0), states[it->state]);
    write_member_time(out, "createdAt", it->created);
    write_member_time(out, "startedAt", it->started);
    write_member_time(out, "finishedAt", it->finished);
    text_add(out, ",\"exitCode\":%i,\"reason\":%q,\"message\":\"\",\"image\":%q,\"imageID\":%q,\"processID\":%i",
             (int64_t)it->exit_code, reason, json_string(json_get(config, "image"), ""),
             json_string(json_get(config, "image"), ""), (int64_t)it->process);
    const json *labels = json_get(config, "labels"), *annotations = json_get(config, "annotations");
    text_add(out, ",\"labels\":");
    if (labels != NULL) text_add(out, "%j", labels);
    else text_add(out, "{}");
    text_add(out, ",\"annotations\":");
    if (annotations != NULL) text_add(out, "%j", annotations);
    else text_add(out, "{}");
    text_add(out, ",\"logPath\":%q,\"mounts\":[]}", it->log_path != NULL ? it->log_path : "");
}
