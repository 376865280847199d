import Synchronization

/// A node that is found once, by whoever asks first, and is then at hand for everybody without a lock. `AtomicLazyReference` is the
/// same and costs ten times as much: nothing of it is compiled for the type that it holds, and this is asked for every field of
/// every object.
public struct NodeReference: ~Copyable, Sendable {
    /// Of a retained node; 0 = none yet.
    private let address = Atomic<UInt>(0)

    /// Without a node.
    public init() {}

    deinit { Self.node(at: address.load(ordering: .acquiring))?.release() }

    private static func node(at address: UInt) -> Unmanaged<SchemaNode>? {
        UnsafeRawPointer(bitPattern: address).map { .fromOpaque($0) }
    }

    /// The node; nil while there is none. Any thread.
    public func load() -> SchemaNode? { Self.node(at: address.load(ordering: .acquiring))?.takeUnretainedValue() }

    /// Takes a node, unless there is one. Any thread.
    /// - Returns: the one that stays.
    public func storeIfNil(_ node: SchemaNode) -> SchemaNode {
        let new = Unmanaged.passRetained(node)
        let (isTaken, present) = address.compareExchange(
            expected: 0, desired: UInt(bitPattern: new.toOpaque()), ordering: .acquiringAndReleasing)
        if isTaken { return node }
        new.release()
        return Self.node(at: present)?.takeUnretainedValue() ?? node
    }
}
