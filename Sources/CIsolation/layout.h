/// What lies in the shared memory, and what goes over the socket. README.md explains it.
#ifndef ISOLATION_LAYOUT_H
#define ISOLATION_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "isolation.h"

#define LAYOUT_MAGIC UINT64_C(0x316c6f7369746468) ///< "hdtisol1"
#define LAYOUT_VERSION 1
#define LAYOUT_LANES_MINIMUM 4
#define LAYOUT_LANES_DEFAULT 32
#define LAYOUT_LANES_LIMIT 64

/// The first page of the memory. Written by the host before the child exists, read by the child once.
struct layout_head {
    uint64_t magic;
    uint32_t version;
    uint32_t lanes; ///< In each direction.
};
#define LAYOUT_HEAD_SIZE 4096

/// One lane: its client and its server take turns in writing. `turn` is even when it is the client's turn and odd when
/// it is the server's; who has written adds one. Each side keeps the turn that it expects to itself, so that a number
/// which is neither the last nor the next is a breach.
struct layout_lane {
    _Atomic(uint32_t) turn;            ///< A futex word.
    _Atomic(uint32_t) client_sleeps;   ///< 1 while the client waits in the futex, or is about to.
    _Atomic(uint32_t) server_sleeps;
    uint32_t reserved[13];
    uint8_t part[];                    ///< A layout_part and its bytes.
};
#define LAYOUT_LANE_SIZE 65536
#define LAYOUT_PART_LIMIT (LAYOUT_LANE_SIZE - sizeof(struct layout_lane) - sizeof(struct layout_part))

/// Head of what one turn writes: a whole message, or one part of a message that is larger than a lane.
struct layout_part {
    uint32_t kind;  ///< LAYOUT_CALL and so on.
    uint32_t size;  ///< Of the bytes that follow.
    uint64_t total; ///< Of the whole message; more than `size` only where it comes in parts.
};

static inline size_t layout_size(uint32_t lanes) { return LAYOUT_HEAD_SIZE + 2 * (size_t)lanes * LAYOUT_LANE_SIZE; }

#endif
