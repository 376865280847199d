/// Configuration access, reports and the small system calls that the C library lacks.
#ifndef CONTAINER_INIT_SUPPORT_H
#define CONTAINER_INIT_SUPPORT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol.h"

struct configuration {
    const uint8_t *bytes;
    size_t size;
};

struct record {
    uint32_t tag;
    uint32_t size;
    const uint8_t *data; ///< followed by a zero byte
};

/// Maps the configuration of descriptor 3 and checks that every record lies inside it.
struct configuration configuration_open(void);
void configuration_close(struct configuration *configuration);
/// Advances `*offset` to the next record of `tag`; 0 at the end.
int configuration_next(const struct configuration *configuration, uint32_t tag, size_t *offset, struct record *record);
const char *configuration_string(const struct configuration *configuration, uint32_t tag);
uint64_t configuration_number(const struct configuration *configuration, uint32_t tag, uint64_t absent);
/// The u64 at `index` of a record that begins with numbers.
uint64_t record_number(const struct record *record, unsigned index);
/// The string at `index` after `numbers` leading u64; "" when there is none.
const char *record_string(const struct record *record, unsigned numbers, unsigned index);

/// Where fail() reports to, and the process' role in it.
extern int report_descriptor;
void report_send(const struct report *report);
_Noreturn void fail(uint32_t step, int code, const char *path);

int64_t now_nanoseconds(void);
uint64_t process_start_time(pid_t process);
int write_all(int descriptor, const void *bytes, size_t size);
/// Writes a small kernel file; 0 or -1 with errno.
int write_file(const char *path, const char *text, int flags);
/// Appends the decimal digits of `value`; returns the end.
char *append_number(char *at, uint64_t value);
char *append_text(char *at, const char *text);
void copy_path(char *destination, size_t capacity, const char *source);

int open_in_root(int root, const char *path, uint64_t flags);
pid_t clone_process(uint64_t flags, int cgroup, int *process_descriptor);
int send_descriptor(int socket, const struct report *report, int descriptor);
/// Moves descriptors above the standard ones out of the way of exec and closes what was inherited by mistake.
void close_from(unsigned first);
void standard_streams_to_null(void);
void reset_signals(void);

#endif
