// @NAME@: runs containers as plain processes of this machine, with pipes to log files, exit codes, exec and signals.
// Nothing is isolated, and an image is no more than its name: a container needs a `command`. What the slots promise is in
// hostd/roles/runtime.h. process.c starts processes, container.c follows them.
//
// Pipes end with hostd, so containers do as well: `deactivate` kills them. A runtime that lets them live on gives their
// streams to a process that survives.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "runtime.h"

const char plugin_description[] = "{\"name\":\"@NAME@\",\"version\":\"1.0.0\",\"description\":\"Containers as plain "
                                  "processes.\",\"provides\":[\"hostd.runtime/1\"]}";
const char plugin_schema[] = ""; // No options.
#define EXEC_OUTPUT_LIMIT (16u << 20)

int32_t start_thread(plugin *self, void *(*body)(void *), void *argument, hostd_error *error) {
    pthread_t thread;
    pthread_mutex_lock(&self->lock);
    int code = self->is_stopping ? ESHUTDOWN : pthread_create(&thread, NULL, body, argument);
    if (code == 0) self->threads++, pthread_detach(thread);
    pthread_mutex_unlock(&self->lock);
    return code == 0 ? HOSTD_OK : fail(error, HOSTD_ERROR_UNAVAILABLE, "cannot start a thread: %s", strerror(code));
}

void thread_ends(plugin *self) {
    pthread_mutex_lock(&self->lock);
    self->threads--;
    pthread_cond_broadcast(&self->ended);
    pthread_mutex_unlock(&self->lock);
}

void emit(plugin *self, const char *type, const container *it) {
    text message = {0};
    text_add(&message, "{\"type\":%q,\"containerID\":%q,\"sandboxID\":%q,\"container\":", type, it->id, it->sandbox_id);
    container_write(it, &message);
    text_add(&message, "}");
    for (size_t i = 0; i < self->watchers.count; i++) {
        const watcher *to = self->watchers.entries[i].value;
        to->sink(to->context, HOSTD_SINK_DATA, (const uint8_t *)message.bytes, message.size);
    }
    text_free(&message);
}

static void make_id(char id[33]) {
    uint8_t bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) abort(); // Cannot happen for so few.
    for (int i = 0; i < 16; i++) snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

static const char *id_of(const json *request) { return json_string(json_get(request, "id"), ""); }
static sandbox *find_sandbox(plugin *self, const char *id) { return map_get(&self->sandboxes, id, strlen(id)); }
static container *find_container(plugin *self, const char *id) { return map_get(&self->containers, id, strlen(id)); }

static void sandbox_write(const sandbox *it, text *out) {
    const json *labels = json_get(it->config, "labels"), *annotations = json_get(it->config, "annotations");
    text_add(out, "{\"id\":%q,\"podUID\":%q,\"name\":%q,\"namespace\":%q,\"attempt\":%i,\"state\":%q,\"createdAt\":\"", it->id,
             json_string(json_get(it->config, "podUID"), ""), json_string(json_get(it->config, "name"), ""),
             json_string(json_get(it->config, "namespace"), ""), json_integer(json_get(it->config, "attempt"), 0),
             it->is_ready ? "ready" : "notReady");
    write_time(out, it->created);
    text_add(out, "\",\"networkNamespace\":\"\",\"labels\":");
    if (labels != NULL) text_add(out, "%j", labels);
    else text_add(out, "{}");
    text_add(out, ",\"annotations\":");
    if (annotations != NULL) text_add(out, "%j", annotations);
    else text_add(out, "{}");
    text_add(out, "}");
}

static int32_t run_sandbox(plugin *self, const json *request, text *answer, hostd_error *error) {
    const json *config = json_get(request, "config");
    if (*json_string(json_get(config, "podUID"), "") == 0)
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the request needs a \"config\" with a text \"podUID\"");
    sandbox *made = allocate(sizeof *made);
    *made = (sandbox){.config = json_copy(config), .is_ready = true, .created = wall_clock()};
    make_id(made->id);
    map_put(&self->sandboxes, made->id, strlen(made->id), made);
    text_add(answer, "{\"sandbox\":");
    sandbox_write(made, answer);
    text_add(answer, "}");
    return HOSTD_OK;
}

