import CIsolation
import Glibc
import PluginAPI

/// One process of a plugin and the way to it. Made whole, and ended once: by `close`, or by a fault of the process.
final class IsolatedSession: @unchecked Sendable {
    // SAFETY: nothing changes after the initialiser; the peer is made for use from any thread.
    /// What the process asks for; any thread.
    typealias Resolve = @Sendable (_ id: String) -> PluginGates.Answer

    /// `wasKilled`: a SIGKILL ended it that neither hostd nor a limit had sent.
    typealias OnEnd = @Sendable (_ failure: PluginFailure, _ uptime: UInt64, _ wasKilled: Bool) -> Void

    private let process: PluginProcess
    private let box: Unmanaged<Callbacks>
    let peer: OpaquePointer

    /// How long a step of the life cycle may take. Nanoseconds.
    static let stepTimeout: UInt64 = 60_000_000_000
    /// How long a process may take to end when it is asked to. Nanoseconds.
    private static let patience: UInt64 = 2_000_000_000
    /// Calls at once in each direction.
    private static let lanes: UInt32 = 32

    /// Starts the process. `onEnd` is called once, when it is gone, by the thread that watched over it; the failure says why.
    init(
        order: PluginProcess.Order, callTimeout: UInt64, log: Log,
        resolve: @escaping Resolve, onEnd: @escaping OnEnd
    ) throws(PluginFailure) {
        var channel = isolation_channel()
        let status = isolation_channel_create(&channel, Self.lanes)
        guard status == 0 else {
            throw PluginFailure(.open, "cannot make the memory between hostd and the plugin: \(errorText(-status))")
        }
        defer {
            Glibc.close(channel.memory)
            Glibc.close(channel.child_socket)
        }
        let callbacks = Callbacks(resolve: resolve, onEnd: onEnd)
        box = .passRetained(callbacks)
        do throws(PluginFailure) {
            var order = order
            (order.memory, order.socket) = (channel.memory, channel.child_socket)
            process = try PluginProcess(order, log: log) { end, uptime in callbacks.processEnded(end, uptime) }
        } catch {
            Glibc.close(channel.host_socket)
            box.release()
            throw error
        }
        var configuration = Self.configuration(channel, callTimeout, box.toOpaque())
        configuration.process = process.descriptor
        var result: Int32 = 0
        guard let peer = isolation_peer_create(&configuration, &result) else {
            Glibc.close(channel.host_socket)
            process.kill()
            box.release()
            throw PluginFailure(.open, "cannot talk to the plugin's process: \(errorText(-result))")
        }
        self.peer = peer
        callbacks.begin(peer, process, callTimeout: callTimeout)
    }

    private static func configuration(
        _ channel: isolation_channel, _ callTimeout: UInt64, _ context: UnsafeMutableRawPointer
    ) -> isolation_configuration {
        isolation_configuration(
            struct_size: UInt32(MemoryLayout<isolation_configuration>.size), is_host: 1, memory: channel.memory,
            socket: channel.host_socket, process: -1, reserved: 0, call_timeout_ns: callTimeout,
            step_timeout_ns: stepTimeout, message_limit: 0, context: context,
            resolve: { context, id, offer, error in
                Callbacks.of(context).answer(String(cString: id), offer, error)
            },
            ends: { _, id in InterfaceEnds.text(String(cString: id)) },
            overran: { context, id, slot, nanoseconds, wasOwn in
                Callbacks.of(context).overran(
                    "\(String(cString: slot)) of \(String(cString: id))", nanoseconds, wasOwn: wasOwn != 0)
            },
            died: { context, cause, reason in Callbacks.of(context).died(cause, String(cString: reason)) })
    }

    /// The steps of the plugin's life; waits for the process to be ready for them.
    func plugin() throws(PluginFailure) -> UnsafePointer<isolation_plugin> {
        var plugin: UnsafePointer<isolation_plugin>?
        var error = ForeignBytes.emptyError()
        let status = isolation_peer_plugin(peer, &plugin, &error)
        if status == HOSTD_OK, let plugin { return plugin }
        let message = ForeignBytes.message(of: error)
        if hasEnded { throw failure() }
        throw PluginFailure(.open, code: status, message)
    }

    var processID: Int32? { process.processID }

    /// Whether a fault has ended it.
    var hasEnded: Bool {
        var statistics = isolation_statistics()
        statistics.struct_size = UInt32(MemoryLayout<isolation_statistics>.size)
        isolation_peer_statistics(peer, &statistics)
        return statistics.is_condemned != 0
    }

    /// Why it ended; waits for the process to be gone, which it is soon.
    func failure() -> PluginFailure {
        box.takeUnretainedValue().waitForFailure(deadline: monotonicNow() + 5 * Self.patience)
    }

    func everySecond(_ body: @escaping @Sendable () -> Void) { process.everySecond(body) }

