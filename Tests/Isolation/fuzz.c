// isolation-fuzz: libFuzzer on what the host decodes. An input is one message as it lies in a lane: the first byte chooses
// its kind, the rest is the message. It is served by the host's real code, against the interface of the tests.
#define _GNU_SOURCE // eventfd and others
#include <sys/eventfd.h>
#include <unistd.h>

#include "harness.h"
#include "../../Sources/CIsolation/internal.h"

static isolation_peer *peer;
static struct lane lane;

static int32_t nothing_c(void *self, const uint8_t *bytes, uint64_t size, hostd_completion completion, void *context,
                         uint64_t *handle, hostd_error *error) {
    (void)self, (void)error;
    *handle = size;
    if (size % 2 == 0) completion(context, HOSTD_OK, bytes, size, NULL);
    return size % 3 == 0 ? HOSTD_ERROR_CONFLICT : HOSTD_OK;
}
static int32_t nothing_h(void *self, uint64_t handle, hostd_error *error) { return (void)self, (void)handle, (void)error, 0; }
static int32_t read_structs(void *self, const struct letters_struct *one, const struct letters_struct *many,
                            uint64_t count, struct letters_struct *out, hostd_buffer *owned, hostd_error *error) {
    (void)self, (void)error;
    uint64_t sum = one == NULL ? 0 : ((const uint8_t *)one)[one->struct_size - 1];
    for (uint64_t i = 0; i < count; i++) {
        const struct letters_struct *at = (const struct letters_struct *)((const uint8_t *)many + i * many->struct_size);
        sum += ((const uint8_t *)at)[at->struct_size - 1];
    }
    if (out != NULL) memset((uint8_t *)out + 4, (int)sum, out->struct_size - 4);
    if (owned != NULL) *owned = (hostd_buffer){malloc(sum + 1), sum, free, NULL};
    if (owned != NULL) owned->context = (void *)owned->data;
    if (owned != NULL) memset(owned->context, 0, sum);
    return HOSTD_OK;
}
static int32_t nothing_v(void *self, hostd_sink sink, void *context, hostd_callback callback, void *callback_context,
                         uint64_t *handle, hostd_error *error) {
    (void)self, (void)callback_context, (void)error, (void)callback;
    if (sink != NULL) sink(context, HOSTD_SINK_DATA, (const uint8_t *)"x", 1);
    *handle = 5;
    return HOSTD_OK;
}

static const struct {
    hostd_interface interface;
    void *functions[5];
} table = {{sizeof table, 0, NULL, "com.example.fuzz/1", "operate:bcHe;operate_cancel:he;structs:saSoe;watch:vqHe;watch_cancel:he"},
           {nothing_c, nothing_h, read_structs, nothing_v, nothing_h}};

static int32_t resolve(void *context, const char *id, isolation_offer *offer, hostd_error *error) {
    (void)context, (void)error;
    if (id[0] == 'n') return HOSTD_ERROR_NOT_FOUND;
    offer->table = &table.interface;
    return HOSTD_OK;
}

/// A peer without threads: nothing but what decoding needs.
static void make_peer(void) {
    peer = calloc(1, sizeof *peer);
    peer->references = UINT64_C(1) << 40;
    peer->configuration = (isolation_configuration){.is_host = 1, .message_limit = 1 << 20, .resolve = resolve};
    peer->alarm = eventfd(0, EFD_NONBLOCK);
    peer->lane_count = 4;
    pthread_mutex_init(&peer->object_lock, NULL);
    pthread_mutex_init(&peer->end_lock, NULL);
    condition_initialize(&peer->end_changed);
    pthread_mutex_init(&peer->lane_lock, NULL);
    peer->receivers = receiver_table_create();
    peer->relays = relay_list_create();
    lane = (struct lane){.peer = peer, .is_server = 1, .shared = calloc(1, LAYOUT_LANE_SIZE)};
    const struct object *object;
    hostd_error error = empty_error();
    EXPECT(object_resolve(peer, "com.example.fuzz/1", "", &object, &error) == HOSTD_OK && object->number == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (peer == NULL) make_peer();
    if (size == 0 || size > LAYOUT_PART_LIMIT) return 0;
    uint8_t *copy = malloc(size); // Of the exact size, so that a read behind it is seen.
    memcpy(copy, data + 1, size - 1);
    struct message message = {.bytes = copy, .size = size - 1, .kind = data[0] % 8};
    serve_message(&lane, &message);
    free(copy);
    uint64_t alarms;
    if (peer->cause != 0 && read(peer->alarm, &alarms, sizeof alarms) < 0) abort();
    peer->cause = 0;
    atomic_store(&peer->condemned, 0);
    relay_end_all(peer);
    relay_list_free(peer->relays);
    peer->relays = relay_list_create();
    return 0;
}
