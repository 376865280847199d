import CProcess
import Glibc
import Objects
import PluginAPI

/// Serves the control socket: one thread accepts, one thread a connection answers. Requests are JSON objects with a
/// `command`; answers are {"ok":true,"result":…} or {"ok":false,"code":…,"error":"…"}.
public final class ControlServer: @unchecked Sendable {
    // SAFETY: the connections are under `monitor`; the rest is written once before the thread starts.
    /// Answers a request. The files are closed by the server unless the handler takes them out of the message.
    public typealias Handler = @Sendable (_ message: inout ControlMessage) throws(ControlFailure) -> JSON

    static let connectionLimit = 16
    static let requestLimit = 4 << 20

    private let socket: Int32
    private let directory: String
    private let handler: Handler
    private let log: Log
    private let monitor = Monitor()
    private var connections: Set<Int32> = []
    private var thread: KernelThread?

    /// Listens; `start` begins to answer.
    public init(directory: String, log: Log, handler: @escaping Handler) throws(ControlFailure) {
        socket = try ControlSocket.listen(in: directory)
        self.directory = directory
        self.log = log
        self.handler = handler
    }

    public func start() throws(ControlFailure) {
        do { thread = try KernelThread(name: "control") { [self] in accept() } } catch {
            throw ControlFailure(code: error.code, error.message)
        }
    }

    /// Ends all connections and returns when none is being served. The socket's file is removed.
    public func stop() {
        shutdown(socket, Int32(SHUT_RDWR))  // Ends the waiting accept.
        thread?.join()
        thread = nil
        _ = unlink("\(directory)/\(ControlSocket.name)")
        close(socket)
        monitor.lock()
        for connection in connections { shutdown(connection, Int32(SHUT_RD)) }
        let deadline = monotonicNow() + 10_000_000_000
        while !connections.isEmpty, monitor.wait(until: deadline) {}
        if !connections.isEmpty {
            log.warning("commands are still running at the end", ["connections": JSON(connections.count)])
        }
        monitor.unlock()
    }

    private func accept() {
        while true {
            let connection = process_accept(socket)
            if connection >= 0 {
                admit(connection)
            } else if errno == EINVAL {
                return  // Shut down.
            } else if errno == EMFILE || errno == ENFILE || errno == ENOMEM {
                log.warning("a control connection cannot be accepted", ["reason": .string(errorText(errno))])
                usleep(100_000)  // There is no event for "a descriptor is free again".
            }
        }
    }

    private func admit(_ connection: Int32) {
        let isWelcome =
            isAllowed(connection)
            && monitor.locked {
                guard connections.count < Self.connectionLimit else { return false }
                connections.insert(connection)
                return true
            }
        guard isWelcome else {
            close(connection)
            return
        }
        do { try KernelThread(name: "control-call") { [self] in serve(connection) }.detach() } catch {
            log.warning("a control connection cannot be served", ["reason": .string(error.message)])
            end(connection)
        }
    }

    /// Root and the user that hostd runs as; the mode of the file says the same.
    private func isAllowed(_ connection: Int32) -> Bool {
        var user: UInt32 = 0
        var process: Int32 = 0
        guard process_peer(connection, &user, &process) == 0 else { return false }
        guard user == 0 || user == geteuid() else {
            log.warning("a control connection was refused", ["userID": JSON(user), "processID": JSON(process)])
            return false
        }
        return true
    }

    private func end(_ connection: Int32) {
        monitor.locked {
            connections.remove(connection)
            close(connection)
            monitor.broadcast()
        }
    }

    private func serve(_ connection: Int32) {
        defer { end(connection) }
        do throws(ControlFailure) {
            while var message = try ControlMessage.receive(from: connection, limit: Self.requestLimit) {
                let answer = answer(&message)
                for file in message.files { close(file) }
                try answer.send(to: connection)
            }
        } catch {
            log.debug("a control connection failed", ["reason": .string(error.message)])
        }
    }

    private func answer(_ message: inout ControlMessage) -> ControlMessage {
        do throws(ControlFailure) {
            return ControlMessage(["ok": true, "result": try handler(&message)])
        } catch {
            return ControlMessage(["ok": false, "code": .integer(Int64(error.code)), "error": .string(error.message)])
        }
    }
}
