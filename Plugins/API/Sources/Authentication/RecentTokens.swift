import Glibc
import Synchronization

/// Tokens of this server's own that were shown a moment ago, found again by the bytes of their header: a client that shows one
/// with each request costs a comparison, and no text is made of it.
final class RecentTokens: Sendable {
    private struct Entry: Sendable {
        let shown: [UInt8]
        let token: TokenAuthority.Verified
    }

    private static let slots = 256
    /// By the end of the header, which is a signature's.
    private let entries = Mutex([Entry?](repeating: nil, count: slots))

    func find(_ shown: UnsafeRawBufferPointer) -> TokenAuthority.Verified? {
        guard let slot = Self.slot(shown), let entry = entries.withLock({ $0[slot] }), entry.shown.count == shown.count
        else { return nil }
        let isSame = entry.shown.withUnsafeBytes { memcmp($0.baseAddress!, shown.baseAddress!, shown.count) == 0 }
        return isSame ? entry.token : nil
    }

    func keep(_ token: TokenAuthority.Verified, _ shown: UnsafeRawBufferPointer) {
        guard let slot = Self.slot(shown) else { return }
        let entry = Entry(shown: Array(shown), token: token)
        entries.withLock { $0[slot] = entry }
    }

    private static func slot(_ shown: UnsafeRawBufferPointer) -> Int? {
        guard shown.count >= 8 else { return nil }
        let end = shown.loadUnaligned(fromByteOffset: shown.count - 8, as: UInt64.self)
        return Int(truncatingIfNeeded: (end &* 0x9E37_79B9_7F4A_7C15) >> 56) % slots
    }
}
