import Glibc
import Objects

/// The wall clock as plain seconds, and the two time formats of the API.
enum WallClock {
    static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Nanoseconds of the monotonic clock, on which deadlines of role calls are counted.
    static func monotonicNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// A role call's deadline, `seconds` from now.
    static func deadline(seconds: Double) -> UInt64 {
        monotonicNanoseconds() + UInt64(max(seconds, 0) * 1e9)
    }

    /// Seconds since the epoch of an RFC 3339 time; nil when it is none.
    static func seconds(rfc3339 text: String) -> Double? {
        guard !text.isEmpty else { return nil }
        do {
            let time = try Timestamp(parsing: text)
            return Double(time.seconds) + Double(time.nanoseconds) / 1e9
        } catch {
            return nil  // Callers treat an unreadable time as an absent one.
        }
    }

    /// "2026-01-02T03:04:05Z" for a time that may carry a fraction of a second.
    static func withoutFraction(_ text: String) -> String {
        guard let dot = text.firstIndex(of: ".") else { return text }
        return text[..<dot] + "Z"
    }

    /// Now, as metav1.Time prints it.
    static func timestamp() -> String { Timestamp.now().formatted(fraction: .none) }

    /// Now, as metav1.MicroTime prints it.
    static func microTimestamp() -> String { Timestamp.now().formatted(fraction: .micro) }
}
