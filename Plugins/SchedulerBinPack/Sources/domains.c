#include "domains.h"

#include <string.h>

static uint32_t position(const domains *domains, text key, text value) {
    uint64_t hash = 0xCBF29CE484222325;
    for (uint32_t index = 0; index < key.size; index++) hash = (hash ^ (uint8_t)key.data[index]) * 0x100000001B3;
    hash = (hash ^ 0xFF) * 0x100000001B3;
    for (uint32_t index = 0; index < value.size; index++) hash = (hash ^ (uint8_t)value.data[index]) * 0x100000001B3;
    uint32_t slot = (uint32_t)(hash ^ hash >> 32) & (domains->capacity - 1);
    while (domains->slots[slot].key.data != NULL &&
           !(text_equal(domains->slots[slot].key, key) && text_equal(domains->slots[slot].value, value)))
        slot = (slot + 1) & (domains->capacity - 1);
    return slot;
}

static void grow(call *call, domains *domains) {
    struct domains larger = *domains;
    larger.capacity = domains->capacity == 0 ? 16 : domains->capacity * 2;
    larger.slots = call_allocate(call, larger.capacity * sizeof *larger.slots);
    for (uint32_t slot = 0; slot < domains->capacity; slot++) {
        const domain *old = &domains->slots[slot];
        if (old->key.data != NULL) larger.slots[position(&larger, old->key, old->value)] = *old;
    }
    *domains = larger;
}

static void add_key(call *call, domains *domains, text key) {
    for (uint32_t index = 0; index < domains->key_count; index++)
        if (text_equal(domains->keys[index], key)) return;
    if (domains->key_count == domains->key_room) {
        uint32_t room = domains->key_room == 0 ? 4 : domains->key_room * 2;
        text *keys = call_allocate(call, room * sizeof *keys);
        if (domains->key_count > 0) memcpy(keys, domains->keys, domains->key_count * sizeof *keys);
        domains->keys = keys;
        domains->key_room = room;
    }
    domains->keys[domains->key_count++] = key;
}

void domains_add(call *call, domains *domains, text key, text value, int64_t amount) {
    if (key.data == NULL) key.data = ""; // What marks an empty slot is a key without data.
    if (domains->capacity == 0 || (domains->count + 1) * 4 > domains->capacity * 3) grow(call, domains);
    domain *domain = &domains->slots[position(domains, key, value)];
    if (domain->key.data == NULL) {
        *domain = (struct domain){key, value, 0};
        domains->count++;
        add_key(call, domains, key);
    }
    domain->count += amount;
}

const domain *domains_find(const domains *domains, text key, text value) {
    if (domains->capacity == 0) return NULL;
    const domain *domain = &domains->slots[position(domains, key, value)];
    return domain->key.data == NULL ? NULL : domain;
}

bool domains_hold(const domains *domains, const pairs *labels) {
    for (uint32_t index = 0; index < domains->key_count; index++) {
        const text *value = pairs_find(labels, domains->keys[index]);
        if (value != NULL && domains_find(domains, domains->keys[index], *value) != NULL) return true;
    }
    return false;
}

int64_t domains_sum(const domains *domains, const pairs *labels) {
    int64_t sum = 0;
    for (uint32_t index = 0; index < domains->key_count; index++) {
        const text *value = pairs_find(labels, domains->keys[index]);
        const domain *domain = value == NULL ? NULL : domains_find(domains, domains->keys[index], *value);
        if (domain != NULL) sum += domain->count;
    }
    return sum;
}

int64_t domains_least(const domains *domains) {
    int64_t least = INT64_MAX;
    for (uint32_t slot = 0; slot < domains->capacity; slot++)
        if (domains->slots[slot].key.data != NULL && domains->slots[slot].count < least)
            least = domains->slots[slot].count;
    return domains->count == 0 ? 0 : least;
}

int64_t domains_most(const domains *domains) {
    int64_t most = 0;
    for (uint32_t slot = 0; slot < domains->capacity; slot++)
        if (domains->slots[slot].key.data != NULL && domains->slots[slot].count > most) most = domains->slots[slot].count;
    return most;
}