static int32_t list_sandboxes(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)error;
    const char *id = id_of(request), *pod = json_string(json_get(request, "podUID"), "");
    int count = 0;
    text_add(answer, "{\"sandboxes\":[");
    for (size_t i = 0; i < self->sandboxes.count; i++) {
        const sandbox *it = self->sandboxes.entries[i].value;
        if (*id != 0 && strcmp(id, it->id) != 0) continue;
        if (*pod != 0 && strcmp(pod, json_string(json_get(it->config, "podUID"), "")) != 0) continue;
        text_add(answer, count++ > 0 ? "," : "");
        sandbox_write(it, answer);
    }
    text_add(answer, "]}");
    return HOSTD_OK;
}

// Waits, with the lock held, until the container has ended or the time has come. The lock is given up meanwhile, so the
// container is looked up anew each time: another call may have removed it.
static bool wait_until_ended(plugin *self, const char *id, uint64_t deadline) {
    struct timespec until = {(time_t)(deadline / 1000000000), (long)(deadline % 1000000000)};
    container *it;
    while ((it = find_container(self, id)) != NULL && it->state == RUNNING) {
        int code = deadline == 0 ? pthread_cond_wait(&self->ended, &self->lock) : pthread_cond_timedwait(&self->ended, &self->lock, &until);
        if (code == ETIMEDOUT) return false;
    }
    return true;
}

static void end_container(plugin *self, const char *wanted, int signal, int64_t seconds) {
    char id[33];
    snprintf(id, sizeof id, "%s", wanted); // The text may go while the lock is given up.
    container *it = find_container(self, id);
    if (it == NULL || it->state != RUNNING) return;
    kill_group(it->process, signal);
    uint64_t patience = (uint64_t)(seconds < 0 ? 0 : seconds > 86400 ? 86400 : seconds) * 1000000000;
    if (wait_until_ended(self, id, monotonic_nanoseconds() + patience)) return;
    it = find_container(self, id);
    if (it != NULL && it->state == RUNNING) kill_group(it->process, SIGKILL);
    wait_until_ended(self, id, 0);
}

static int stop_signal(const container *it) {
    const char *name = json_string(json_get(it->config, "stopSignal"), "SIGTERM");
    static const struct { const char *name; int signal; } known[] = {
        {"SIGTERM", SIGTERM}, {"SIGINT", SIGINT}, {"SIGQUIT", SIGQUIT}, {"SIGHUP", SIGHUP}, {"SIGKILL", SIGKILL},
        {"SIGUSR1", SIGUSR1}, {"SIGUSR2", SIGUSR2},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0 || strcmp(known[i].name + 3, name) == 0) return known[i].signal;
    return SIGTERM;
}

// The first container of a sandbox that is to be dealt with; NULL when all are.
static container *next_of(plugin *self, const char *sandbox_id, bool running_only) {
    for (size_t i = 0; i < self->containers.count; i++) {
        container *it = self->containers.entries[i].value;
        if (strcmp(it->sandbox_id, sandbox_id) == 0 && (!running_only || it->state == RUNNING)) return it;
    }
    return NULL;
}

static int32_t stop_sandbox(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)answer, (void)error;
    sandbox *it = find_sandbox(self, id_of(request));
    if (it == NULL) return HOSTD_OK; // What is gone already is success.
    it->is_ready = false;
    container *running;
    while ((running = next_of(self, id_of(request), true)) != NULL) end_container(self, running->id, SIGKILL, 0);
    return HOSTD_OK;
}

