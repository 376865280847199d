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
    /// When the try that is in flight, or was last, began.
    var beganAt = 0.0
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

    /// What is said to whom. `redirection` is where an answer has sent a probe by HTTP.
    func exchange(_ probe: JSON, redirection: HTTPPlace?) throws -> (exchange: ProbeExchange, place: HTTPPlace) {
        if let redirection { return (httpExchange(probe["httpGet"], redirection), redirection) }
        for (member, isHTTP) in [("httpGet", true), ("tcpSocket", false)] where probe[member].exists {
            let action = probe[member]
            guard let port = container.port(action["port"]) else {
                throw HookError(description: "port \(action["port"].stringValue ?? "") is not a port of the container")
            }
            let host = action["host"].stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? target.podIP
            let place = HTTPPlace(
                isTLS: isHTTP && action["scheme"].stringValue == "HTTPS", host: host, port: port,
                path: action["path"].stringValue ?? "/")
            return (isHTTP ? httpExchange(action, place) : .connect, place)
        }
        let port = Int(probe["grpc"]["port"].integerValue ?? 0)
        let authority = "\(target.podIP):\(port)"
        let service = probe["grpc"]["service"].stringValue ?? ""
        let request = GRPCHealth.request(service: service, authority: authority)
        return (.grpc(request: request), HTTPPlace(isTLS: false, host: target.podIP, port: port, path: ""))
    }

    private func httpExchange(_ action: JSON, _ place: HTTPPlace) -> ProbeExchange {
        .http(request: HTTPProbeRequest.build(action, at: place, program: "probe"), url: place.url)
    }
}

/// A probe's connection in progress.
struct ProbeConnection {
    let task: Int
    let exchange: ProbeExchange
    let place: HTTPPlace
    /// How many answers have sent the probe on to here.
    let redirections: Int
    /// Seconds of the monotonic clock.
    let deadline: Double
    private enum Stage { case connecting, greeting, talking }
    private var stage = Stage.connecting
    private let transport: ProbeTransport
    private var sent = 0
    private var received: [UInt8] = []
    /// The last step waits until the socket takes more, not until it has more.
    private(set) var wantsOutput = true

    static let receiveLimit = 10 << 10

    init(
        task: Int, exchange: ProbeExchange, place: HTTPPlace, redirections: Int = 0, deadline: Double,
        transport: ProbeTransport
    ) {
        self.task = task
        self.exchange = exchange
        self.place = place
        self.redirections = redirections
        self.deadline = deadline
        self.transport = transport
    }

    private var address: String { place.authority }
    /// Of an answer by HTTP.
    var body: String { String(decoding: HTTPProbeRequest.body(received), as: UTF8.self) }

    /// Does what the socket allows now.
    mutating func advance() -> ProbeProgress {
        if stage == .connecting {
            let code = PodSocket.pendingError(transport.descriptor)
            guard code == 0 else { return .failed("\(SystemError("dial tcp", address, code: code))") }
            if exchange == .connect { return .succeeded }
            stage = .greeting
        }
        if stage == .greeting {
            if let pause = pause(transport.handshake(), "handshake with") { return pause }
            stage = .talking
        }
        let request = exchange.request
        while sent < request.count {
            let outcome = transport.send(request[sent...])
            if case .count(let count) = outcome { sent += count }
            if let pause = pause(outcome, "send to") { return pause }
        }
        return receive()
    }

    /// What a step that cannot go on now means; nil when it can.
    private mutating func pause(_ outcome: ProbeTransport.Outcome, _ what: String) -> ProbeProgress? {
        switch outcome {
        case .count: return nil
        case .wantsRead: wantsOutput = false
        case .wantsWrite: wantsOutput = true
        case .end: return .failed("\(what) \(address): the connection was closed")
        case .failed(let reason): return .failed("\(what) \(address): \(reason)")
        }
        return .needsMore
    }

    private mutating func receive() -> ProbeProgress {
        var chunk = [UInt8](repeating: 0, count: 2048)
        while received.count < Self.receiveLimit {
            let outcome = transport.receive(into: &chunk)
            switch outcome {
            case .count(let count):
                received += chunk[..<count]
                let progress = exchange.judge(received, isClosed: false)
                if progress != .needsMore { return progress }
            case .end: return exchange.judge(received, isClosed: true)
            default: return pause(outcome, "read from") ?? .needsMore
            }
        }
        return exchange.judge(received, isClosed: true)
    }
}
