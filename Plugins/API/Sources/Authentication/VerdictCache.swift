import COpenSSL
import Synchronization

/// Stands for a token where it is kept: its SHA-256. What is kept of many long tokens is small then, and shows none.
struct TokenDigest: Hashable, Sendable {
    private let words: (UInt64, UInt64, UInt64, UInt64)

    init(_ token: String) {
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        var token = token
        token.withUTF8 { bytes in
            withUnsafeMutableBytes(of: &words) { digest in
                let output = digest.baseAddress?.assumingMemoryBound(to: UInt8.self)
                _ = EVP_Digest(bytes.baseAddress, bytes.count, output, nil, EVP_sha256(), nil)
            }
        }
        self.words = words
    }

    static func == (left: TokenDigest, right: TokenDigest) -> Bool { left.words == right.words }
    func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
}

/// Answers that are kept for a while, within a bound.
final class VerdictCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct Entry: Sendable {
        let value: Value
        /// CLOCK_MONOTONIC, nanoseconds.
        let end: UInt64
    }

    private let limit: Int
    private let entries = Mutex<[Key: Entry]>([:])

    /// - Parameter limit: Most answers that are kept; when there would be more, those go that are over, else all.
    init(limit: Int = 4096) { self.limit = limit }

    /// - Parameter now: CLOCK_MONOTONIC, nanoseconds.
    func value(_ key: Key, now: UInt64) -> Value? {
        entries.withLock { entries in
            guard let entry = entries[key], entry.end > now else { return nil }
            return entry.value
        }
    }

    /// - Parameter duration: Nanoseconds; 0 keeps nothing.
    func keep(_ value: Value, for key: Key, now: UInt64, duration: UInt64) {
        guard duration > 0 else { return }
        entries.withLock { entries in
            if entries.count >= limit { entries = entries.filter { $0.value.end > now } }
            if entries.count >= limit { entries.removeAll() }
            entries[key] = Entry(value: value, end: now + duration)
        }
    }
}