static void drop_container(plugin *self, const char *wanted) {
    char id[33];
    snprintf(id, sizeof id, "%s", wanted);
    end_container(self, id, SIGKILL, 0);
    container *it = map_remove(&self->containers, id, strlen(id));
    if (it == NULL) return;
    emit(self, "removed", it);
    container_free(it);
}

static int32_t remove_sandbox(plugin *self, const json *request, text *answer, hostd_error *error) {
    stop_sandbox(self, request, answer, error);
    container *left;
    while ((left = next_of(self, id_of(request), false)) != NULL) drop_container(self, left->id);
    sandbox_free(map_remove(&self->sandboxes, id_of(request), strlen(id_of(request))));
    return HOSTD_OK;
}

static int32_t create_container(plugin *self, const json *request, text *answer, hostd_error *error) {
    const char *sandbox_id = json_string(json_get(request, "sandboxID"), "");
    const json *config = json_get(request, "config");
    const sandbox *owner = find_sandbox(self, sandbox_id);
    const char *image = json_string(json_get(config, "image"), ""), *log = json_string(json_get(config, "logPath"), "");
    if (owner == NULL || !owner->is_ready) return fail(error, HOSTD_ERROR_NOT_FOUND, "there is no ready sandbox %.64s", sandbox_id);
    if (json_kind_of(config) != JSON_OBJECT || *json_string(json_get(config, "name"), "") == 0)
        return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the request needs a \"config\" with a text \"name\"");
    if (map_get(&self->images, image, strlen(image)) == NULL)
        return fail(error, HOSTD_ERROR_NOT_FOUND, "there is no image %.200s: pull it first", image);
    container *made = allocate(sizeof *made);
    *made = (container){.owner = self, .config = json_copy(config), .log = -1, .created = wall_clock()};
    make_id(made->id);
    snprintf(made->sandbox_id, sizeof made->sandbox_id, "%s", sandbox_id);
    if (*log != 0) {
        text path = {0};
        text_add(&path, "%s/%s", json_string(json_get(owner->config, "logDirectory"), ""), log);
        text_add_bytes(&path, "", 1);
        made->log_path = path.bytes;
    }
    map_put(&self->containers, made->id, strlen(made->id), made);
    emit(self, "created", made);
    text_add(answer, "{\"id\":%q}", made->id);
    return HOSTD_OK;
}

static int32_t known_container(plugin *self, const json *request, container **found, hostd_error *error) {
    *found = find_container(self, id_of(request));
    return *found != NULL ? HOSTD_OK : fail(error, HOSTD_ERROR_NOT_FOUND, "there is no container %.64s", id_of(request));
}

static int32_t start_container(plugin *self, const json *request, text *answer, hostd_error *error) {
    container *it;
    int32_t status = known_container(self, request, &it, error);
    if (status == HOSTD_OK) status = container_start(it, error);
    if (status < 0) return status;
    emit(self, "started", it);
    text_add(answer, "{\"container\":");
    container_write(it, answer);
    text_add(answer, "}");
    return HOSTD_OK;
}

static int32_t stop_container(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)answer, (void)error;
    const container *it = find_container(self, id_of(request));
    if (it != NULL) end_container(self, it->id, stop_signal(it), json_integer(json_get(request, "timeoutSeconds"), 10));
    return HOSTD_OK;
}

static int32_t remove_container(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)answer, (void)error;
    drop_container(self, id_of(request));
    return HOSTD_OK;
}

static int32_t list_containers(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)error;
    const char *id = id_of(request), *sandbox_id = json_string(json_get(request, "sandboxID"), "");
    int count = 0;
    text_add(answer, "{\"containers\":[");
    for (size_t i = 0; i < self->containers.count; i++) {
        const container *it = self->containers.entries[i].value;
        if ((*id != 0 && strcmp(id, it->id) != 0) || (*sandbox_id != 0 && strcmp(sandbox_id, it->sandbox_id) != 0)) continue;
        text_add(answer, count++ > 0 ? "," : "");
        container_write(it, answer);
    }
    text_add(answer, "]}");
    return HOSTD_OK;
}

