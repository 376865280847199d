#define _GNU_SOURCE // ppoll's friends
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal.h"

#define FILES_WAIT_NS UINT64_C(5000000000)
#define SEND_SLICE_MS 50

/// A packet of the socket.
struct packet {
    struct layout_notice notice;
    char text[LAYOUT_TEXT_LIMIT];
    size_t size;
    uint32_t file_count;
    int32_t files[INTERPOSER_LETTER_LIMIT];
};

union control {
    struct cmsghdr head;
    char space[CMSG_SPACE(INTERPOSER_LETTER_LIMIT * sizeof(int32_t))];
};

// MARK: Sending

int control_send(isolation_peer *peer, const struct layout_notice *notice, const int32_t *files, uint64_t deadline_ns) {
    union control control;
    memset(&control, 0, sizeof control);
    struct iovec part = {.iov_base = (void *)notice, .iov_len = sizeof *notice};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (notice->count != 0) {
        size_t size = notice->count * sizeof(int32_t);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(size);
        control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(size), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), files, size);
    }
    for (;;) {
        if (peer_has_ended(peer)) return -ECANCELED;
        if (sendmsg(peer->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
        if (errno == EINTR) continue;
        if (errno != EAGAIN) {
            // A descriptor that is none is the caller's mistake; everything else means that nobody is there.
            return errno == EBADF || errno == ETOOMANYREFS ? -errno : -ECANCELED;
        }
        if (deadline_ns != 0 && now_ns() >= deadline_ns) return -ETIMEDOUT;
        struct pollfd wait = {.fd = peer->socket, .events = POLLOUT};
        poll(&wait, 1, SEND_SLICE_MS); // In slices, to see the end of the peer.
    }
}

// MARK: Receiving

/// 1 with a packet, 0 when there is none, -1 at the end of the connection.
static int receive(isolation_peer *peer, struct packet *packet) {
    union control control;
    struct iovec parts[] = {{.iov_base = &packet->notice, .iov_len = sizeof packet->notice},
                            {.iov_base = packet->text, .iov_len = sizeof packet->text}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = &control,
                             .msg_controllen = sizeof control.space};
    packet->file_count = 0;
    ssize_t size = recvmsg(peer->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head != NULL; head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        uint32_t count = (uint32_t)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int32_t));
        if (count > INTERPOSER_LETTER_LIMIT) count = INTERPOSER_LETTER_LIMIT;
        memcpy(packet->files, CMSG_DATA(head), count * sizeof(int32_t));
        packet->file_count = count;
    }
    if (size == 0) return -1;
    packet->size = (size_t)size;
    return (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ? 2 : 1;
}

static int open_server(isolation_peer *peer, uint32_t index) {
    if (index >= peer->lane_count || peer->servers[index].is_open) return -1;
    struct lane *lane = &peer->servers[index];
    lane->is_open = 1;
    if (lane_start(lane) != 0) {
        peer_end(peer, ISOLATION_CONDEMNED, "No thread can be started for a call: raise the limit of processes.");
    }
    return 0;
}

/// Keeps descriptors for the call that comes. -1 when there is no room for them.
static int keep_files(isolation_peer *peer, const struct packet *packet) {
    const struct layout_notice *notice = &packet->notice;
    if (notice->lane >= peer->lane_count || packet->file_count == 0 || notice->count != packet->file_count) return -1;
    struct lane *lane = &peer->servers[notice->lane];
    pthread_mutex_lock(&lane->mailbox_lock);
    int is_free = lane->is_open && lane->file_count == 0 &&
                  atomic_load(&peer->files_waiting) + packet->file_count <= FILE_LIMIT;
    if (is_free) {
        atomic_fetch_add(&peer->files_waiting, packet->file_count);
        memcpy(lane->files, packet->files, packet->file_count * sizeof packet->files[0]);
        lane->file_count = packet->file_count;
        lane->file_turn = notice->turn;
        pthread_cond_broadcast(&lane->mailbox_filled);
    }
    pthread_mutex_unlock(&lane->mailbox_lock);
    return is_free ? 0 : -1;
}

