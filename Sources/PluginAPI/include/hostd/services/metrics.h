/// Host service hostd.metrics/1: counters, gauges and histograms, exposed by the host in Prometheus text format.
#ifndef HOSTD_SERVICES_METRICS_H
#define HOSTD_SERVICES_METRICS_H

#include "hostd/abi.h"

HOSTD_EXTERN_C_BEGIN
HOSTD_ASSUME_NONNULL_BEGIN

#define HOSTD_METRICS_1 "hostd.metrics/1"
#define HOSTD_METRICS_1_SLOTS "define:ubbHe;record:hde;collect:oe"

#define HOSTD_METRIC_COUNTER 1
#define HOSTD_METRIC_GAUGE 2
#define HOSTD_METRIC_HISTOGRAM 3

typedef struct hostd_metrics_1 {
    hostd_interface interface;
    /// Defines a series, or finds it when it exists with the same kind: `name` such as "workqueue_depth", `labels` in
    /// Prometheus form without braces such as `name="deployment"`, or empty. A histogram may name the upper bounds of its
    /// buckets as its last label, `le="0.5,1,2"`; without it, they are those of seconds, or of bytes for names that end in
    /// `_bytes`. [any-thread]
    int32_t (*define)(void *HOSTD_NULLABLE self, uint32_t kind, const uint8_t *name, uint64_t name_size,
                      const uint8_t *HOSTD_NULLABLE labels, uint64_t labels_size, uint64_t *metric, hostd_error *error);
    /// Adds to a counter, sets a gauge, or observes a value (seconds, bytes) in a histogram. [any-thread] [<=1us]
    int32_t (*record)(void *HOSTD_NULLABLE self, uint64_t metric, double value, hostd_error *error);
    /// All series of all plugins and of the host itself, as Prometheus text. [any-thread]
    int32_t (*collect)(void *HOSTD_NULLABLE self, hostd_buffer *text, hostd_error *error);
} hostd_metrics_1;

HOSTD_ASSUME_NONNULL_END
HOSTD_EXTERN_C_END
#endif
