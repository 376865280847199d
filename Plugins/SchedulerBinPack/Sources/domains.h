/// Counts by place in the sense of a topology: a node label and its value. Lives in a call's scratch memory.
#ifndef BINPACK_DOMAINS_H
#define BINPACK_DOMAINS_H

#include "facts.h"

typedef struct domain {
    text key, value;
    int64_t count;
} domain;

typedef struct domains {
    domain *slots;
    uint32_t capacity, count;
    text *keys; ///< Each key that occurs, once.
    uint32_t key_count, key_room;
} domains;

/// Adds to a domain's count; a new one begins at 0.
void domains_add(call *call, domains *domains, text key, text value, int64_t amount);
/// NULL when nothing was added there.
const domain *domains_find(const domains *domains, text key, text value);
/// Whether a node with these labels lies in one of the domains.
bool domains_hold(const domains *domains, const pairs *labels);
/// The sum over the domains that a node with these labels lies in.
int64_t domains_sum(const domains *domains, const pairs *labels);
int64_t domains_least(const domains *domains);
int64_t domains_most(const domains *domains);

#endif
