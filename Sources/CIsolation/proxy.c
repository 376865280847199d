#include <stdlib.h>

#include "message.h"

/// A table of the other side, callable here.
struct proxy {
    struct proxy *next;
    isolation_peer *peer;
    uint32_t object;
    uint32_t was_asked; ///< Imported by its id, not by number.
    struct shape *shape;
    hostd_interface *table;
    struct proxy_slot {
        const struct proxy *proxy;
        uint32_t index;
        ffi_closure *closure;
    } slots[];
};

static void forward(ffi_cif *cif, void *result, void **arguments, void *user) {
    (void)cif;
    const struct proxy_slot *slot = user;
    const struct proxy *proxy = slot->proxy;
    *(ffi_sarg *)result = call_remote(proxy->peer, proxy->object, proxy->shape, slot->index, arguments);
}

static void proxy_free(struct proxy *proxy) {
    for (uint32_t i = 0; i < proxy->shape->count; i++) {
        if (proxy->slots[i].closure != NULL) ffi_closure_free(proxy->slots[i].closure);
    }
    shape_free(proxy->shape);
    free(proxy->table);
    free(proxy);
}

/// Makes the table; takes the shape over, also when there is no memory and the answer is NULL.
static struct proxy *proxy_create(isolation_peer *peer, uint32_t object, struct shape *shape) {
    struct proxy *proxy = calloc(1, sizeof *proxy + shape->count * sizeof proxy->slots[0]);
    if (proxy == NULL) {
        shape_free(shape);
        return NULL;
    }
    proxy->peer = peer;
    proxy->object = object;
    proxy->shape = shape;
    size_t size = sizeof(hostd_interface) + shape->count * sizeof(void *);
    proxy->table = calloc(1, size);
    int is_good = proxy->table != NULL;
    for (uint32_t i = 0; is_good && i < shape->count; i++) {
        void **function = (void **)(proxy->table + 1) + i;
        struct proxy_slot *slot = &proxy->slots[i];
        *slot = (struct proxy_slot){.proxy = proxy, .index = i};
        slot->closure = ffi_closure_alloc(sizeof *slot->closure, function);
        is_good = slot->closure != NULL &&
                  ffi_prep_closure_loc(slot->closure, &shape->slots[i].cif, forward, slot, *function) == FFI_OK;
    }
    if (!is_good) {
        proxy_free(proxy);
        return NULL;
    }
    *proxy->table = (hostd_interface){.struct_size = (uint32_t)size, .self = proxy, .id = shape->id, .slots = shape->text};
    return proxy;
}

void proxy_free_all(isolation_peer *peer) {
    while (peer->proxies != NULL) {
        struct proxy *proxy = peer->proxies;
        peer->proxies = proxy->next;
        proxy_free(proxy);
    }
}

/// A proxy that is there already: by number, or, where `id` is given, among those that were asked for by it. With the lock
/// held.
static const hostd_interface *find_held(isolation_peer *peer, const char *id, uint32_t object) {
    for (struct proxy *proxy = peer->proxies; proxy != NULL; proxy = proxy->next) {
        int is_it = id != NULL ? proxy->was_asked && strcmp(proxy->shape->id, id) == 0
                               : !proxy->was_asked && proxy->object == object;
        if (is_it) return proxy->table;
    }
    return NULL;
}

static const hostd_interface *find(isolation_peer *peer, const char *id, uint32_t object) {
    pthread_mutex_lock(&peer->object_lock);
    const hostd_interface *table = find_held(peer, id, object);
    pthread_mutex_unlock(&peer->object_lock);
    return table;
}

/// What the other side says of an object; NULL when it is malformed. Strings point into `place`.
struct description {
    int32_t status;
    uint32_t object;
    char id[ISOLATION_ID_LIMIT + 1];
    char slots[INTERPOSER_DESCRIPTOR_LIMIT + 1];
    char ends[INTERPOSER_DESCRIPTOR_LIMIT + 1];
    hostd_error error;
};

static void read_text(struct reader *reader, char *place, size_t room) {
    uint64_t size;
    const uint8_t *bytes = read_view(reader, &size);
    if (size >= room || (bytes != NULL && memchr(bytes, 0, size) != NULL)) reader->is_broken = 1;
    if (bytes == NULL || reader->is_broken) size = 0;
    if (size != 0) memcpy(place, bytes, size);
    place[size] = 0;
}

static int read_description(const struct message *reply, struct description *description) {
    struct reader reader = {.at = reply->bytes, .left = reply->size};
    description->status = (int32_t)read_small(&reader);
    description->object = read_small(&reader);
    read_text(&reader, description->id, sizeof description->id);
    read_text(&reader, description->slots, sizeof description->slots);
    read_text(&reader, description->ends, sizeof description->ends);
    read_error(&reader, &description->error);
    return reader.is_broken || reader.left != 0 ? -1 : 0;
}

