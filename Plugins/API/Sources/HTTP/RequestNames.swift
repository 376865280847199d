import Objects
import Synchronization

/// Gives each request a name, by which its answer, and the audit log where one is kept, speak of it: the header Audit-Id. Names
/// look like UUIDs and differ, but are no secrets: the system is asked for random numbers once, not for each request.
/// See https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/.
final class RequestNames: Sendable {
    private let seed = UInt64.random(in: 0 ... .max)
    private let count = Atomic<UInt64>(.random(in: 0 ... .max))
    /// Longest name that a client may give, in bytes.
    private static let longest = 64

    /// The name that the client gave its request, if it may, or a new one.
    func name(_ head: HTTPRequestHead) -> String {
        guard let given = head.header("audit-id"), !given.isEmpty, given.utf8.count <= Self.longest else {
            return make()
        }
        return given
    }

    private func make() -> String {
        let number = count.wrappingAdd(1, ordering: .relaxed).newValue
        return randomUUID(Self.mixed(number), Self.mixed(number ^ seed))
    }

    /// A number as another, each as only one (the finalizer of SplitMix64).
    private static func mixed(_ number: UInt64) -> UInt64 {
        var value = number &* 0x9E37_79B9_7F4A_7C15
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
