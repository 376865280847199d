import Glibc

/// One connection to a port of a pod on the connection of a client, whatever frames carry it there. On the loop.
final class Forward {
    /// What the client sends before the pod is connected is kept up to here, then the client waits.
    private static let pendingLimit = 64 * 1024
    /// Most bytes of a packet.
    private static let packetLimit = 32 * 1024

    private enum State {
        case dialing
        case connected(PacketPump)
        case ended
    }

    let port: UInt16
    private var state = State.dialing
    private var pending: [UInt8] = []
    private var clientHasFinished = false
    /// Words for the client when the pod could not be connected to; reported once.
    private var failure: String?

    /// Begins to connect.
    init(port: UInt16, dialer: ForwardDialer, connection: any UpgradeHost) {
        self.port = port
        let handover = Handover(self, connection)
        let loop = connection.loop
        dialer.dial(port: port) { result in
            loop.post { handover.complete(result) }
        }
    }

    /// Carries the objects of a loop through the worker's thread, which does not touch them.
    private struct Handover: @unchecked Sendable {
        // SAFETY: used in `complete` alone, which runs on the loop.
        private weak var forward: Forward?
        private weak var connection: (any UpgradeHost)?

        init(_ forward: Forward, _ connection: any UpgradeHost) {
            self.forward = forward
            self.connection = connection
        }

        func complete(_ result: Result<Int32, APIStatus>) {
            guard let forward, let connection, case .dialing = forward.state else {
                if case .success(let descriptor) = result { close(descriptor) }
                return
            }
            forward.connected(result, connection)
            connection.pumpIsReady()
        }
    }

    private func connected(_ result: Result<Int32, APIStatus>, _ connection: any UpgradeHost) {
        switch result {
        case .failure(let status): failure = status.message
        case .success(let descriptor):
            do {
                let pump = try PacketPump(descriptor: descriptor, connection: connection, loop: connection.loop)
                state = .connected(pump)
                flush(pump)
            } catch {
                failure = "\(error)"
            }
        }
    }

    /// Whether no more of the client's bytes fit.
    var isBlocked: Bool {
        switch state {
        case .dialing: pending.count >= Self.pendingLimit
        case .connected(let pump):
            // What waited for the connection goes on in packets, as the extension takes them.
            pump.isBlocked || !pending.isEmpty
        case .ended: false
        }
    }

    func send(_ bytes: [UInt8]) {
        switch state {
        case .dialing: pending += bytes
        case .connected(let pump):
            if pending.isEmpty, bytes.count <= Self.packetLimit {
                pump.send(bytes)
            } else {
                pending += bytes
                flush(pump)
            }
        case .ended: break
        }
    }

    /// The client sends no more.
    func finishSending() {
        clientHasFinished = true
        if case .connected(let pump) = state { flush(pump) }
    }

    private func flush(_ pump: PacketPump) {
        while !pending.isEmpty, !pump.isBlocked {
            let count = min(pending.count, Self.packetLimit)
            pump.send(Array(pending[..<count]))
            pending.removeSubrange(..<count)
        }
        if pending.isEmpty, clientHasFinished { pump.finishSending() }
    }

    enum Received {
        case bytes(UnsafeRawBufferPointer)
        case nothing
        /// The pod has closed its side: all is over.
        case end
        case failure(String)
    }

    /// The next bytes of the pod's, valid until the next call.
    func receive(into buffer: UnsafeMutableRawBufferPointer) -> Received {
        if let failure {
            end()
            return .failure(failure)
        }
        guard case .connected(let pump) = state else { return .nothing }
        if !pump.isBlocked { flush(pump) }
        switch pump.receive(into: buffer) {
        case .packet(let bytes): return .bytes(bytes)
        case .nothing: return .nothing
        case .end:
            end()
            return .end
        }
    }

    func resume() {
        if case .connected(let pump) = state { pump.resumeReading() }
    }

    func end() {
        if case .connected(let pump) = state { pump.end() }
        state = .ended
        failure = nil
        pending = []
    }
}
