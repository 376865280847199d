#define _GNU_SOURCE // syscall
#include "hostile.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../Sources/CIsolation/layout.h"

/// What a hostile child has in hand.
struct hostile {
    const isolation_channel *channel;
    uint64_t random;
    uint8_t *memory;
    uint32_t lanes;
    uint64_t end_ns;
};

static uint64_t next(struct hostile *hostile) { return test_random(&hostile->random); }

static void map(struct hostile *hostile, const isolation_channel *channel, uint64_t seed) {
    struct stat status;
    fstat(channel->memory, &status);
    *hostile = (struct hostile){.channel = channel, .random = seed * 2654435761 + 1, .end_ns = test_now_ns() + 60000000};
    hostile->lanes = (uint32_t)((status.st_size - LAYOUT_HEAD_SIZE) / (2 * LAYOUT_LANE_SIZE));
    hostile->memory = mmap(NULL, layout_size(hostile->lanes), PROT_READ | PROT_WRITE, MAP_SHARED, channel->memory, 0);
}

/// Lanes of the host come first, then the child's own.
static struct layout_lane *lane_at(struct hostile *hostile, uint32_t index) {
    return (struct layout_lane *)(hostile->memory + LAYOUT_HEAD_SIZE + (size_t)index * LAYOUT_LANE_SIZE);
}

