/// What a request for a stream is answered with: which upgrade, and what is spoken then. Decided from the request's headers
/// and what the route offers, before the extension is asked.
enum StreamNegotiation: Equatable {
    /// No upgrade: a body.
    case plain
    /// A WebSocket whose messages are the extension's packets.
    case webSocket(key: String, subprotocol: String?)
    /// The channels of a process over SPDY, with the protocol's version, and the subprotocol that the extension hears.
    case processOverSPDY(protocol: String, subprotocol: String)
    case portsOverSPDY
    /// SPDY within a WebSocket.
    case portsOverTunnel(key: String)
    /// Ports as channels of a WebSocket.
    case portsOverChannels(key: String, subprotocol: String?)

    static let tunnelProtocol = "SPDY/3.1+portforward.k8s.io"
    static let portsProtocol = "portforward.k8s.io"
    /// The channels' version: that of SPDY streams, and of ports over a WebSocket.
    static let channelsProtocol = "v4.channel.k8s.io"
    /// A body in binary messages, as they come.
    static let bodyProtocol = "binary.k8s.io"
    /// The version with a message for the end of a channel, as SPDY's streams have one.
    static let closingChannels = "v5.channel.k8s.io"

    /// - Throws: a refusal for the client, when it asks for no upgrade where one is needed, or for none that is known.
    static func negotiate(
        _ request: APIRequest, _ kind: ExtensionRoutes.Route.Upgrade, subprotocols: [String]
    ) throws(APIStatus) -> StreamNegotiation {
        guard kind != .none else { return try body(request) }
        guard let upgrade = request.upgrade, !upgrade.protocol.isEmpty else {
            throw .badRequest("Upgrade request required")
        }
        if upgrade.isWebSocket { return try webSocket(upgrade, kind, subprotocols) }
        guard upgrade.protocol.lowercased() == "spdy/3.1" else {
            throw .badRequest(
                "unable to upgrade: the protocol \(upgrade.protocol) is not known; use websocket or SPDY/3.1")
        }
        guard request.method == .get || request.method == .post else { throw .methodNotAllowed }
        return try spdy(upgrade, kind, subprotocols)
    }

    /// A body that is a stream comes as messages to whoever asks for a WebSocket; all else is no upgrade.
    private static func body(_ request: APIRequest) throws(APIStatus) -> StreamNegotiation {
        guard let upgrade = request.upgrade, upgrade.isWebSocket, request.method == .get else { return .plain }
        return try webSocket(upgrade, .none, [bodyProtocol])
    }

    private static func webSocket(
        _ upgrade: APIRequest.Upgrade, _ kind: ExtensionRoutes.Route.Upgrade, _ subprotocols: [String]
    ) throws(APIStatus) -> StreamNegotiation {
        guard upgrade.version == "13" else { throw .badRequest("Sec-WebSocket-Version must be 13") }
        guard let accept = WebSocketFrame.acceptance(of: upgrade.key ?? "") else {
            throw .badRequest("Sec-WebSocket-Key must be 16 bytes in base64")
        }
        let plain = kind == .ports ? [tunnelProtocol, channelsProtocol] : subprotocols
        let known = plain + WebSocketForm.names(of: plain)
        let offered = upgrade.subprotocols.filter { !$0.hasPrefix(Authenticator.subprotocolPrefix) }
        let chosen = offered.first(where: known.contains)
        guard chosen != nil || known.isEmpty || offered.isEmpty else {
            throw .badRequest(
                "unable to upgrade: none of the subprotocols \(offered) is supported; use one of \(known)")
        }
        guard kind == .ports else { return .webSocket(key: accept, subprotocol: chosen) }
        return chosen == tunnelProtocol
            ? .portsOverTunnel(key: accept) : .portsOverChannels(key: accept, subprotocol: chosen)
    }

    /// The client lists the versions that it speaks in `X-Stream-Protocol-Version`, once or several times.
    private static func spdy(
        _ upgrade: APIRequest.Upgrade, _ kind: ExtensionRoutes.Route.Upgrade, _ subprotocols: [String]
    ) throws(APIStatus) -> StreamNegotiation {
        let offered = upgrade.headers.filter { $0.name == "x-stream-protocol-version" }.flatMap { header in
            header.value.split(separator: ",").map { String($0.drop { $0 == " " }) }
        }
        let known =
            kind == .ports
            ? portsProtocol : subprotocols.contains(channelsProtocol) ? channelsProtocol : "none of this path"
        guard offered.contains(known) else {
            throw APIStatus(
                code: 403, reason: "Forbidden",
                message:
                    "unable to upgrade: unable to negotiate protocol: client supports [\(offered.joined(separator: " "))], "
                    + "server accepts [\(known)]")
        }
        guard kind != .ports else { return .portsOverSPDY }
        return .processOverSPDY(
            protocol: known, subprotocol: subprotocols.contains(closingChannels) ? closingChannels : channelsProtocol)
    }

    /// The headers of the 101 response, but for `Connection`.
    var headers: [(name: String, value: String)] {
        switch self {
        case .plain: []
        case .webSocket(let key, let subprotocol), .portsOverChannels(let key, let subprotocol):
            Self.webSocketHeaders(key, subprotocol)
        case .portsOverTunnel(let key): Self.webSocketHeaders(key, Self.tunnelProtocol)
        case .processOverSPDY(let version, _): [("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", version)]
        case .portsOverSPDY: [("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", Self.portsProtocol)]
        }
    }

    private static func webSocketHeaders(_ key: String, _ subprotocol: String?) -> [(name: String, value: String)] {
        var headers = [(name: "Upgrade", value: "websocket"), (name: "Sec-WebSocket-Accept", value: key)]
        if let subprotocol { headers.append(("Sec-WebSocket-Protocol", subprotocol)) }
        return headers
    }

    /// How packets are put into messages, where there are any.
    var form: WebSocketForm {
        switch self {
        case .webSocket(_, let subprotocol), .portsOverChannels(_, let subprotocol): WebSocketForm(subprotocol)
        default: .binary
        }
    }

    /// The subprotocol that an extension is told: SPDY's streams come to it as the channels of a WebSocket, and what is in
    /// base 64 as it is without.
    var subprotocol: String? {
        switch self {
        case .webSocket(_, let subprotocol): subprotocol.map(WebSocketForm.plain)
        case .processOverSPDY(_, let subprotocol): subprotocol
        default: nil
        }
    }
}
