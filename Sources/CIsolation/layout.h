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
    uint32_t kind;  ///< One of those below.
    uint32_t size;  ///< Of the bytes that follow.
    uint64_t total; ///< Of the whole message; more than `size` only where it comes in parts.
};

/// Messages of a client.
#define LAYOUT_CALL 1     ///< layout_call, then the arguments.
#define LAYOUT_SINK 2     ///< layout_delivery; `number` is the sink's kind.
#define LAYOUT_CALLBACK 3 ///< layout_delivery.
#define LAYOUT_COMPLETE 4 ///< layout_delivery; `number` is the status, an error follows the bytes.
#define LAYOUT_RESOLVE 5  ///< Id and ends, as texts: asks for an interface.
#define LAYOUT_DESCRIBE 6 ///< uint64_t, a number: asks what the object is.
/// Messages of a server.
#define LAYOUT_REPLY 7
/// In between, without bytes: the reader of a message that comes in parts wants the next one, or no more of it.
#define LAYOUT_CONTINUE 8
#define LAYOUT_STOP 9

/// Every field of a message is a multiple of 8 bytes: numbers are widened, bytes are padded with zeros.
struct layout_call {
    uint32_t object;
    uint32_t slot;
    uint32_t files; ///< Descriptors that were sent over the socket before this.
    uint32_t reserved;
};

struct layout_delivery {
    uint64_t receiver;
    uint32_t number;
    uint32_t has_error;
};

/// In place of the size of bytes: there is none, the pointer is NULL.
#define LAYOUT_NONE UINT64_MAX

/// What goes over the socket, one packet each.
struct layout_notice {
    uint32_t kind;
    uint32_t lane;
    uint32_t turn;  ///< The turn that the call with these descriptors will have.
    uint32_t count; ///< Of descriptors.
};
#define LAYOUT_TEXT_LIMIT 512 ///< Bytes of a sentence after a notice.
#define LAYOUT_NOTICE_LANE 1   ///< The sender begins to use a lane as its client.
#define LAYOUT_NOTICE_FILES 2  ///< Descriptors for the next call in a lane.
#define LAYOUT_NOTICE_FAILED 3 ///< The child gives up before it serves; a sentence follows.

static inline size_t layout_size(uint32_t lanes) { return LAYOUT_HEAD_SIZE + 2 * (size_t)lanes * LAYOUT_LANE_SIZE; }

#endif