static int32_t reopen_log(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)answer;
    container *it;
    int32_t status = known_container(self, request, &it, error);
    return status == HOSTD_OK && it->state == RUNNING ? container_reopen_log(it, error) : status;
}

// What an exec runs: the command in the environment of its container, which runs.
static int32_t prepare_exec(plugin *self, const json *request, launch *what, hostd_error *error) {
    container *it;
    int32_t status = known_container(self, request, &it, error);
    if (status < 0) return status;
    if (it->state != RUNNING) return fail(error, HOSTD_ERROR_WRONG_STATE, "container %s does not run", it->id);
    *what = (launch){texts_of(json_get(request, "command"), NULL), environment_of(json_get(it->config, "environment")), NULL, {-1, -1, -1}};
    return HOSTD_OK;
}

static int32_t exec_to_end(plugin *self, const launch *prepared, uint64_t deadline, text *answer, hostd_error *error) {
    launch what = *prepared;
    int first[2], second[2];
    pid_t process;
    if (pipe2(first, O_CLOEXEC) != 0) return fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "no pipes: %s", strerror(errno));
    if (pipe2(second, O_CLOEXEC) != 0)
        return close(first[0]), close(first[1]), fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "no pipes: %s", strerror(errno));
    what.streams[1] = first[1], what.streams[2] = second[1];
    int32_t status = launch_process(&what, &process, error);
    close(first[1]), close(second[1]);
    text output[2] = {{0}, {0}};
    if (status == HOSTD_OK) {
        (void)self;
        bool in_time = read_streams((const int[]){first[0], second[0]}, output, EXEC_OUTPUT_LIMIT, deadline);
        if (!in_time) kill_group(process, SIGKILL);
        int code = wait_for(process);
        if (!in_time) status = fail(error, HOSTD_ERROR_DEADLINE_EXCEEDED, "%.100s did not end in time", what.arguments[0]);
        text_add(answer, "{\"exitCode\":%i,\"stdout\":\"", (int64_t)code);
        write_base64(answer, &output[0]);
        text_add(answer, "\",\"stderr\":\"");
        write_base64(answer, &output[1]);
        text_add(answer, "\"}");
    }
    text_free(&output[0]), text_free(&output[1]);
    close(first[0]), close(second[0]);
    return status;
}

// Without the lock: it may take long.
static int32_t exec_sync(plugin *self, const json *request, text *answer, hostd_error *error) {
    launch what;
    int64_t seconds = json_integer(json_get(request, "timeoutSeconds"), 0);
    pthread_mutex_lock(&self->lock);
    int32_t status = prepare_exec(self, request, &what, error);
    pthread_mutex_unlock(&self->lock);
    if (status < 0) return status;
    uint64_t deadline = seconds > 0 ? monotonic_nanoseconds() + (uint64_t)(seconds < 86400 ? seconds : 86400) * 1000000000 : 0;
    status = exec_to_end(self, &what, deadline, answer, error);
    free_texts(what.arguments), free_texts(what.environment);
    return status;
}

typedef struct {
    plugin *owner;
    uint64_t handle;
    pid_t process;
    hostd_completion completion;
    void *context;
} operation;

static void *follow_exec(void *argument) {
    operation it = *(operation *)argument;
    free(argument);
    await_end(it.process);
    pthread_mutex_lock(&it.owner->lock);
    free(map_remove(&it.owner->operations, &it.handle, sizeof it.handle)); // From here on nobody kills it.
    int code = wait_for(it.process);
    pthread_mutex_unlock(&it.owner->lock);
    text answer = {0};
    text_add(&answer, "{\"exitCode\":%i}", (int64_t)code);
    it.completion(it.context, HOSTD_OK, (const uint8_t *)answer.bytes, answer.size, NULL);
    text_free(&answer);
    thread_ends(it.owner);
    return NULL;
}

