import Glibc

/// Nanoseconds of the monotonic clock.
func monotonicNow() -> UInt64 {
    #if SIMULATION
        simulatedThreads.now()
    #else
        clockNow(CLOCK_MONOTONIC)
    #endif
}

/// Milliseconds since 1970 (UTC) by the system's wall clock, 0 before it.
func wallClockMilliseconds() -> UInt64 {
    #if SIMULATION
        1_700_000_000_000 + simulatedThreads.now() / 1_000_000
    #else
        clockNow(CLOCK_REALTIME) / 1_000_000
    #endif
}

private func clockNow(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(max(time.tv_sec, 0)) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// `start + delay` that stops at the end of time instead of wrapping round.
func time(_ start: UInt64, plus delay: UInt64) -> UInt64 {
    let (sum, overflow) = start.addingReportingOverflow(delay)
    return overflow ? UInt64.max / 2 : sum
}
