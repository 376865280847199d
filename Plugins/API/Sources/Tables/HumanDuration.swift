import Objects

/// Ages as kubectl shows them: "45s", "5m30s", "3h", "2d4h", "1y30d".
enum HumanDuration {
    static func format(_ seconds: Int64) -> String {
        if seconds < -1 { return "<invalid>" }
        if seconds < 0 { return "0s" }
        if seconds < 120 { return "\(seconds)s" }
        let minutes = seconds / 60
        if minutes < 10 { return seconds % 60 == 0 ? "\(minutes)m" : "\(minutes)m\(seconds % 60)s" }
        if minutes < 180 { return "\(minutes)m" }
        let hours = minutes / 60
        if hours < 8 { return minutes % 60 == 0 ? "\(hours)h" : "\(hours)h\(minutes % 60)m" }
        if hours < 48 { return "\(hours)h" }
        let days = hours / 24
        if hours < 192 { return hours % 24 == 0 ? "\(days)d" : "\(days)d\(hours % 24)h" }
        if days < 730 { return "\(days)d" }
        let years = days / 365
        if days < 2920 { return days % 365 == 0 ? "\(years)y" : "\(years)y\(days % 365)d" }
        return "\(years)y"
    }

    /// The time since a timestamp; "<unknown>" without one.
    static func since(_ timestamp: String?, now: Timestamp) -> String {
        guard let timestamp, !timestamp.isEmpty, let then = try? Timestamp(parsing: timestamp) else {
            return "<unknown>"
        }
        return format(now.seconds - then.seconds)
    }
}
