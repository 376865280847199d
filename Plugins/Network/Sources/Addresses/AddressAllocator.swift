import PodNetworking

/// Which pod addresses of a range are given away. A pure value: `AttachmentStore` keeps the truth on disk.
///
/// The search for a free address starts behind the last one given, so that an address rests as long as possible before
/// it names another pod.
struct AddressAllocator: Sendable {
    let range: IPv4Range
    /// The host's own address: the first one of the range.
    let gateway: IPv4Address
    /// Given away, pods' addresses only.
    private(set) var used: Set<IPv4Address> = []
    /// The last one given.
    private(set) var last: IPv4Address

    /// `last` nil starts at the front. A range needs room for network, gateway, one pod and broadcast.
    init(range: IPv4Range, last: IPv4Address? = nil) {
        self.range = range
        gateway = range.address(at: 1)
        self.last = last.flatMap { range.contains($0) ? $0 : nil } ?? gateway
    }

    /// Addresses that pods can have.
    var capacity: Int { max(0, range.count - 3) }

    /// Whether a pod can have this address.
    func isAssignable(_ address: IPv4Address) -> Bool {
        range.contains(address) && address != range.network && address != gateway && address != range.last
    }

    /// Gives the next free address. O(1) unless the range is nearly full.
    mutating func allocate() throws(NetworkError) -> IPv4Address {
        guard used.count < capacity else { throw .exhausted(range: range, used: used.count) }
        var candidate = last
        for _ in 0..<range.count {
            candidate = candidate >= range.last ? range.network : IPv4Address(candidate.value + 1)
            guard isAssignable(candidate), !used.contains(candidate) else { continue }
            used.insert(candidate)
            last = candidate
            return candidate
        }
        throw .exhausted(range: range, used: used.count)
    }

    /// Marks an address that a pod has already; false when another one has it, or when it is none of this range.
    mutating func adopt(_ address: IPv4Address) -> Bool { isAssignable(address) && used.insert(address).inserted }

    /// Takes an address back. Unknown ones are ignored.
    mutating func release(_ address: IPv4Address) { used.remove(address) }
}