/// Adds a proxy unless another thread was faster. `ends` is what this side knows; else what the other one says.
static int32_t add(isolation_peer *peer, const char *id, const char *ends, const struct description *description,
                   const hostd_interface **table, hostd_error *error) {
    char message[INTERPOSER_MESSAGE_LIMIT];
    const char *name = id != NULL ? id : description->id;
    struct shape *shape = shape_create(name, description->slots, ends != NULL ? ends : description->ends, message);
    struct proxy *proxy = shape == NULL ? NULL : proxy_create(peer, description->object, shape);
    if (proxy == NULL) return fail(error, HOSTD_ERROR_INTERNAL, "What the other process describes cannot be called.");
    proxy->was_asked = id != NULL;
    pthread_mutex_lock(&peer->object_lock);
    *table = find_held(peer, id, description->object);
    int is_new = *table == NULL;
    if (is_new) {
        proxy->next = peer->proxies;
        peer->proxies = proxy;
        *table = proxy->table;
    }
    pthread_mutex_unlock(&peer->object_lock);
    if (!is_new) proxy_free(proxy);
    return HOSTD_OK;
}

/// Asks the other side, by id or by number, and makes the proxy.
static int32_t ask(isolation_peer *peer, const char *id, const char *ends, uint32_t object,
                   const hostd_interface **table, hostd_error *error) {
    uint8_t bytes[ISOLATION_ID_LIMIT + 64];
    struct writer writer = {.at = bytes, .room = sizeof bytes};
    uint8_t *large = NULL;
    if (id == NULL) {
        write_number(&writer, object);
    } else {
        write_view(&writer, id, strlen(id));
        write_view(&writer, ends, ends == NULL ? 0 : strlen(ends));
        if (writer.size > writer.room && (large = malloc(writer.size)) != NULL) {
            writer = (struct writer){.at = large, .room = writer.size};
            write_view(&writer, id, strlen(id));
            write_view(&writer, ends, strlen(ends));
        }
    }
    if (writer.size > writer.room) return fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "There is no memory.");
    struct exchange exchange = {.class = CLASS_CALL, .id = id == NULL ? "" : id, .slot = "get_interface",
                                .deadline_ns = deadline_after(peer->configuration.step_timeout_ns)};
    int status = exchange_run(peer, &exchange, id == NULL ? LAYOUT_DESCRIBE : LAYOUT_RESOLVE, writer.at, writer.size);
    free(large);
    if (status != 0) return fail_exchange(peer, status, error);
    struct description *description = calloc(1, sizeof *description);
    int32_t result;
    if (description == NULL || read_description(&exchange.reply, description) != 0) {
        breach(peer, "The plugin's process describes an interface in a malformed way.");
        result = fail_exchange(peer, -1, error);
    } else if (description->status != HOSTD_OK) {
        result = description->status < 0 ? description->status : HOSTD_ERROR_INTERNAL;
        copy_error(error, &description->error);
    } else {
        result = add(peer, id, ends, description, table, error);
    }
    free(description);
    exchange_finish(&exchange);
    return result;
}

int32_t proxy_import_number(isolation_peer *peer, uint32_t number, const hostd_interface **table, hostd_error *error) {
    *table = find(peer, NULL, number);
    return *table != NULL ? HOSTD_OK : ask(peer, NULL, NULL, number, table, error);
}

int32_t isolation_peer_import(isolation_peer *peer, const char *id, const char *ends, const hostd_interface **table,
                              hostd_error *error) {
    *table = find(peer, id, 0);
    if (*table != NULL) return HOSTD_OK;
    if (strnlen(id, ISOLATION_ID_LIMIT + 1) > ISOLATION_ID_LIMIT) {
        return fail(error, HOSTD_ERROR_NOT_FOUND, "The interface's id is longer than an id may be.");
    }
    return ask(peer, id, ends, 0, table, error);
}

int32_t isolation_peer_plugin(isolation_peer *peer, const isolation_plugin **plugin, hostd_error *error) {
    const hostd_interface *table;
    int32_t status = isolation_peer_import(peer, ISOLATION_PLUGIN_1, "", &table, error);
    if (status != HOSTD_OK) return status;
    if (strcmp(table->slots, ISOLATION_PLUGIN_1_SLOTS) != 0) {
        return fail(error, HOSTD_ERROR_VERSION, "The program of the plugin's process is not of this hostd's version.");
    }
    *plugin = (const isolation_plugin *)table;
    return HOSTD_OK;
}
