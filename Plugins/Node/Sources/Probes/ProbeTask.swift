import Glibc
import Objects

/// One probe of one container, as the loop keeps it. Times are seconds of the monotonic clock.
struct ProbeTask: Sendable {
    let id: Int
    let podUID: String
    let containerID: String
    let container: PodContainer
    var state: ProbeState
    let target: ProbeTarget
    /// Waits for the startup probe.
    var isHeld: Bool
    var isInFlight = false
    var nextAt: Double

    init(
        id: Int, podUID: String, containerID: String, container: PodContainer, state: ProbeState, target: ProbeTarget,
        isHeld: Bool
    ) {
        self.id = id
        self.podUID = podUID
        self.containerID = containerID
        self.container = container
        self.state = state
        self.target = target
        self.isHeld = isHeld
        let age = max(0, WallClock.now() - target.startedAt)
        nextAt = Self.clock() + max(0, state.configuration.initialDelay - age)
    }

    static func clock() -> Double { Double(WallClock.monotonicNanoseconds()) / 1e9 }

    func report(_ change: ProbeReport.Change) -> ProbeReport {
        ProbeReport(
            podUID: podUID, containerID: containerID, container: container.name, kind: state.kind, change: change)
    }

    /// What is said to whom.
    func exchange(_ probe: JSON) throws -> (exchange: ProbeExchange, host: String, port: Int) {
        for (member, isHTTP) in [("httpGet", true), ("tcpSocket", false)] where probe[member].exists {
            let action = probe[member]
            guard let port = container.port(action["port"]) else {
                throw HookError(description: "port \(action["port"].stringValue ?? "") is not a port of the container")
            }
            let host = action["host"].stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? target.podIP
            guard isHTTP else { return (.connect, host, port) }
            let url = "http://\(host):\(port)\(action["path"].stringValue ?? "/")"
            let request = HTTPProbeRequest.build(action, host: host, port: port, agent: "hostd-probe/1")
            // A TLS endpoint answers a connection; its certificate would not be checked either way.
            if action["scheme"].stringValue == "HTTPS" { return (.connect, host, port) }
            return (.http(request: request, url: url), host, port)
        }
        let port = Int(probe["grpc"]["port"].integerValue ?? 0)
        let authority = "\(target.podIP):\(port)"
        let service = probe["grpc"]["service"].stringValue ?? ""
        return (.grpc(request: GRPCHealth.request(service: service, authority: authority)), target.podIP, port)
    }
}

/// A probe's connection in progress.
struct ProbeConnection {
    let task: Int
    let exchange: ProbeExchange
    let address: String
    /// Seconds of the monotonic clock.
    let deadline: Double
    private var isConnected = false
    private var sent = 0
    private var received: [UInt8] = []

    static let receiveLimit = 10 << 10

    init(task: Int, exchange: ProbeExchange, address: String, deadline: Double) {
        self.task = task
        self.exchange = exchange
        self.address = address
        self.deadline = deadline
    }

    /// All is sent; the next event is an answer.
    var wantsInput: Bool { isConnected && sent == exchange.request.count }

    /// Does what the socket allows now.
    mutating func advance(_ descriptor: Int32) -> ProbeProgress {
        if !isConnected {
            let code = PodSocket.pendingError(descriptor)
            guard code == 0 else {
                return .failed("\(SystemError("dial tcp", address, code: code))")
            }
            isConnected = true
            if exchange == .connect { return .succeeded }
        }
        let request = exchange.request
        while sent < request.count {
            let count = request.withUnsafeBytes {
                send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count > 0 { sent += count } else if errno == EAGAIN { return .needsMore }
            else if errno != EINTR { return .failed("\(SystemError("send", address))") }
        }
        return receive(descriptor)
    }

    private mutating func receive(_ descriptor: Int32) -> ProbeProgress {
        var chunk = [UInt8](repeating: 0, count: 2048)
        while received.count < Self.receiveLimit {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN { return exchange.judge(received, isClosed: false) }
                return .failed("\(SystemError("read", address))")
            }
            received += chunk[..<count]
            let progress = exchange.judge(received, isClosed: count == 0)
            if progress != .needsMore || count == 0 { return progress }
        }
        return exchange.judge(received, isClosed: true)
    }
}
