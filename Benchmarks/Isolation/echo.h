/// The interface that is measured.
#ifndef ISOLATION_BENCHMARK_ECHO_H
#define ISOLATION_BENCHMARK_ECHO_H

#include "hostd/plugin.h"

#define ECHO_1 "com.example.echo/1"
#define ECHO_1_SLOTS "echo:boe"

typedef struct echo_1 {
    hostd_interface interface;
    int32_t (*echo)(void *self, const uint8_t *bytes, uint64_t size, hostd_buffer *same, hostd_error *error);
} echo_1;

#endif
