#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

const struct object *object_find(isolation_peer *peer, uint32_t number) {
    return number < OBJECT_LIMIT ? atomic_load_explicit(&peer->objects[number], memory_order_acquire) : NULL;
}

/// Puts an object behind the others; NULL when there are too many. With the lock held.
static struct object *add(isolation_peer *peer, struct object *object) {
    uint32_t number = atomic_load(&peer->object_count);
    if (number == OBJECT_LIMIT) return NULL;
    object->number = number;
    atomic_store_explicit(&peer->objects[number], object, memory_order_release);
    atomic_store(&peer->object_count, number + 1);
    return object;
}

static void object_free(struct object *object) {
    if (object->refusal_message.release != NULL) object->refusal_message.release(object->refusal_message.context);
    shape_free(object->shape);
    free(object);
}

/// A new object for what `offer` says; NULL with an error. Takes over the refusal's message.
static struct object *make(const char *id, const isolation_offer *offer, const char *ends, hostd_error *error) {
    char message[INTERPOSER_MESSAGE_LIMIT] = "there is neither a table nor a descriptor";
    const char *slots = offer->slots;
    if (slots == NULL && offer->table != NULL) slots = offer->table->slots;
    struct shape *shape = slots == NULL ? NULL : shape_create(id, slots, offer->ends == NULL ? ends : offer->ends, message);
    struct object *object = shape == NULL ? NULL : calloc(1, sizeof *object);
    if (object == NULL) {
        if (shape != NULL) shape_free(shape);
        if (offer->refusal_message.release != NULL) offer->refusal_message.release(offer->refusal_message.context);
        fail(error, HOSTD_ERROR_INTERNAL, "The interface that was asked for has no proper descriptor.");
        return NULL;
    }
    object->table = offer->table;
    object->shape = shape;
    object->refusal = offer->refusal < 0 ? offer->refusal : HOSTD_ERROR_FORBIDDEN;
    object->refusal_message = offer->refusal_message;
    return object;
}

static const struct object *find_resolved(isolation_peer *peer, const char *id) {
    uint32_t count = atomic_load(&peer->object_count);
    for (uint32_t i = 0; i < count; i++) {
        const struct object *object = object_find(peer, i);
        if (object->was_resolved && strcmp(object->shape->id, id) == 0) return object;
    }
    return NULL;
}

int32_t object_resolve(isolation_peer *peer, const char *id, const char *ends, const struct object **result,
                       hostd_error *error) {
    const isolation_configuration *configuration = &peer->configuration;
    *result = find_resolved(peer, id);
    if (*result != NULL) return HOSTD_OK;
    if (configuration->resolve == NULL) return fail(error, HOSTD_ERROR_NOT_FOUND, "There are no interfaces here.");
    if (!peer_begin_callback(peer)) return fail_exchange(peer, -ECANCELED, error);
    isolation_offer offer = {0};
    int32_t status = configuration->resolve(configuration->context, id, &offer, error);
    peer_end_callback(peer);
    if (status != HOSTD_OK) return status < 0 ? status : HOSTD_ERROR_INTERNAL;
    // What a child says of the ends of a table of the host does not count.
    struct object *object = make(id, &offer, configuration->is_host ? NULL : ends, error);
    if (object == NULL) return HOSTD_ERROR_INTERNAL;
    object->was_resolved = 1;
    pthread_mutex_lock(&peer->object_lock);
    *result = find_resolved(peer, id);
    int is_new = *result == NULL;
    if (is_new) *result = add(peer, object);
    pthread_mutex_unlock(&peer->object_lock);
    if (!is_new || *result == NULL) object_free(object);
    if (*result != NULL) return HOSTD_OK;
    return fail(error, HOSTD_ERROR_RESOURCE_EXHAUSTED, "A plugin's process was given as many interfaces as it may have.");
}

const struct object *object_of_table(isolation_peer *peer, const hostd_interface *table) {
    const isolation_configuration *configuration = &peer->configuration;
    pthread_mutex_lock(&peer->object_lock);
    const struct object *found = NULL;
    uint32_t count = atomic_load(&peer->object_count);
    for (uint32_t i = 0; i < count && found == NULL; i++) {
        const struct object *object = object_find(peer, i);
        if (object->table == table && !object->was_resolved) found = object;
    }
    if (found == NULL) {
        isolation_offer offer = {.table = table};
        if (configuration->ends != NULL && peer_begin_callback(peer)) {
            offer.ends = configuration->ends(configuration->context, table->id);
            peer_end_callback(peer);
        }
        hostd_error error = {.struct_size = sizeof error};
        struct object *object = make(table->id, &offer, NULL, &error);
        found = object == NULL ? NULL : add(peer, object);
        if (found == NULL && object != NULL) object_free(object);
    }
    pthread_mutex_unlock(&peer->object_lock);
    return found;
}

void object_free_all(isolation_peer *peer) {
    uint32_t count = atomic_load(&peer->object_count);
    for (uint32_t i = 0; i < count; i++) object_free((struct object *)object_find(peer, i));
}
