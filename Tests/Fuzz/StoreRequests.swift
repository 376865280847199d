import Kernel
import PluginAPI

@testable import Kernel

/// Targets that read what callers of `hostd.store/1` hand in.
enum StoreRequests {
    /// The steps of a transaction.
    static func readOperations(_ input: UnsafeRawBufferPointer) {
        do throws(StoreError) {
            let write = try Write(operations: input, limits: StateStoreOptions.WriteLimits())
            precondition(!write.steps.isEmpty, "a transaction without a step was accepted")
            for step in write.steps { try StoreKey.check(step.record.key) }
        } catch {
            precondition(!error.message.isEmpty, "a refusal without a reason")
        }
    }

    /// A selector, a zero byte, and an index that it is held against.
    static func readSelector(_ input: UnsafeRawBufferPointer) {
        let parts = input.parts(2)
        guard let selector = try? IndexSelector(parsing: parts[0]), parts.count == 2 else { return }
        let key = Array("pods/default/a".utf8)
        key.withUnsafeBytes { key in
            guard (try? StoreKey.checkIndex(parts[1])) != nil,
                let record = try? Record.make(kind: Record.Kind.put, key: key, index: parts[1])
            else { return }
            _ = selector.matches(record)
            record.release()
        }
    }
}
