import Objects

/// Members of the role's messages that every provider reads alike.
package enum NetworkProviderMessages {
    /// Of collect_garbage: nanoseconds within which an attachment may be missing in the caller's list. At most an hour.
    package static func grace(_ request: JSON) -> UInt64 {
        UInt64(min(max(request["graceSeconds"].integerValue ?? 0, 0), 3600)) * 1_000_000_000
    }
}
