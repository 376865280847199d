import Objects

/// The request of an httpGet action.
enum HTTPProbeRequest {
    /// HTTP/1.1 with `Connection: close`. Headers of the action replace the standard ones, each as often as it is given; an
    /// empty User-Agent or Accept takes the standard one away.
    /// - Parameter program: what the User-Agent names, "probe" or "lifecycle", as programs know it from kubelets.
    static func build(_ action: JSON, at place: HTTPPlace, program: String) -> [UInt8] {
        var path = place.path
        if !path.hasPrefix("/") { path = "/" + path }
        path = String(path.filter { !$0.isNewline && $0 != " " })
        let given = action["httpHeaders"].arrayValue.compactMap { header -> (name: String, value: String)? in
            guard let name = header["name"].stringValue, let value = header["value"].stringValue,
                !(name + value).contains(where: \.isNewline)
            else { return nil }
            return (name, value)
        }
        let names = Set(given.map { $0.name.lowercased() })
        let standard = [
            (name: "Host", value: place.authority), ("User-Agent", "kube-\(program)/\(NodeStatusBuilder.shortVersion)"),
            ("Accept", "*/*"), ("Connection", "close"),
        ].filter { !names.contains($0.0.lowercased()) }
        let kept = given.filter { !$0.value.isEmpty || !["user-agent", "accept"].contains($0.name.lowercased()) }
        let lines = (standard + kept).map { "\($0.name): \($0.value)\r\n" }.joined()
        return Array("GET \(path) HTTP/1.1\r\n\(lines)\r\n".utf8)
    }

    /// The status code of a response's first line; nil while more bytes are needed, 0 when it is not HTTP.
    static func status(_ received: [UInt8]) -> Int? {
        guard let end = received.firstIndex(of: UInt8(ascii: "\n")) else { return received.count > 4096 ? 0 : nil }
        let line = String(decoding: received[..<end], as: UTF8.self)
        let parts = line.split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), let code = Int(parts[1].prefix(3)) else { return 0 }
        return code
    }

    /// The Location of a response whose headers are all there; nil without one.
    static func location(_ received: [UInt8]) -> String? { header("location", received) }

    private static func header(_ name: String, _ received: [UInt8]) -> String? {
        for line in String(decoding: received, as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
        {
            if line.isEmpty { return nil }
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == name else { continue }
            return String(parts[1].drop(while: \.isWhitespace))
        }
        return nil
    }

    /// Whether the blank line that ends a response's headers is there.
    static func hasAllHeaders(_ received: [UInt8]) -> Bool { bodyStart(received) != nil }

    /// What follows the headers.
    static func body(_ received: [UInt8]) -> [UInt8] { bodyStart(received).map { Array(received[$0...]) } ?? [] }

    /// Whether as much of the body is there as the headers promise.
    static func hasWholeBody(_ received: [UInt8]) -> Bool {
        guard let start = bodyStart(received) else { return false }
        return received.count - start >= header("content-length", received).flatMap { Int($0) } ?? 0
    }

    private static func bodyStart(_ received: [UInt8]) -> Int? {
        let end: [UInt8] = [13, 10, 13, 10]
        guard received.count >= end.count else { return nil }
        return (0...received.count - end.count).first { received[$0..<($0 + end.count)].elementsEqual(end) }
            .map { $0 + end.count }
    }
}