// With the lock held, so that nothing ends before it has its handle.
static int32_t begin_exec(plugin *self, launch *what, hostd_completion completion, void *context, uint64_t *handle, hostd_error *error) {
    operation *made = allocate(sizeof *made);
    *made = (operation){self, self->last_handle + 1, 0, completion, context};
    int32_t status = launch_process(what, &made->process, error);
    if (status < 0) return free(made), status;
    pid_t process = made->process, *kept = allocate(sizeof *kept);
    *kept = process;
    *handle = ++self->last_handle;
    map_put(&self->operations, &self->last_handle, sizeof self->last_handle, kept);
    status = start_thread(self, follow_exec, made, error);
    if (status == HOSTD_OK) return status;
    kill_group(process, SIGKILL);
    wait_for(process);
    free(map_remove(&self->operations, &self->last_handle, sizeof self->last_handle));
    return free(made), status;
}

static int32_t exec(void *context, const uint8_t *request, uint64_t size, int32_t input, int32_t output, int32_t errors,
                    hostd_completion completion, void *completion_context, uint64_t *handle, hostd_error *error) {
    plugin *self = context;
    int32_t status = check_active(self, error);
    json *parsed = json_parse(request, size);
    if (status == HOSTD_OK && (json_kind_of(parsed) != JSON_OBJECT || completion == NULL))
        status = fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the request is not a JSON object, or there is no completion");
    if (status == HOSTD_OK && json_bool(json_get(parsed, "tty"), false))
        status = fail(error, HOSTD_ERROR_NOT_SUPPORTED, "@NAME@ has no terminals");
    if (status == HOSTD_OK) {
        launch what;
        pthread_mutex_lock(&self->lock);
        status = prepare_exec(self, parsed, &what, error);
        if (status == HOSTD_OK) {
            what.streams[0] = input, what.streams[1] = output, what.streams[2] = errors;
            status = begin_exec(self, &what, completion, completion_context, handle, error);
            free_texts(what.arguments), free_texts(what.environment);
        }
        pthread_mutex_unlock(&self->lock);
    }
    json_free(parsed);
    int given[] = {input, output, errors}; // Ours from the moment of the call; the process has copies.
    for (int i = 0; i < 3; i++)
        if (given[i] >= 0) close(given[i]);
    return status;
}

static int32_t exec_cancel(void *context, uint64_t handle, hostd_error *error) {
    plugin *self = context;
    if (check_active(self, error) < 0) return HOSTD_ERROR_WRONG_STATE;
    pthread_mutex_lock(&self->lock);
    const pid_t *process = map_get(&self->operations, &handle, sizeof handle);
    if (process != NULL) kill_group(*process, SIGKILL);
    pthread_mutex_unlock(&self->lock);
    return HOSTD_OK;
}

static void image_write(const char *reference, text *out) {
    text_add(out, "{\"id\":%q,\"repoTags\":[%q],\"repoDigests\":[],\"size\":0,\"pinned\":false}", reference, reference);
}

static int32_t list_images(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)request, (void)error;
    text_add(answer, "{\"images\":[");
    for (size_t i = 0; i < self->images.count; i++) {
        text_add(answer, i > 0 ? "," : "");
        image_write(self->images.entries[i].key, answer);
    }
    text_add(answer, "]}");
    return HOSTD_OK;
}

static int32_t image_status(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)error;
    const char *image = json_string(json_get(request, "image"), "");
    text_add(answer, "{\"image\":");
    if (map_get(&self->images, image, strlen(image)) != NULL) image_write(image, answer);
    else text_add(answer, "null");
    text_add(answer, "}");
    return HOSTD_OK;
}

static int32_t remove_image(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)answer;
    const char *image = json_string(json_get(request, "image"), "");
    for (size_t i = 0; i < self->containers.count; i++) {
        const container *it = self->containers.entries[i].value;
        if (strcmp(json_string(json_get(it->config, "image"), ""), image) == 0)
            return fail(error, HOSTD_ERROR_CONFLICT, "container %s uses the image %.200s", it->id, image);
    }
    map_remove(&self->images, image, strlen(image));
    return HOSTD_OK;
}

