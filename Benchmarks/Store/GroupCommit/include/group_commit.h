/// Group commit and nothing else: threads that hand records to one that appends them in batches and waits for the disk.
#ifndef GROUP_COMMIT_H
#define GROUP_COMMIT_H

#include <stdint.h>

/// What to run.
typedef struct {
    int32_t file;         ///< Written from its begin on, again and again.
    uint64_t file_size;   ///< Bytes of it that have blocks and were written before.
    uint32_t writers;     ///< Threads, each with one record under way.
    uint32_t record_size; ///< Bytes that each record takes in the file.
    uint64_t nanoseconds; ///< How long.
} group_commit;

/// What it did.
typedef struct {
    uint64_t records;
    uint64_t batches;
} group_commit_result;

/// Runs it: each writer copies its record into the batch that is being filled and sleeps until that is on disk; one thread
/// takes the batch, writes it with one pwrite and one fdatasync, and wakes its writers. 0, or the number of the error. [blocking]
int32_t group_commit_run(const group_commit *_Nonnull load, group_commit_result *_Nonnull result);

#endif
