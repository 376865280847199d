/// A provider of hostd.scheduler/1 in C whose functions return at once, for InterposerBenchmark.
#ifndef IDLE_SCHEDULER_H
#define IDLE_SCHEDULER_H

#include "hostd/roles/scheduler.h"

HOSTD_ASSUME_NONNULL_BEGIN

/// Lives as long as the process.
const hostd_interface *idle_scheduler(void);

HOSTD_ASSUME_NONNULL_END
#endif
