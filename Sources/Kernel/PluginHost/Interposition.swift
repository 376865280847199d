import CInterposer
import PluginAPI
import Synchronization

/// The parsed descriptor of an interface.
final class SlotDescriptor: @unchecked Sendable {
    // SAFETY: the C object is immutable and its references are counted atomically.
    let handle: OpaquePointer

    struct Malformed: Error, CustomStringConvertible { let description: String }

    init(_ text: UnsafePointer<CChar>) throws(Malformed) {
        var message = [CChar](repeating: 0, count: Int(INTERPOSER_MESSAGE_LIMIT))
        guard let handle = interposer_descriptor_create(text, &message) else {
            throw Malformed(description: Self.text(message))
        }
        self.handle = handle
    }

    deinit { interposer_descriptor_release(handle) }

    /// Why the descriptor of a provider's table contradicts this one; nil when it does not.
    func disagreement(of provider: SlotDescriptor) -> String? {
        var message = [CChar](repeating: 0, count: Int(INTERPOSER_MESSAGE_LIMIT))
        return interposer_descriptor_agree(provider.handle, handle, &message) == 1 ? nil : Self.text(message)
    }

    var count: UInt32 { interposer_descriptor_count(handle) }
    func name(_ slot: UInt32) -> String { String(cString: interposer_descriptor_name(handle, slot)) }
    func letters(_ slot: UInt32) -> String { String(cString: interposer_descriptor_letters(handle, slot)) }
    func find(_ name: String) -> UInt32? {
        let slot = interposer_descriptor_find(handle, name)
        return slot < 0 ? nil : UInt32(slot)
    }
    var names: [String] { (0..<count).map(name) }

    private static func text(_ message: [CChar]) -> String {
        String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// One provider of a role as calls reach it: its table, what is inside it, its figures.
final class RoleTarget: @unchecked Sendable {
    // SAFETY: the C object is made for use from any thread.
    let handle: OpaquePointer
    let descriptor: SlotDescriptor
    private let isRetired = Atomic<Bool>(false)

    init(descriptor: SlotDescriptor, table: UnsafePointer<hostd_interface>) {
        self.descriptor = descriptor
        handle = interposer_target_create(descriptor.handle, table)
    }

    /// Declares how long calls should take; before anything is bound to it. `owner`: the provider's name.
    func setCosts(_ costs: SlotCosts, owner: String) {
        for (name, limit) in costs.limits {
            if let slot = descriptor.find(name) { interposer_target_set_cost(handle, slot, limit, owner) }
        }
    }

    struct Figures: Sendable {
        var calls: UInt64 = 0
        var errors: UInt64 = 0
        var violations: UInt64 = 0
        /// Calls that took longer than their cost.
        var slow: UInt64 = 0
        var p50Nanoseconds: UInt64 = 0
        var p99Nanoseconds: UInt64 = 0
        var totalNanoseconds: UInt64 = 0
    }

    /// Figures of one slot, or of all.
    func figures(slot: UInt32 = .max) -> Figures {
        guard !isRetired.load(ordering: .acquiring) else { return Figures() }
        var raw = interposer_statistics()
        interposer_target_statistics(handle, slot, &raw)
        return Figures(
            calls: raw.calls, errors: raw.errors, violations: raw.violations, slow: raw.slow,
            p50Nanoseconds: raw.p50_nanoseconds,
            p99Nanoseconds: raw.p99_nanoseconds, totalNanoseconds: raw.total_nanoseconds)
    }

    var calls: UInt32 { isOver ? 0 : interposer_target_calls(handle) }
    var operations: UInt32 { isOver ? 0 : interposer_target_operations(handle) }
    /// What is behind the handle may be another target by now.
    private var isOver: Bool { isRetired.load(ordering: .acquiring) }

    /// Waits for the calls inside; false when the deadline (monotonic nanoseconds) passed first.
    func drainCalls(deadline: UInt64) -> Bool { isOver || interposer_target_drain_calls(handle, deadline) == 0 }
    func drainOperations(deadline: UInt64) -> Bool {
        isOver || interposer_target_drain_operations(handle, deadline) == 0
    }

    /// Gives back the memory of a provider that was swapped out: no binding forwards to it, and both drains have succeeded.
    /// Nobody may ask for figures meanwhile.
    func retire() {
        guard !isRetired.exchange(true, ordering: .acquiringAndReleasing) else { return }
        interposer_target_retire(handle)
    }
}

/// A table that callers keep, whatever provider stands behind it. Lives as long as the process: a plugin may hold it.
final class RoleBinding: @unchecked Sendable {
    // SAFETY: the C object is made for use from any thread; its changes are ordered by `fields`.
    private struct Fields {
        var target: RoleTarget?
        var isHeld = false
    }

    private let handle: OpaquePointer
    let descriptor: SlotDescriptor
    private let fields = Mutex(Fields())

    init?(id: String, descriptor: SlotDescriptor) {
        guard let handle = interposer_binding_create(id, descriptor.handle) else { return nil }
        self.handle = handle
        self.descriptor = descriptor
    }

    var table: UnsafePointer<hostd_interface> { interposer_binding_table(handle) }
    /// Where calls go, or would go if they were not held.
    var target: RoleTarget? { fields.withLock { $0.target } }
    /// Calls that wait for the end of a hold.
    var waitingCalls: UInt32 { interposer_binding_held(handle) }

    /// Sends new calls to `target` from now on, atomically; nil makes them answer UNAVAILABLE. During a hold, from its
    /// end on.
    func bind(_ target: RoleTarget?) {
        fields.withLock { fields in
            fields.target = target
            if !fields.isHeld { _ = interposer_binding_set(handle, target?.handle) }
        }
    }

    /// Lets new calls wait, each for so many nanoseconds at most and then UNAVAILABLE. What is inside goes on.
    func hold(limit: UInt64) {
        fields.withLock { fields in
            fields.isHeld = true
            interposer_binding_hold(handle, limit)
        }
    }

    /// Ends a hold, if there is one.
    func release() {
        fields.withLock { fields in
            guard fields.isHeld else { return }
            fields.isHeld = false
            _ = interposer_binding_set(handle, fields.target?.handle)
        }
    }
}
