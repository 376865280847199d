import PluginAPI
import Synchronization

/// A stream that the host delivers to this plugin: a watch, a topic. Cancelling is idempotent; when `cancel` returns the
/// handler is not running (unless it is the caller) and will not run again. Dropping the last reference does not cancel.
public final class Subscription: Sendable {
    private struct State {
        var handle: UInt64?
        var isCancelled = false
    }
    private let state = Mutex(State())
    private let end: @Sendable (UInt64) -> Void

    init(end: @escaping @Sendable (UInt64) -> Void) { self.end = end }

    func started(_ handle: UInt64) {
        let cancelNow = state.withLock { state -> Bool in
            state.handle = handle
            return state.isCancelled
        }
        if cancelNow { end(handle) }
    }

    public func cancel() {
        let handle = state.withLock { state -> UInt64? in
            if state.isCancelled { return nil }
            state.isCancelled = true
            return state.handle
        }
        if let handle { end(handle) }
    }
}

/// One message of a stream.
public enum StreamMessage {
    /// The bytes are borrowed for the call.
    case data(UnsafeRawBufferPointer)
    /// All events up to this revision were delivered.
    case progress(UInt64)
    /// The subscriber fell behind; the stream is over and what it showed must be read again.
    case resync
    /// The stream is over, with the reason; empty after a cancel.
    case end(String)
}

/// The context of a C sink. It retains itself from registration to the final message or the cancel.
final class SinkBox: Sendable {
    let handler: @Sendable (StreamMessage) -> Void
    init(_ handler: @escaping @Sendable (StreamMessage) -> Void) { self.handler = handler }

    static let sink: hostd_sink = { context, kind, data, size in
        guard let context else { return }
        let box = Unmanaged<SinkBox>.fromOpaque(context).takeUnretainedValue()
        let bytes = borrowedBytes(data, size)
        switch Int32(bitPattern: kind) {
        case HOSTD_SINK_DATA: box.handler(.data(bytes))
        case HOSTD_SINK_PROGRESS:
            if bytes.count >= 8 { box.handler(.progress(bytes.loadUnaligned(as: UInt64.self))) }
        case HOSTD_SINK_RESYNC: box.handler(.resync)
        default: box.handler(.end(String(decoding: bytes, as: UTF8.self)))
        }
    }

    /// Registers a handler. The box stays alive until the subscription is cancelled; a stream that ended by itself keeps
    /// its few bytes until then.
    /// - Parameter begun: gets the handle before anybody can cancel.
    static func subscribe(
        handler: @escaping @Sendable (StreamMessage) -> Void,
        start: (UnsafeMutableRawPointer, UnsafeMutablePointer<UInt64>, UnsafeMutablePointer<hostd_error>) -> Int32,
        begun: (UInt64) -> Void = { _ in },
        stop: @escaping @Sendable (UInt64) -> Void
    ) throws(PluginError) -> Subscription {
        let box = Unmanaged.passRetained(SinkBox(handler))
        let context = UInt(bitPattern: box.toOpaque())
        let subscription = Subscription { handle in
            stop(handle)
            if let pointer = UnsafeRawPointer(bitPattern: context) { Unmanaged<SinkBox>.fromOpaque(pointer).release() }
        }
        var handle: UInt64 = 0
        do {
            try checked { start(box.toOpaque(), &handle, $0) }
        } catch {
            box.release()
            throw error
        }
        begun(handle)
        subscription.started(handle)
        return subscription
    }
}
