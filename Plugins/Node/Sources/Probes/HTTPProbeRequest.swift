import Objects

/// The request of an httpGet action.
enum HTTPProbeRequest {
    /// HTTP/1.1 with `Connection: close`; headers of the action replace the standard ones.
    static func build(_ action: JSON, host: String, port: Int, agent: String) -> [UInt8] {
        var path = action["path"].stringValue ?? "/"
        if !path.hasPrefix("/") { path = "/" + path }
        path = String(path.filter { !$0.isNewline && $0 != " " })
        let authority = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        var headers: [(String, String)] = [
            ("Host", authority), ("User-Agent", agent), ("Accept", "*/*"), ("Connection", "close"),
        ]
        for header in action["httpHeaders"].arrayValue {
            guard let name = header["name"].stringValue, let value = header["value"].stringValue,
                !(name + value).contains(where: \.isNewline)
            else { continue }
            headers.removeAll { $0.0.lowercased() == name.lowercased() }
            headers.append((name, value))
        }
        let lines = headers.map { "\($0.0): \($0.1)\r\n" }.joined()
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
}
