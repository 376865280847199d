import PluginAPI
import PluginKit
import Synchronization

/// Calls of etcd's services on whichever member answers.
///
/// One connection serves all callers; when it fails the next member in the list is tried. A call that surely did nothing
/// is tried again until its time is over; one that may have been carried out is so only when that does no harm.
final class EtcdClient: Sendable {
    /// How often a call may do its work.
    enum Effect: Sendable {
        /// Reads, and writes that say the same twice.
        case repeatable
        case once
    }

    private struct State {
        var connection: HTTP2Connection?
        /// The member that is tried next.
        var position = 0
        var isClosed = false
    }

    let endpoints: [Endpoint]
    private let tls: TLSClient?
    /// Nanoseconds for a call, connecting included.
    private let timeLimit: UInt64
    private let state = Mutex(State())
    /// Held while one thread connects; the others wait for the outcome.
    private let connecting = Monitor()
    private let report: @Sendable (String) -> Void

    /// - Parameter report: hears in a sentence when a member is left for another.
    init(
        endpoints: [Endpoint], tls: TLSClient?, timeLimit: UInt64, report: @escaping @Sendable (String) -> Void
    ) {
        self.endpoints = endpoints
        self.tls = tls
        self.timeLimit = timeLimit
        self.report = report
    }

    /// Ends the connection; calls that wait fail.
    func close() {
        let connection = state.withLock { state -> HTTP2Connection? in
            state.isClosed = true
            defer { state.connection = nil }
            return state.connection
        }
        connection?.close("the store is closed")
    }

    /// One request, one answer.
    /// - Throws: what the member said, in the codes of the plugin ABI.
    func call(_ method: String, _ request: [UInt8], _ effect: Effect) throws(PluginError) -> ArraySlice<UInt8> {
        let deadline = monotonicNanoseconds() + timeLimit
        var attempt = 0
        while true {
            let client = try client(deadline: deadline)
            do throws(GRPCFailure) {
                return try client.unary(method, request, deadline: deadline)[...]
            } catch {
                guard let cause = Self.retryCause(error, effect) else { throw EtcdError.from(error, method) }
                drop(client.connection, cause)
                attempt += 1
                guard attempt < 2 * endpoints.count + 1, monotonicNanoseconds() < deadline else {
                    throw EtcdError.from(error, method)
                }
            }
        }
    }

    /// A call that goes on, on a connection of its own so that much of it keeps no other call waiting.
    func stream(_ method: String, _ first: [UInt8]) throws(PluginError) -> EtcdStream {
        let connection = try connect(deadline: monotonicNanoseconds() + timeLimit)
        let client = GRPCClient(connection: connection)
        do throws(GRPCFailure) {
            return EtcdStream(client: client, stream: try client.open(method, first, isLast: false))
        } catch {
            connection.close("not needed")
            throw EtcdError.from(error, method)
        }
    }

    /// Why a call is to be tried on another member; nil when it is not.
    private static func retryCause(_ failure: GRPCFailure, _ effect: Effect) -> String? {
        switch failure {
        case .connection(let reason, let mayHaveRun): return mayHaveRun && effect == .once ? nil : reason
        case .timeout: return nil
        case .status(let code, let message):
            guard code == GRPCFailure.Code.unavailable else { return nil }
            // A member without a leader has done nothing; any other trouble leaves that open.
            return message.contains("no leader") || effect == .repeatable ? message : nil
        }
    }

    // MARK: Connections

    private func client(deadline: UInt64) throws(PluginError) -> GRPCClient {
        if let connection = try usable() { return GRPCClient(connection: connection) }
        connecting.lock()
        defer { connecting.unlock() }
        if let connection = try usable() { return GRPCClient(connection: connection) }
        let connection = try connect(deadline: deadline)
        let isClosed = state.withLock { state in
            if !state.isClosed { state.connection = connection }
            return state.isClosed
        }
        if isClosed {
            connection.close("the store is closed")
            throw .unavailable("the etcd plugin is not active")
        }
        return GRPCClient(connection: connection)
    }

    private func usable() throws(PluginError) -> HTTP2Connection? {
        let (connection, isClosed) = state.withLock { ($0.connection, $0.isClosed) }
        if isClosed { throw .unavailable("the etcd plugin is not active") }
        return connection.flatMap { $0.isUsable ? $0 : nil }
    }

    /// Tries each member once, the one that served last first.
    private func connect(deadline: UInt64) throws(PluginError) -> HTTP2Connection {
        var reasons: [String] = []
        for _ in endpoints {
            let endpoint = endpoints[state.withLock { $0.position } % endpoints.count]
            let now = monotonicNanoseconds()
            let share = now >= deadline ? 0 : (deadline - now) / UInt64(endpoints.count - reasons.count)
            do throws(PluginError) {
                return try HTTP2Connection(endpoint, tls, deadline: now + max(share, 100_000_000))
            } catch {
                guard error.code != HOSTD_ERROR_INVALID_ARGUMENT else { throw error }
                reasons.append(error.message)
                state.withLock { $0.position += 1 }
            }
        }
        throw .unavailable("no member of the etcd cluster answers: \(reasons.joined(separator: "; "))")
    }

    /// Gives a connection up and turns to the next member.
    private func drop(_ connection: HTTP2Connection, _ cause: String) {
        let isMine = state.withLock { state -> Bool in
            guard state.connection === connection else { return false }
            state.connection = nil
            state.position += 1
            return true
        }
        guard isMine else { return }
        report("etcd member \(connection.endpoint) is left: \(cause)")
        connection.close(cause)
    }
}

/// A call with messages in both directions, and the connection that it has to itself.
struct EtcdStream: Sendable {
    fileprivate let client: GRPCClient
    fileprivate let stream: HTTP2Stream

    enum Next: Sendable {
        case message([UInt8])
        case end(PluginError)
        case timeout
    }

    func send(_ message: [UInt8]) { client.send(message, on: stream) }

    /// - Parameter deadline: monotonic nanoseconds, 0 = none.
    func next(deadline: UInt64 = 0) -> Next {
        switch stream.next(deadline: deadline) {
        case .message(let message): return .message(message)
        case .timeout: return .timeout
        case .end(let end, let headers):
            let failure = GRPCClient.failure(end, headers) ?? .connection("the stream ended", mayHaveRun: false)
            return .end(EtcdError.from(failure, "a stream"))
        }
    }

    func close() { client.connection.close("closed") }
}
