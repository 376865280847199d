/// Container output in the CRI log format: `2026-01-02T03:04:05.123456789Z stdout F text`.
#ifndef CONTAINER_INIT_LOG_H
#define CONTAINER_INIT_LOG_H

#include <stddef.h>
#include <stdint.h>

/// A line longer than this is written in parts tagged P, the last one F.
#define LOG_LINE_LIMIT 16384

/// One output stream with the beginning of a line that has not ended yet.
struct log_stream {
    const char *name; ///< "stdout" or "stderr"
    size_t used;
    char line[LOG_LINE_LIMIT];
};

/// Opens (or, after a rotation, opens again) the file; 0 or an errno. An empty path drops output.
int log_open(const char *path);
/// Writes the complete lines of `bytes` and keeps the rest. When the disk is full output is dropped, counted, and a
/// line says how much once writing works again.
void log_append(struct log_stream *stream, const char *bytes, size_t size);
/// Writes what is left of an unfinished line, tagged P.
void log_finish(struct log_stream *stream);

#endif
