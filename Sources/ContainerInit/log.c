#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

#define HEADER_LIMIT 64

static int file = -1;
static uint64_t lost_bytes;
static char pending[2 * (LOG_LINE_LIMIT + HEADER_LIMIT)];
static size_t pending_size;
static char stamp[32];
static size_t stamp_size;

int log_open(const char *path)
{
    if (!path || !*path)
        return 0;
    int opened = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (opened < 0)
        return errno;
    if (file >= 0)
        close(file);
    file = opened;
    return 0;
}

static char *two_digits(char *at, int value)
{
    *at++ = (char)('0' + value / 10);
    *at++ = (char)('0' + value % 10);
    return at;
}

/// All lines of one read share its time.
static void take_time(void)
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    char *at = append_number(stamp, (uint64_t)parts.tm_year + 1900);
    *at++ = '-';
    at = two_digits(at, parts.tm_mon + 1);
    *at++ = '-';
    at = two_digits(at, parts.tm_mday);
    *at++ = 'T';
    at = two_digits(at, parts.tm_hour);
    *at++ = ':';
    at = two_digits(at, parts.tm_min);
    *at++ = ':';
    at = two_digits(at, parts.tm_sec);
    *at++ = '.';
    long nanoseconds = now.tv_nsec;
    for (long unit = 100000000; unit > 0; unit /= 10)
        *at++ = (char)('0' + nanoseconds / unit % 10);
    *at++ = 'Z';
    stamp_size = (size_t)(at - stamp);
}

/// Writes what is collected. A failed write cuts the file back to where it began, so that no half line stays.
static void flush(void)
{
    if (pending_size == 0)
        return;
    off_t before = lseek(file, 0, SEEK_END);
    if (write_all(file, pending, pending_size) < 0) {
        lost_bytes += pending_size;
        if (before >= 0 && ftruncate(file, before) < 0)
            lost_bytes += 0; // Nothing more can be done; the count below still tells of the loss.
    }
    pending_size = 0;
}

static void emit(const char *name, char tag, const char *head, size_t head_size, const char *tail, size_t tail_size)
{
    size_t needed = stamp_size + head_size + tail_size + 16;
    if (pending_size + needed > sizeof pending)
        flush();
    char *at = pending + pending_size;
    memcpy(at, stamp, stamp_size);
    at += stamp_size;
    *at++ = ' ';
    at = append_text(at, name);
    *at++ = ' ';
    *at++ = tag;
    *at++ = ' ';
    memcpy(at, head, head_size);
    memcpy(at + head_size, tail, tail_size);
    at += head_size + tail_size;
    *at++ = '\n';
    pending_size = (size_t)(at - pending);
}

static void tell_loss(void)
{
    if (lost_bytes == 0)
        return;
    uint64_t told = lost_bytes;
    char text[96];
    char *end = append_text(text, "hostd: ");
    end = append_text(append_number(end, told), " bytes of output were lost because the log could not be written");
    emit("stderr", 'F', text, (size_t)(end - text), "", 0);
    lost_bytes = 0;
    flush();
    if (lost_bytes)
        lost_bytes = told; // Still full: say it later.
}

void log_append(struct log_stream *stream, const char *bytes, size_t size)
{
    if (file < 0)
        return;
    take_time();
    tell_loss();
    while (size > 0) {
        const char *newline = memchr(bytes, '\n', size);
        size_t part = newline ? (size_t)(newline - bytes) : size;
        if (part > LOG_LINE_LIMIT - stream->used || (!newline && part == LOG_LINE_LIMIT - stream->used)) {
            part = LOG_LINE_LIMIT - stream->used;
            emit(stream->name, 'P', stream->line, stream->used, bytes, part);
            stream->used = 0;
        } else if (newline) {
            emit(stream->name, 'F', stream->line, stream->used, bytes, part);
            stream->used = 0;
            part++;
        } else {
            memcpy(stream->line + stream->used, bytes, part);
            stream->used += part;
        }
        bytes += part;
        size -= part;
    }
    flush();
}

void log_finish(struct log_stream *stream)
{
    if (file < 0 || stream->used == 0)
        return;
    take_time();
    // No line break was written, and none is to be read.
    emit(stream->name, 'P', stream->line, stream->used, "", 0);
    stream->used = 0;
    flush();
}