    /// Ends the process in good order: it does so when the way to it is gone. Not a fault, and `onEnd` is not called. Nobody
    /// may use proxies any more.
    func close() {
        box.takeUnretainedValue().forgive()
        isolation_peer_destroy(peer)
        if process.wait(until: monotonicNow() + Self.patience) == nil {
            process.kill()
            _ = process.wait(until: monotonicNow() + 5 * Self.patience)
        }
        box.release()
    }
}

/// What the transport calls, and the reason of the end.
private final class Callbacks: @unchecked Sendable {
    // SAFETY: all that changes is under `monitor`.
    private let resolve: IsolatedSession.Resolve
    private let onEnd: IsolatedSession.OnEnd
    private let monitor = Monitor()
    private var peer: OpaquePointer?
    private var process: PluginProcess?
    private var callTimeout: UInt64 = 0
    /// Why hostd gave the process up, when it did so first.
    private var verdict: String?
    private var failure: PluginFailure?
    private var isForgiven = false
    private var ownOverruns: [UInt64] = []

    init(resolve: @escaping IsolatedSession.Resolve, onEnd: @escaping IsolatedSession.OnEnd) {
        self.resolve = resolve
        self.onEnd = onEnd
    }

    static func of(_ context: UnsafeMutableRawPointer?) -> Callbacks {
        // SAFETY: the context is the object that the session retains for longer than the peer exists.
        Unmanaged<Callbacks>.fromOpaque(context!).takeUnretainedValue()
    }

    func begin(_ peer: OpaquePointer, _ process: PluginProcess, callTimeout: UInt64) {
        monitor.locked {
            self.peer = peer
            self.process = process
            self.callTimeout = callTimeout
        }
    }

    /// Its end is no fault from now on.
    func forgive() { monitor.locked { isForgiven = true } }

    func answer(
        _ id: String, _ offer: UnsafeMutablePointer<isolation_offer>, _ error: UnsafeMutablePointer<hostd_error>
    ) -> Int32 {
        switch resolve(id) {
        case .table(let table):
            offer.pointee.table = table
            offer.pointee.ends = InterfaceEnds.text(id)
        case .refused(let message, let slots):
            offer.pointee.table = nil
            offer.pointee.slots = slots
            offer.pointee.refusal = HOSTD_ERROR_FORBIDDEN
            offer.pointee.refusal_message = hostd_buffer(owning: Array(message.utf8))
        case .unknown: return error.fail(HOSTD_ERROR_NOT_FOUND, "no plugin and no header declares \(id)")
        }
        return HOSTD_OK
    }

    /// A call was given up. One that outran the plugin's own timeout is stuck; so is, when it comes again, one that goes on
    /// past a caller's deadline.
    func overran(_ what: String, _ nanoseconds: UInt64, wasOwn: Bool) {
        let now = monotonicNow()
        let isStuck = monitor.locked {
            guard wasOwn, nanoseconds < callTimeout else { return true }
            ownOverruns = ownOverruns.filter { now - $0 < 60_000_000_000 } + [now]
            return ownOverruns.count >= 3
        }
        if isStuck { giveUp("a call of \(what) took longer than \(nanoseconds / 1_000_000) ms") }
    }

    private func giveUp(_ reason: String) {
        let (peer, process) = monitor.locked {
            if verdict == nil { verdict = reason }
            return (self.peer, self.process)
        }
        if let peer { isolation_peer_condemn(peer, reason) }
        process?.kill()
    }

    /// The way to the process is gone, from whichever side.
    func died(_ cause: UInt32, _ reason: String) {
        guard cause != UInt32(ISOLATION_CLOSED) else { return }
        let process = monitor.locked { self.process }
        if cause == UInt32(ISOLATION_GONE), reason.hasPrefix(Self.plainEnd) {
            // How it ended says more, when it did. One that closed its end of the way and lives on is of no use.
            if process?.wait(until: monotonicNow() + 200_000_000) != nil { return }
            monitor.locked { if verdict == nil { verdict = "its process closed its end of the connection" } }
        } else {
            monitor.locked { if verdict == nil { verdict = reason } }
        }
        process?.kill()
    }

    /// How the transport begins when it knows no more than that nobody is there.
    private static let plainEnd = "The plugin's process has ended"

    func processEnded(_ end: PluginProcess.End, _ uptime: UInt64) {
        let (failure, isForgiven, wasKilled) = monitor.locked {
            let failure = PluginFailure(.process, code: HOSTD_ERROR_UNAVAILABLE, text(of: end))
            self.failure = failure
            monitor.broadcast()
            return (failure, self.isForgiven, verdict == nil && end == .signalled(SIGKILL))
        }
        if !isForgiven { onEnd(failure, uptime, wasKilled) }
    }

    /// What was found out before the end explains it.
    private func text(of end: PluginProcess.End) -> String { verdict ?? end.description }

    func waitForFailure(deadline: UInt64) -> PluginFailure {
        monitor.locked {
            while failure == nil, monitor.wait(until: deadline) {}
            return failure
                ?? PluginFailure(.process, code: HOSTD_ERROR_UNAVAILABLE, verdict ?? "its process does not answer")
        }
    }
}
