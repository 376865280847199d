/// Forwarded ports over SPDY (Kubernetes' protocol portforward.k8s.io): for each connection the client opens a stream for
/// errors and one for data, which name the port and belong together by a request's id.
final class SPDYForwards: SPDYTarget {
    private struct Pair {
        var port: UInt16
        var error: UInt32?
        var data: UInt32?
        var forward: Forward?
    }

    private unowned let connection: any UpgradeHost
    private let dialer: ForwardDialer
    private let pod: String
    private var pairs: [String: Pair] = [:]
    private var requests: [UInt32: String] = [:]
    /// Whose turn it is among the connections, so that one which has much to say leaves room for the others.
    private var turn = 0

    /// - Parameter pod: namespace and name, for messages.
    init(connection: any UpgradeHost, dialer: ForwardDialer, pod: String) {
        self.connection = connection
        self.dialer = dialer
        self.pod = pod
    }

    var isBlocked: Bool { pairs.values.contains { $0.forward?.isBlocked ?? false } }
    /// The client ends the connection.
    var isFinished: Bool { false }

    func handle(_ event: SPDYEvent, _ session: SPDYSession, to bytes: inout [UInt8]) {
        switch event {
        case .opened(let stream, let headers): open(stream, headers, session, &bytes)
        case .data(let stream, let data): forward(stream)?.send(data)
        case .finished(let stream): forward(stream)?.finishSending()
        case .reset(let stream):
            guard let request = requests[stream], pairs[request]?.data == stream else { return }
            close(request, session, &bytes)
        case .ping, .goAway: break
        }
    }

    private func forward(_ stream: UInt32) -> Forward? {
        guard let request = requests[stream], let pair = pairs[request], pair.data == stream else { return nil }
        return pair.forward
    }

    private func open(
        _ stream: UInt32, _ headers: [(name: String, value: String)], _ session: SPDYSession, _ bytes: inout [UInt8]
    ) {
        func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
        let isError = header("streamtype") == "error"
        guard isError || header("streamtype") == "data", let port = header("port").flatMap(UInt16.init), port > 0 else {
            session.reset(stream, .protocolError, to: &bytes)
            return
        }
        // Clients that name no request open the stream for errors right before that for data.
        let request = header("requestid") ?? "stream \(isError ? stream : stream &- 2)"
        var pair = pairs[request] ?? Pair(port: port)
        guard pair.port == port, isError ? pair.error == nil : pair.data == nil else {
            session.reset(stream, .protocolError, to: &bytes)
            return
        }
        if isError { pair.error = stream } else { pair.data = stream }
        requests[stream] = request
        session.reply(stream, to: &bytes)
        if pair.error != nil, pair.data != nil {
            pair.forward = Forward(port: port, dialer: dialer, connection: connection)
        }
        pairs[request] = pair
    }

    func pump(
        through buffer: UnsafeMutableRawBufferPointer, _ session: SPDYSession, to bytes: inout [UInt8], limit: Int
    ) {
        var didMove = true
        while didMove, bytes.count < limit {
            didMove = false
            let names = pairs.keys.sorted()
            turn = names.isEmpty ? 0 : (turn + 1) % names.count
            for request in names[turn...] + names[..<turn] where bytes.count < limit {
                if move(request, buffer, session, &bytes) { didMove = true }
            }
        }
    }

    /// Moves one packet of one connection's; false when it has none.
    private func move(
        _ request: String, _ buffer: UnsafeMutableRawBufferPointer, _ session: SPDYSession, _ bytes: inout [UInt8]
    ) -> Bool {
        guard let pair = pairs[request], let forward = pair.forward, let data = pair.data, let error = pair.error else {
            return false
        }
        switch forward.receive(into: buffer) {
        case .nothing: return false
        case .bytes(let received): session.send(data, received, to: &bytes)
        case .end: close(request, session, &bytes)
        case .failure(let reason):
            let text = Array("error forwarding port \(pair.port) to pod \(pod): \(reason)".utf8)
            text.withUnsafeBytes { session.send(error, $0, to: &bytes) }
            close(request, session, &bytes)
        }
        return true
    }

    /// Ends a connection: both streams are finished, and forgotten with all that the client may still send on them.
    private func close(_ request: String, _ session: SPDYSession, _ bytes: inout [UInt8]) {
        guard let pair = pairs.removeValue(forKey: request) else { return }
        pair.forward?.end()
        for stream in [pair.data, pair.error].compactMap(\.self) {
            session.finish(stream, to: &bytes)
            session.forget(stream)
            requests[stream] = nil
        }
    }

    func resume() { for pair in pairs.values { pair.forward?.resume() } }

    func end() {
        for pair in pairs.values { pair.forward?.end() }
        pairs = [:]
        requests = [:]
    }
}