static int32_t image_filesystem(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)self, (void)request;
    struct statvfs space;
    if (statvfs("/", &space) != 0) return fail(error, HOSTD_ERROR_INTERNAL, "cannot look at /: %s", strerror(errno));
    text_add(answer, "{\"path\":\"/\",\"capacityBytes\":%i,\"availableBytes\":%i,\"usedBytes\":0,\"inodesUsed\":0}",
             (int64_t)(space.f_blocks * space.f_frsize), (int64_t)(space.f_bavail * space.f_frsize));
    return HOSTD_OK;
}

// There is nothing to fetch: the name is the image. So it completes at once.
static int32_t pull_image(void *context, const uint8_t *request, uint64_t size, hostd_completion completion,
                          void *completion_context, uint64_t *handle, hostd_error *error) {
    plugin *self = context;
    if (check_active(self, error) < 0) return HOSTD_ERROR_WRONG_STATE;
    json *parsed = json_parse(request, size);
    const char *image = json_string(json_get(parsed, "image"), "");
    bool good = *image != 0 && strlen(image) <= 512 && completion != NULL;
    text answer = {0};
    if (good) {
        pthread_mutex_lock(&self->lock);
        map_put(&self->images, image, strlen(image), self);
        *handle = ++self->last_handle;
        pthread_mutex_unlock(&self->lock);
        text_add(&answer, "{\"image\":");
        image_write(image, &answer);
        text_add(&answer, "}");
        completion(completion_context, HOSTD_OK, (const uint8_t *)answer.bytes, answer.size, NULL);
    }
    text_free(&answer);
    json_free(parsed);
    return good ? HOSTD_OK : fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "the request needs a text \"image\"");
}

static int32_t pull_cancel(void *context, uint64_t handle, hostd_error *error) {
    (void)handle;
    return check_active(context, error); // All pulls have completed.
}

static int32_t watch(void *context, hostd_sink sink, void *sink_context, uint64_t *handle, hostd_error *error) {
    plugin *self = context;
    if (check_active(self, error) < 0) return HOSTD_ERROR_WRONG_STATE;
    if (sink == NULL) return fail(error, HOSTD_ERROR_INVALID_ARGUMENT, "a watch needs a sink");
    watcher *made = allocate(sizeof *made);
    *made = (watcher){sink, sink_context};
    pthread_mutex_lock(&self->lock);
    *handle = ++self->last_handle;
    map_put(&self->watchers, &self->last_handle, sizeof self->last_handle, made);
    pthread_mutex_unlock(&self->lock);
    return HOSTD_OK;
}

static int32_t watch_cancel(void *context, uint64_t handle, hostd_error *error) {
    (void)error;
    plugin *self = context;
    pthread_mutex_lock(&self->lock);
    watcher *ended = map_remove(&self->watchers, &handle, sizeof handle);
    if (ended != NULL) ended->sink(ended->context, HOSTD_SINK_END, NULL, 0);
    pthread_mutex_unlock(&self->lock);
    free(ended);
    return HOSTD_OK;
}

static int32_t status(plugin *self, const json *request, text *answer, hostd_error *error) {
    (void)self, (void)request, (void)error;
    text_add(answer, "{\"name\":\"@NAME@\",\"version\":\"1.0.0\",\"ready\":true,\"reason\":\"\",\"cgroup\":\"v2\","
                     "\"cgroupParent\":\"\",\"snapshotter\":\"none\",\"features\":{}}");
    return HOSTD_OK;
}