int control_take_files(struct lane *lane, uint32_t count, int32_t *files) {
    uint64_t deadline = deadline_after(FILES_WAIT_NS);
    int status = 0;
    pthread_mutex_lock(&lane->mailbox_lock);
    while (lane->file_count == 0 && status == 0 && !peer_has_ended(lane->peer)) {
        status = wait_until(&lane->mailbox_filled, &lane->mailbox_lock, deadline);
    }
    int is_right = lane->file_count == count && lane->file_turn == lane->first_turn;
    if (is_right) {
        memcpy(files, lane->files, count * sizeof files[0]);
        lane->file_count = 0;
        atomic_fetch_sub(&lane->peer->files_waiting, count);
    }
    pthread_mutex_unlock(&lane->mailbox_lock);
    if (is_right) return 0;
    return breach(lane->peer, "A call of the plugin's process came without the descriptors that it names.");
}

/// One packet. -1 when it is not what a packet may be.
static int handle(isolation_peer *peer, struct packet *packet) {
    if (packet->size < sizeof packet->notice) return -1;
    size_t text = packet->size - sizeof packet->notice;
    if (packet->notice.kind == LAYOUT_NOTICE_FAILED && peer->configuration.is_host && packet->file_count == 0) {
        char reason[REASON_LIMIT];
        size_t size = text < sizeof reason - 1 ? text : sizeof reason - 1;
        memcpy(reason, packet->text, size);
        reason[size] = 0;
        peer_end(peer, ISOLATION_GONE, reason);
        return 0;
    }
    if (text != 0) return -1;
    if (packet->notice.kind == LAYOUT_NOTICE_LANE && packet->file_count == 0 && packet->notice.lane < peer->lane_count) {
        return open_server(peer, packet->notice.lane);
    }
    if (packet->notice.kind != LAYOUT_NOTICE_FILES || keep_files(peer, packet) != 0) return -1;
    packet->file_count = 0; // They are the lane's now.
    return 0;
}

/// Everything that the socket has.
static void read_socket(isolation_peer *peer) {
    static const char sentence[] = "The plugin's process sent something over its socket that has no meaning.";
    while (!peer_has_ended(peer)) {
        struct packet packet;
        int result = receive(peer, &packet);
        if (result == 0) return;
        if (result == -1) peer_end(peer, ISOLATION_GONE, "The plugin's process has ended, or closed its socket.");
        else if (result == 2 || handle(peer, &packet) != 0) breach(peer, sentence);
        for (uint32_t i = 0; i < packet.file_count; i++) close(packet.files[i]);
    }
}

// MARK: The end

/// Wakes everybody who waits for the other side, until nobody does: a hostile one may put back what is written here.
static void wake_all(isolation_peer *peer) {
    for (;;) {
        for (uint32_t i = 0; i < peer->lane_count; i++) {
            lane_wake(&peer->clients[i]);
            lane_wake(&peer->servers[i]);
            pthread_mutex_lock(&peer->servers[i].mailbox_lock);
            pthread_cond_broadcast(&peer->servers[i].mailbox_filled);
            pthread_mutex_unlock(&peer->servers[i].mailbox_lock);
        }
        pthread_mutex_lock(&peer->lane_lock);
        pthread_cond_broadcast(&peer->lane_freed);
        pthread_mutex_unlock(&peer->lane_lock);
        if (atomic_load(&peer->sleepers) == 0 && atomic_load(&peer->calls_out_now) == 0) return;
        pthread_mutex_lock(&peer->end_lock);
        wait_until(&peer->end_changed, &peer->end_lock, deadline_after(500000));
        pthread_mutex_unlock(&peer->end_lock);
    }
}

static void finish(isolation_peer *peer) {
    shutdown(peer->socket, SHUT_RDWR);
    wake_all(peer);
    receiver_end_all(peer);
    relay_end_all(peer);
    if (peer->configuration.died != NULL) peer->configuration.died(peer->configuration.context, peer->cause, peer->reason);
    pthread_mutex_lock(&peer->end_lock);
    peer->has_ended = 1;
    pthread_cond_broadcast(&peer->end_changed);
    pthread_mutex_unlock(&peer->end_lock);
}

void control_main(void *argument) {
    isolation_peer *peer = argument;
    struct pollfd sources[] = {{.fd = peer->alarm, .events = POLLIN},
                               {.fd = peer->socket, .events = POLLIN},
                               {.fd = peer->configuration.process, .events = POLLIN}};
    while (!peer_has_ended(peer)) {
        if (poll(sources, 3, -1) < 0) continue; // EINTR: there is no other reason.
        if (sources[1].revents != 0) read_socket(peer);
        if (sources[2].revents != 0) peer_end(peer, ISOLATION_GONE, "The plugin's process has ended.");
    }
    finish(peer);
}
