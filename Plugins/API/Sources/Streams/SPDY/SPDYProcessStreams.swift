import Objects

/// The streams of an exec or attach (Kubernetes' remote command protocol, version 4, over SPDY) as the channels that an
/// extension speaks in packets: the first byte names the channel.
final class SPDYProcessStreams: SPDYTarget {
    /// Channels of v4.channel.k8s.io and v5.channel.k8s.io.
    enum Channel: UInt8, CaseIterable {
        case standardInput = 0
        case standardOutput = 1
        case standardError = 2
        case status = 3
        case resize = 4
    }
    /// Version 5's message that a channel is closed; the channel's number follows.
    private static let closing: UInt8 = 255
    /// Most bytes of a terminal's size.
    private static let sizeLimit = 1024

    private let pump: PacketPump
    private var missing: Set<Channel>
    private var streams: [Channel: UInt32] = [:]
    private var sizes: [UInt8] = []
    private(set) var isFinished = false

    /// - Parameter expected: the streams that the client opens before anything is sent to it.
    init(pump: PacketPump, expected: Set<Channel>) {
        self.pump = pump
        missing = expected
    }

    /// The streams that a request's query announces: those that it asks for, one for the end's status, and for a terminal
    /// one for its sizes.
    static func expected(_ query: Query) -> Set<Channel> {
        func flag(_ name: String) -> Bool { query.flag(name) }
        var channels: Set<Channel> = [.status]
        if flag("stdin") { channels.insert(.standardInput) }
        if flag("stdout") { channels.insert(.standardOutput) }
        if flag("stderr"), !flag("tty") { channels.insert(.standardError) }
        if flag("tty") { channels.insert(.resize) }
        return channels
    }

    private static let names: [String: Channel] = [
        "stdin": .standardInput, "stdout": .standardOutput, "stderr": .standardError, "error": .status,
        "resize": .resize,
    ]

    var isBlocked: Bool { pump.isBlocked }

    func handle(_ event: SPDYEvent, _ session: SPDYSession, to bytes: inout [UInt8]) {
        switch event {
        case .opened(let stream, let headers):
            let type = headers.first { $0.name.lowercased() == "streamtype" }?.value ?? ""
            guard let channel = Self.names[type], streams[channel] == nil else {
                session.reset(stream, .protocolError, to: &bytes)
                return
            }
            streams[channel] = stream
            missing.remove(channel)
            session.reply(stream, to: &bytes)
            if missing.isEmpty { pump.resumeReading() }
        case .data(let stream, let data):
            if stream == streams[.standardInput] {
                pump.send([Channel.standardInput.rawValue] + data)
            } else if stream == streams[.resize] {
                resize(data)
            }
        case .finished(let stream), .reset(let stream):
            if stream == streams[.standardInput] { pump.send([Self.closing, Channel.standardInput.rawValue]) }
        case .ping, .goAway: break
        }
    }

    /// Sizes are JSON objects, one after another, wherever frames cut them.
    private func resize(_ data: [UInt8]) {
        sizes += data
        while let end = sizes.firstIndex(of: UInt8(ascii: "}")) {
            let size = sizes[...end].drop { $0 == 0x0A || $0 == 0x20 }
            if !pump.isBlocked { pump.send([Channel.resize.rawValue] + size) }
            sizes.removeSubrange(...end)
        }
        if sizes.count > Self.sizeLimit { sizes = [] }
    }

    func pump(
        through buffer: UnsafeMutableRawBufferPointer, _ session: SPDYSession, to bytes: inout [UInt8], limit: Int
    ) {
        guard missing.isEmpty, !isFinished else { return }
        while bytes.count < limit {
            switch pump.receive(into: buffer) {
            case .packet(let packet):
                guard let channel = packet.first.flatMap(Channel.init(rawValue:)), let stream = streams[channel] else {
                    continue
                }
                session.send(stream, UnsafeRawBufferPointer(rebasing: packet[1...]), to: &bytes)
            case .nothing: return
            case .end:
                pump.end()
                for channel in Channel.allCases {
                    if let stream = streams[channel] { session.finish(stream, to: &bytes) }
                }
                isFinished = true
                return
            }
        }
    }

    func resume() { pump.resumeReading() }
    func end() { pump.end() }
}