#define LOCKED_SLOT(name)                                                                                              \
    static int32_t name##_locked(plugin *self, const json *request, text *answer, hostd_error *error) {                \
        pthread_mutex_lock(&self->lock);                                                                               \
        int32_t result = name(self, request, answer, error);                                                           \
        pthread_mutex_unlock(&self->lock);                                                                             \
        return result;                                                                                                 \
    }                                                                                                                  \
    JSON_SLOT(name##_locked)
LOCKED_SLOT(run_sandbox)
LOCKED_SLOT(stop_sandbox)
LOCKED_SLOT(remove_sandbox)
LOCKED_SLOT(list_sandboxes)
LOCKED_SLOT(create_container)
LOCKED_SLOT(start_container)
LOCKED_SLOT(stop_container)
LOCKED_SLOT(remove_container)
LOCKED_SLOT(list_containers)
LOCKED_SLOT(reopen_log)
LOCKED_SLOT(list_images)
LOCKED_SLOT(image_status)
LOCKED_SLOT(remove_image)
JSON_SLOT(exec_sync)
JSON_SLOT(image_filesystem)
JSON_SLOT(status)

plugin *plugin_create(void) {
    plugin *self = allocate(sizeof *self);
    *self = (plugin){.is_stopping = true};
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&self->lock, &recursive);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self->ended, &monotonic);
    // What stays NULL answers NOT_SUPPORTED: limits, terminals, attach, statistics, archives of images.
    self->table = (hostd_runtime_1){
        .interface = {sizeof self->table, 0, self, HOSTD_RUNTIME_1, HOSTD_RUNTIME_1_SLOTS},
        .status = status_slot, .run_sandbox = run_sandbox_locked_slot, .stop_sandbox = stop_sandbox_locked_slot,
        .remove_sandbox = remove_sandbox_locked_slot, .list_sandboxes = list_sandboxes_locked_slot,
        .create_container = create_container_locked_slot, .start_container = start_container_locked_slot,
        .stop_container = stop_container_locked_slot, .remove_container = remove_container_locked_slot,
        .list_containers = list_containers_locked_slot, .reopen_log = reopen_log_locked_slot,
        .exec_sync = exec_sync_slot, .exec = exec, .exec_cancel = exec_cancel, .watch = watch,
        .watch_cancel = watch_cancel, .list_images = list_images_locked_slot, .image_status = image_status_locked_slot,
        .pull_image = pull_image, .pull_cancel = pull_cancel, .remove_image = remove_image_locked_slot,
        .image_filesystem = image_filesystem_slot,
    };
    return self;
}

int32_t plugin_configure(plugin *self, const json *options, const char *directory, hostd_error *error) {
    (void)self, (void)options, (void)directory, (void)error;
    return HOSTD_OK;
}

int32_t plugin_activate(plugin *self, hostd_error *error) {
    (void)error;
    pthread_mutex_lock(&self->lock);
    self->is_stopping = false;
    pthread_mutex_unlock(&self->lock);
    return HOSTD_OK;
}

// Ends every process, and waits for the threads that follow them.
int32_t plugin_deactivate(plugin *self, hostd_error *error) {
    pthread_mutex_lock(&self->lock);
    self->is_stopping = true;
    for (size_t i = 0; i < self->containers.count; i++) {
        const container *it = self->containers.entries[i].value;
        if (it->state == RUNNING) kill_group(it->process, SIGKILL);
    }
    for (size_t i = 0; i < self->operations.count; i++) kill_group(*(pid_t *)self->operations.entries[i].value, SIGKILL);
    while (self->threads > 0) pthread_cond_wait(&self->ended, &self->lock);
    while (self->watchers.count > 0) {
        uint64_t handle;
        memcpy(&handle, self->watchers.entries[0].key, sizeof handle);
        watch_cancel(self, handle, error);
    }
    map_free(&self->containers, container_free);
    map_free(&self->sandboxes, sandbox_free);
    map_free(&self->images, NULL);
    pthread_mutex_unlock(&self->lock);
    return HOSTD_OK;
}

void plugin_destroy(plugin *self) {
    pthread_cond_destroy(&self->ended);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

const hostd_interface *plugin_interface(plugin *self, const char *id) {
    return strcmp(id, HOSTD_RUNTIME_1) == 0 ? &self->table.interface : NULL;
}
