import Objects
import PluginAPI

/// How an operation ends: called exactly once, from any thread.
public typealias Completion = @Sendable (Result<JSON, PluginError>) -> Void

/// A caller's C completion, as a provider in Swift uses it.
struct CompletionTarget: @unchecked Sendable {
    // SAFETY: the ABI lets any thread complete an operation; the context belongs to the caller.
    let completion: hostd_completion
    let context: UnsafeMutableRawPointer?

    func complete(_ result: Result<JSON, PluginError>) {
        switch result {
        case .success(let json): lend(json.serialized()) { completion(context, HOSTD_OK, $0, $1, nil) }
        case .failure(let failure):
            var error = hostd_error()
            error.struct_size = UInt32(MemoryLayout<hostd_error>.size)
            let status = failure.fill(&error)
            completion(context, status, nil, 0, &error)
            error.message.release?(error.message.context)
        }
    }
}

/// A caller's C sink, as a provider in Swift uses it.
struct SinkTarget: @unchecked Sendable {
    // SAFETY: the ABI lets any thread call a sink, serially; the context belongs to the subscriber.
    let sink: hostd_sink
    let context: UnsafeMutableRawPointer?

    func send(_ message: JSON) {
        lend(message.serialized()) { sink(context, UInt32(HOSTD_SINK_DATA), $0, $1) }
    }
}

/// The context of a completion that a Swift consumer waits for.
final class CompletionBox: Sendable {
    let handler: Completion
    init(_ handler: @escaping Completion) { self.handler = handler }

    static let callback: hostd_completion = { context, status, data, size, error in
        guard let context else { return }
        let box = Unmanaged<CompletionBox>.fromOpaque(context).takeRetainedValue()
        if status < 0 {
            box.handler(.failure(PluginError(status: status, borrowing: error)))
            return
        }
        do {
            box.handler(.success(try parseRequest(borrowedBytes(data, size))))
        } catch let failure {
            box.handler(.failure(PluginError(failure)))
        }
    }

    /// Starts an operation. When it throws, the handler is not called.
    static func call(
        _ handler: @escaping Completion,
        start: (hostd_completion, UnsafeMutableRawPointer, UnsafeMutablePointer<hostd_error>) -> Int32
    ) throws(PluginError) {
        let box = Unmanaged.passRetained(CompletionBox(handler))
        do {
            try checked { start(callback, box.toOpaque(), $0) }
        } catch {
            box.release()
            throw error
        }
    }
}
