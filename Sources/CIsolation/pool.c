#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/// A free lane, or one whose server has answered after the call was given up. With the lock held.
static struct lane *take(isolation_peer *peer) {
    struct lane *lane = peer->free_lanes;
    if (lane != NULL) {
        peer->free_lanes = lane->next;
        return lane;
    }
    return NULL;
}

/// Puts lanes back that were abandoned and have been answered in the meantime. With the lock held.
static void reclaim(isolation_peer *peer) {
    struct lane **link = &peer->abandoned_lanes;
    while (*link != NULL) {
        struct lane *lane = *link;
        struct layout_part part;
        memcpy(&part, lane->shared->part, sizeof part);
        int is_done = atomic_load(&lane->shared->turn) == lane->turn + 1 && part.kind == LAYOUT_REPLY &&
                      part.size == part.total;
        if (!is_done) {
            link = &lane->next;
            continue;
        }
        lane->turn++;
        lane->has_arrived = 0;
        *link = lane->next;
        lane->next = peer->free_lanes;
        peer->free_lanes = lane;
        peer->used[lane->used_for]--;
    }
}

/// Tells the other side of a lane's first use.
static int open_lane(struct lane *lane, uint64_t deadline_ns) {
    if (lane->scratch == NULL) lane->scratch = malloc(LAYOUT_PART_LIMIT);
    if (lane->scratch == NULL) return -ENOMEM;
    struct layout_notice notice = {.kind = LAYOUT_NOTICE_LANE, .lane = lane->index};
    int status = control_send(lane->peer, &notice, NULL, deadline_ns);
    if (status == 0) lane->is_open = 1;
    return status;
}

int lane_acquire(isolation_peer *peer, enum lane_class class, uint64_t deadline_ns, struct lane **result) {
    struct lane *lane = NULL;
    int status = 0;
    pthread_mutex_lock(&peer->lane_lock);
    for (;;) {
        if (peer_has_ended(peer)) status = -ECANCELED;
        if (status != 0) break;
        if (peer->abandoned_lanes != NULL) reclaim(peer);
        if (peer->used[class] < peer->quota[class]) lane = take(peer);
        if (lane != NULL) break;
        peer->lane_waiters++;
        if (wait_until(&peer->lane_freed, &peer->lane_lock, deadline_ns) != 0) status = -ETIMEDOUT;
        peer->lane_waiters--;
    }
    if (lane != NULL) {
        lane->used_for = class;
        peer->used[class]++;
    }
    pthread_mutex_unlock(&peer->lane_lock);
    if (lane != NULL && !lane->is_open) {
        status = open_lane(lane, deadline_ns);
        if (status != 0) lane_release(lane);
    }
    *result = lane;
    return status;
}

void lane_release(struct lane *lane) {
    isolation_peer *peer = lane->peer;
    pthread_mutex_lock(&peer->lane_lock);
    lane->next = peer->free_lanes;
    peer->free_lanes = lane;
    peer->used[lane->used_for]--;
    if (peer->lane_waiters != 0) pthread_cond_broadcast(&peer->lane_freed);
    pthread_mutex_unlock(&peer->lane_lock);
}

void lane_abandon(struct lane *lane) {
    isolation_peer *peer = lane->peer;
    pthread_mutex_lock(&peer->lane_lock);
    lane->next = peer->abandoned_lanes;
    peer->abandoned_lanes = lane;
    pthread_mutex_unlock(&peer->lane_lock);
}
