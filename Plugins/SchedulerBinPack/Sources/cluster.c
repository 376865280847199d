#include "cluster.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "copy.h"

void cluster_begin(cluster *cluster) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *cluster = (struct cluster){.revision = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec};
}

void cluster_clear(cluster *cluster) {
    uint32_t slot = 0;
    for (pod *pod; (pod = table_next(&cluster->pods, &slot)) != NULL;) free(pod);
    slot = 0;
    for (place *place; (place = table_next(&cluster->places, &slot)) != NULL;) {
        free(place->node);
        free(place);
    }
    table_clear(&cluster->pods);
    table_clear(&cluster->places);
    cluster->nodes = cluster->antagonists = 0;
}

void usage_change(usage *usage, const pod_facts *pod, int sign) {
    usage->amounts.milli_cpu += sign * pod->amounts.milli_cpu;
    usage->amounts.memory += sign * pod->amounts.memory;
    usage->amounts.ephemeral_storage += sign * pod->amounts.ephemeral_storage;
    usage->amounts.pods += sign * pod->amounts.pods;
    usage->scored_milli_cpu += sign * pod->scored_milli_cpu;
    usage->scored_memory += sign * pod->scored_memory;
}

/// The place of a name, made when there is none; NULL without memory.
static place *place_of(cluster *cluster, text name) {
    place *known = table_find(&cluster->places, name);
    if (known != NULL) return known;
    if (!table_reserve(&cluster->places)) return NULL;
    place *place = calloc(1, sizeof *place + name.size);
    if (place == NULL) return NULL;
    memcpy(place + 1, name.data, name.size);
    place->name = (text){(char *)(place + 1), name.size};
    table_insert(&cluster->places, (keyed *)place);
    return place;
}

/// Forgets a place that has neither a node nor pods.
static void drop_empty(cluster *cluster, place *place) {
    if (place->node != NULL || place->pods != NULL) return;
    table_remove(&cluster->places, place->name);
    free(place);
}

bool cluster_set_node(cluster *cluster, const node_facts *facts) {
    node_facts *copy = node_copy(facts);
    place *place = copy == NULL ? NULL : place_of(cluster, facts->name);
    if (place == NULL) {
        free(copy);
        return false;
    }
    if (place->node == NULL) cluster->nodes++;
    free(place->node);
    place->node = copy;
    return true;
}

void cluster_remove_node(cluster *cluster, text name) {
    place *place = table_find(&cluster->places, name);
    if (place == NULL || place->node == NULL) return;
    free(place->node);
    place->node = NULL;
    cluster->nodes--;
    drop_empty(cluster, place);
}

static void unlink_pod(cluster *cluster, pod *pod) {
    place *place = pod->place;
    usage_change(&place->used, &pod->facts, -1);
    if (pod->facts.anti_affinity.count > 0) cluster->antagonists--;
    if (pod->facts.attraction.count > 0) cluster->attractors--;
    *(pod->previous == NULL ? &place->pods : &pod->previous->next) = pod->next;
    if (pod->next != NULL) pod->next->previous = pod->previous;
    table_remove(&cluster->pods, pod->uid);
    free(pod);
    drop_empty(cluster, place);
}

bool cluster_set_pod(cluster *cluster, text uid, text node, const pod_facts *facts) {
    pod *copy = pod_copy(uid, facts);
    if (copy == NULL || !table_reserve(&cluster->pods)) {
        free(copy);
        return false;
    }
    place *place = place_of(cluster, node);
    if (place == NULL) {
        free(copy);
        return false;
    }
    copy->place = place;
    copy->next = place->pods;
    if (copy->next != NULL) copy->next->previous = copy;
    place->pods = copy;
    usage_change(&place->used, facts, 1);
    if (facts->anti_affinity.count > 0) cluster->antagonists++;
    if (facts->attraction.count > 0) cluster->attractors++;
    // The one that it replaces goes last, so that its place does not go with it.
    pod *former = table_find(&cluster->pods, uid);
    if (former != NULL) unlink_pod(cluster, former);
    table_insert(&cluster->pods, (keyed *)copy);
    return true;
}

void cluster_remove_pod(cluster *cluster, text uid) {
    pod *pod = table_find(&cluster->pods, uid);
    if (pod != NULL) unlink_pod(cluster, pod);
}