static void notice(struct hostile *hostile, uint32_t kind, uint32_t lane, uint32_t turn, uint32_t count, size_t size) {
    uint8_t packet[128] = {0};
    struct layout_notice notice = {kind, lane, turn, count};
    memcpy(packet, &notice, sizeof notice);
    if (size > sizeof packet) size = sizeof packet;
    union { struct cmsghdr head; char space[CMSG_SPACE(4 * sizeof(int))]; } control = {0};
    struct iovec part = {packet, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0 && count <= 4) {
        int files[4] = {0, 1, 2, 2};
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), files, count * sizeof(int));
    }
    sendmsg(hostile->channel->child_socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void wake(struct layout_lane *lane) { syscall(SYS_futex, &lane->turn, FUTEX_WAKE, 1 << 30, NULL, NULL, 0); }

// MARK: An honest peer with a scribbler beside it

static const hostd_plugin *entered;

static int32_t offer(void *context, const char *id, isolation_offer *offer, hostd_error *error) {
    (void)context, (void)error;
    offer->table = entered->get_interface(entered->self, id);
    return offer->table == NULL ? HOSTD_ERROR_NOT_FOUND : HOSTD_OK;
}

static void died(void *context, uint32_t cause, const char *reason) {
    (void)context, (void)cause, (void)reason;
    _exit(0);
}

static const hostd_interface *host_interface(void *self, const char *id) {
    const hostd_interface *table = NULL;
    hostd_error error = empty_error();
    isolation_peer_import(*(isolation_peer **)self, id, NULL, &table, &error);
    return table;
}

void hostile_scribble(const isolation_channel *channel, uint64_t seed) {
    struct hostile hostile;
    map(&hostile, channel, seed);
    static isolation_peer *peer;
    static hostd_plugin plugin = {.struct_size = sizeof plugin};
    static const hostd_host host = {sizeof host, 1, 1, 0, &peer, host_interface};
    hostd_error error = empty_error();
    void *image = dlopen(plugin_path, RTLD_NOW);
    ((hostd_plugin_entry_function)dlsym(image, HOSTD_PLUGIN_ENTRY_SYMBOL))(&host, &plugin, &error);
    entered = &plugin;
    isolation_configuration configuration = {.struct_size = sizeof configuration, .memory = channel->memory,
                                             .socket = channel->child_socket, .process = -1, .resolve = offer, .died = died};
    int32_t status;
    peer = isolation_peer_create(&configuration, &status);
    plugin.configure(plugin.self, (const uint8_t *)"{}", 2, &error);
    struct timespec pause = {.tv_nsec = (long)(next(&hostile) % 5000000)};
    nanosleep(&pause, NULL);
    while (test_now_ns() < hostile.end_ns) {
        uint32_t index = (uint32_t)(next(&hostile) % (2 * hostile.lanes)) % (next(&hostile) % 4 == 0 ? 2 * hostile.lanes : 2);
        struct layout_lane *lane = lane_at(&hostile, index + (next(&hostile) % 2 ? hostile.lanes : 0));
        if ((uint8_t *)lane >= hostile.memory + layout_size(hostile.lanes)) continue;
        uint64_t value = next(&hostile);
        switch (value % 5) {
        case 0: atomic_fetch_add(&lane->turn, (uint32_t)(value >> 60)); break;
        case 1: memcpy(lane->part + (value >> 8) % 64, &value, 8); break;
        case 2: memcpy(lane->part + (value >> 8) % 4096, &value, 8); break;
        case 3: atomic_store(&lane->client_sleeps, value >> 63); break;
        default: memcpy((uint8_t *)lane + (value >> 8) % 64, &value, 4); break;
        }
        wake(lane);
    }
    pause.tv_nsec = 20000000;
    nanosleep(&pause, NULL);
}

// MARK: No peer at all: messages that are made by hand

/// One turn as a client: sends a message and waits a little for the reply. The reply's size, or -1.
static int exchange(struct hostile *hostile, uint32_t index, uint32_t kind, const void *bytes, uint32_t size,
                    uint64_t total) {
    struct layout_lane *lane = lane_at(hostile, hostile->lanes + index);
    struct layout_part part = {kind, size, total};
    memcpy(lane->part, &part, sizeof part);
    if (size <= LAYOUT_PART_LIMIT) memcpy(lane->part + sizeof part, bytes, size);
    uint32_t turn = atomic_load(&lane->turn) + 1;
    atomic_store(&lane->turn, turn);
    wake(lane);
    uint64_t limit = test_now_ns() + 2000000;
    while (atomic_load(&lane->turn) == turn && test_now_ns() < limit) sched_yield();
    if (atomic_load(&lane->turn) == turn) return -1;
    memcpy(&part, lane->part, sizeof part);
    return (int)part.size;
}

static size_t put(uint8_t *at, size_t size, uint64_t value) {
    memcpy(at + size, &value, sizeof value);
    return size + 8;
}

static size_t put_text(uint8_t *at, size_t size, const char *text) {
    size = put(at, size, strlen(text));
    memcpy(at + size, text, strlen(text));
    return size + ((strlen(text) + 7) & ~(size_t)7);
}

/// A number that is often near an edge.
static uint64_t odd(struct hostile *hostile) {
    static const uint64_t edges[] = {0, 1, 2, 7, 8, 64, 65376, 65377, UINT32_MAX, UINT64_MAX, UINT64_MAX - 7, INT64_MAX, 1 << 20};
    uint64_t random = next(hostile);
    return random % 3 == 0 ? random >> (random % 60) : edges[random % (sizeof edges / sizeof edges[0])];
}

/// A message that is well formed in parts.
static void send_message(struct hostile *hostile, uint32_t lane) {
    static uint8_t bytes[LAYOUT_LANE_SIZE];
    size_t size = 0;
    uint32_t kind = (uint32_t)(next(hostile) % 11);
    if (next(hostile) % 2 == 0) kind = LAYOUT_CALL;
    if (kind == LAYOUT_CALL) {
        struct layout_call head = {(uint32_t)(next(hostile) % 3), (uint32_t)(next(hostile) % 7), next(hostile) % 20 == 0, 0};
        memcpy(bytes, &head, sizeof head);
        size = sizeof head;
        uint64_t fields = next(hostile) % 7;
        for (uint64_t i = 0; i < fields; i++) {
            if (next(hostile) % 3 == 0) size = put_text(bytes, size, "some bytes of an argument");
            else size = put(bytes, size, next(hostile) % 4 ? next(hostile) % 3 : odd(hostile));
        }
    } else if (kind == LAYOUT_RESOLVE) {
        size = put_text(bytes, size, next(hostile) % 2 ? HOSTING_1 : "com.example.forbidden/1");
        size = put_text(bytes, size, next(hostile) % 2 ? "" : "a:b;;:;c");
    } else {
        uint64_t fields = next(hostile) % 6;
        for (uint64_t i = 0; i < fields; i++) size = put(bytes, size, odd(hostile));
    }
    if (next(hostile) % 4 == 0 && size != 0) bytes[next(hostile) % size] = (uint8_t)next(hostile);
    if (next(hostile) % 16 == 0) size = next(hostile) % LAYOUT_PART_LIMIT;
    uint64_t total = next(hostile) % 32 == 0 ? odd(hostile) : size;
    exchange(hostile, lane, kind, bytes, next(hostile) % 64 == 0 ? (uint32_t)odd(hostile) : (uint32_t)size, total);
}

void hostile_messages(const isolation_channel *channel, uint64_t seed) {
    struct hostile hostile;
    map(&hostile, channel, seed);
    uint8_t bytes[256];
    for (uint32_t lane = 0; lane < 3; lane++) notice(&hostile, LAYOUT_NOTICE_LANE, lane, 0, 0, sizeof(struct layout_notice));
    const char *ids[] = {HOSTING_1, HOSTD_TIMERS_1, "com.example.forbidden/1"};
    for (int i = 0; i < 3; i++) {
        size_t size = put_text(bytes, 0, ids[i]);
        size = put_text(bytes, size, "");
        exchange(&hostile, 0, LAYOUT_RESOLVE, bytes, (uint32_t)size, size);
    }
    while (test_now_ns() < hostile.end_ns) send_message(&hostile, (uint32_t)(next(&hostile) % 3));
}

/// What an interface is, wrongly in places.
static size_t make_description(struct hostile *hostile, uint8_t *bytes) {
    const char *slots[] = {LETTERS_1_SLOTS, LETTERS_1_SLOTS, "nothing:e", "", "broken", "a:b;c"};
    size_t size = put(bytes, 0, next(hostile) % 3 == 0 ? odd(hostile) : 0); // A status, mostly good.
    size = put(bytes, size, next(hostile) % 3);
    size = put_text(bytes, size, next(hostile) % 2 ? LETTERS_1 : "x");
    size = put_text(bytes, size, slots[next(hostile) % 6]);
    size = put_text(bytes, size, "");
    for (int i = 0; i < 3; i++) size = put(bytes, size, next(hostile) % 8 ? 0 : odd(hostile));
    return put(bytes, size, LAYOUT_NONE);
}

/// What a call returns: outputs that fit no slot, or some, and an error.
static size_t make_outputs(struct hostile *hostile, uint8_t *bytes) {
    size_t size = put(bytes, 0, next(hostile) % 4 ? UINT64_C(1) << 32 : odd(hostile));
    uint64_t fields = next(hostile) % 4;
    for (uint64_t i = 0; i < fields; i++) {
        if (next(hostile) % 2) size = put_text(bytes, size, "an output of a call");
        else size = put(bytes, size, next(hostile) % 2 ? next(hostile) % 20 : odd(hostile));
    }
    for (int i = 0; i < 3; i++) size = put(bytes, size, next(hostile) % 8 ? 0 : odd(hostile));
    return put(bytes, size, next(hostile) % 8 ? LAYOUT_NONE : odd(hostile));
}

/// Answers what the host asks with replies of its own making.
void hostile_replies(const isolation_channel *channel, uint64_t seed) {
    struct hostile hostile;
    map(&hostile, channel, seed);
    while (test_now_ns() < hostile.end_ns) {
        for (uint32_t i = 0; i < 3; i++) {
            struct layout_lane *lane = lane_at(&hostile, i);
            uint32_t turn = atomic_load(&lane->turn), question;
            if (turn % 2 == 0) continue;
            memcpy(&question, lane->part, sizeof question);
            uint8_t bytes[2048];
            size_t size = question == LAYOUT_CALL ? make_outputs(&hostile, bytes) : make_description(&hostile, bytes);
            struct layout_part part = {next(&hostile) % 32 ? LAYOUT_REPLY : (uint32_t)(next(&hostile) % 12),
                                       next(&hostile) % 64 ? (uint32_t)size : (uint32_t)odd(&hostile),
                                       next(&hostile) % 32 ? size : odd(&hostile)};
            memcpy(lane->part, &part, sizeof part);
            memcpy(lane->part + sizeof part, bytes, size);
            atomic_store(&lane->turn, turn + 1);
            wake(lane);
        }
    }
}

void hostile_packets(const isolation_channel *channel, uint64_t seed) {
    struct hostile hostile;
    map(&hostile, channel, seed);
    while (test_now_ns() < hostile.end_ns) {
        uint64_t random = next(&hostile);
        uint32_t lane = random % 8 == 0 ? (uint32_t)random : (uint32_t)(random >> 20) % hostile.lanes;
        uint32_t kind = random % 64 == 0 ? (uint32_t)(random >> 32) : 1 + (uint32_t)(random >> 16) % 2;
        uint32_t count = kind == 1 && random % 16 != 0 ? 0 : (uint32_t)(random >> 40) % 5;
        notice(&hostile, kind, lane, (uint32_t)(random >> 50), count, random % 32 == 0 ? random % 100 : 16);
        sched_yield();
    }
}
