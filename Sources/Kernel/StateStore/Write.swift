import CStateStore
import PluginAPI

/// One step of a transaction, checked and copied. Its record has the key; for puts also index and value.
struct Step: Sendable {
    /// `HOSTD_STORE_CREATE` … `HOSTD_STORE_CHECK`.
    let kind: Int32
    let expected: UInt64
    let record: Record
    /// `ChangedKeys.hash` of its key, computed by who makes the step, not by the committer.
    let hash: UInt64

    init(kind: Int32, expected: UInt64, record: Record) {
        self.kind = kind
        self.expected = expected
        self.record = record
        hash = ChangedKeys.hash(record.key)
    }
}

/// How a write ended.
struct Outcome: Sendable {
    var revision: UInt64 = 0
    var failedStep = UInt32.max
    var error: StoreError?

    var status: Int32 { error?.code ?? HOSTD_OK }
}

/// A write on its way through the committer. Made and filled by the caller, then owned by the committer until it
/// completes; the outcome is written before the completion and not after it.
final class Write: @unchecked Sendable {  // Handed over from thread to thread, never shared.
    enum Action {
        case transaction
        case grant(lease: UInt64, timeToLive: UInt64)
        case revoke(lease: UInt64)
        case compact(UInt64)
    }

    enum Completion {
        /// The caller sleeps on the batch's word.
        case wake
        /// Runs on the completion thread.
        case call(@Sendable (Outcome) -> Void)
        /// Runs on the committer: the caller has promised that it returns promptly.
        case callPromptly(@Sendable (Outcome) -> Void)
        case none
    }

    let action: Action
    var steps: [Step]
    /// `Writer.text`; nil = not known.
    var writer: String?
    var outcome = Outcome()
    var completion = Completion.none
    /// Whether its completion returns promptly, as its caller says.
    private(set) var isPrompt = false
    /// Bytes of its records.
    let size: Int

    init(_ action: Action, steps: [Step] = []) {
        self.action = action
        self.steps = steps
        size = steps.reduce(128) { $0 + $1.record.size }
    }

    deinit {
        for step in steps { step.record.release() }
    }
}

extension Write {
    /// Parses the `hostd_store_operation` records of a transaction.
    convenience init(
        operations: UnsafeRawBufferPointer, limits: StateStoreOptions.WriteLimits
    ) throws(StoreError) {
        guard operations.count <= limits.transactionSize else {
            throw .invalid(
                "a transaction of \(operations.count) bytes is too large; at most \(limits.transactionSize)")
        }
        var steps: [Step] = []
        var flags: UInt32 = 0
        do throws(StoreError) {
            var offset = 0
            while offset < operations.count {
                let (step, size, stepFlags) = try Self.step(
                    UnsafeRawBufferPointer(rebasing: operations[offset...]), position: steps.count, limits: limits)
                if steps.isEmpty { flags = stepFlags }
                steps.append(step)
                offset += size
            }
            if steps.isEmpty { throw .invalid("a transaction needs at least one step") }
            try Self.checkDistinct(steps)
        } catch {
            for step in steps { step.record.release() }
            throw error
        }
        self.init(.transaction, steps: steps)
        isPrompt = flags & HOSTD_STORE_OPERATION_PROMPT != 0
    }

    private static func step(
        _ bytes: UnsafeRawBufferPointer, position: Int, limits: StateStoreOptions.WriteLimits
    ) throws(StoreError) -> (Step, size: Int, flags: UInt32) {
        let headSize = MemoryLayout<hostd_store_operation>.size
        guard bytes.count >= headSize, let base = bytes.baseAddress else {
            throw .invalid("step \(position) of the transaction is cut off after \(bytes.count) bytes")
        }
        let head = base.loadUnaligned(as: hostd_store_operation.self)
        let start = Int(head.struct_size)
        let used = start + Int(head.key_size) + Int(head.index_size) + Int(head.value_size)
        guard start >= headSize, Int(head.operation_size) >= used, Int(head.operation_size) <= bytes.count,
            head.operation_size % 8 == 0
        else {
            throw .invalid("step \(position) of the transaction has sizes that contradict each other")
        }
        func part(_ offset: Int, _ size: UInt32) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + Int(size)])
        }
        let key = part(start, head.key_size)
        let index = part(start + key.count, head.index_size)
        let value = part(start + key.count + index.count, head.value_size)
        let step = try make(
            kind: Int32(clamping: head.kind), key: key, index: index, value: value, lease: head.lease,
            expected: head.expected_revision, limits: limits)
        return (step, Int(head.operation_size), head.flags)
    }

    /// Checks one step against the rules and copies it.
    static func make(
        kind: Int32, key: UnsafeRawBufferPointer, index: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer,
        lease: UInt64, expected: UInt64, limits: StateStoreOptions.WriteLimits
    ) throws(StoreError) -> Step {
        try StoreKey.check(key)
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        switch kind {
        case HOSTD_STORE_CREATE, HOSTD_STORE_UPDATE, HOSTD_STORE_PUT:
            try StoreKey.checkIndex(index)
            guard value.count <= limits.valueSize else {
                throw .invalid(
                    "the value of \(key.text) has \(value.count) bytes; at most \(limits.valueSize) are allowed"
                )
            }
            return Step(
                kind: kind, expected: expected,
                record: try Record.make(kind: Record.Kind.put, key: key, index: index, value: value, lease: lease))
        case HOSTD_STORE_DELETE, HOSTD_STORE_CHECK:
            return Step(
                kind: kind, expected: expected,
                record: try Record.make(kind: Record.Kind.delete, key: key, index: none, value: none))
        default:
            throw .invalid("step kind \(kind) for \(key.text) is unknown; 1 to 5 are defined")
        }
    }

    private static func checkDistinct(_ steps: [Step]) throws(StoreError) {
        guard steps.count > 1 else { return }
        var written: Set<KeyReference> = []
        for step in steps where step.kind != HOSTD_STORE_CHECK {
            guard written.insert(KeyReference(bytes: step.record.key)).inserted else {
                throw .invalid("the transaction writes \(step.record.key.text) twice")
            }
        }
    }
}

/// Key bytes that stand elsewhere, as a dictionary key.
struct KeyReference: Hashable {
    let bytes: UnsafeRawBufferPointer

    static func == (left: KeyReference, right: KeyReference) -> Bool { compareKeys(left.bytes, right.bytes) == 0 }
    func hash(into hasher: inout Hasher) { hasher.combine(bytes: bytes) }
}
