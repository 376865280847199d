/// The head of a response of another server, as it was received.
struct HTTPResponseHead: Sendable {
    var status: Int
    /// The server's own words for the status; may be empty.
    var reason: String
    var minorVersion: Int
    /// In order, names as they were written, surrounding blanks of values removed.
    var fields: [(name: String, value: String)]

    /// All values of a header. `name` is given in lower case.
    func values(_ name: String) -> [String] {
        fields.filter { $0.name.lowercased() == name }.map(\.value)
    }

    /// Whether the connection goes on behind this response (RFC 9112, section 9.3).
    var keepsAlive: Bool {
        minorVersion == 1 && !values("connection").contains { HTTPRequestHead.list($0, contains: "close") }
    }

    /// How the end of the body is known (RFC 9112, section 6.3).
    /// - Parameter method: of the request that is answered.
    func framing(answering method: String) throws(UpstreamError) -> HTTPBodyReader.Framing {
        if method == "HEAD" || status < 200 || status == 204 || status == 304 { return .none }
        if let coding = values("transfer-encoding").first {
            guard coding.lowercased() == "chunked" else {
                throw UpstreamError("unsupported transfer encoding: \"\(coding)\"")
            }
            return .chunked
        }
        let lengths = Set(values("content-length"))
        guard let text = lengths.first else { return .untilClose }
        guard lengths.count == 1, text.utf8.count <= 15, text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
            let length = Int(text)
        else { throw UpstreamError("bad Content-Length \"\(lengths.sorted().joined(separator: ", "))\"") }
        return .counted(length)
    }
}

/// Parses the head of an HTTP/1 response. Lines may end with LF alone, as of many small servers; what could be taken for
/// the end of a line when it is passed on is refused. Pure.
struct HTTPResponseParser: Sendable {
    /// Most bytes of a head.
    static let headLimit = 256 * 1024
    /// Most header fields.
    static let fieldLimit = 1024

    /// Parses a head at the start of `bytes`. Nil means that more bytes are needed; otherwise the head and its size.
    /// - Complexity: O(n) each time; callers bound how often they ask by the head's limit.
    static func parse(_ bytes: ArraySlice<UInt8>) throws(UpstreamError) -> (head: HTTPResponseHead, size: Int)? {
        var position = bytes.startIndex
        var head: HTTPResponseHead?
        while let end = bytes[position...].firstIndex(of: 0x0A) {
            var line = bytes[position..<end]
            position = end + 1
            if line.last == 0x0D { line.removeLast() }
            if var known = head {
                if line.isEmpty { return (known, position - bytes.startIndex) }
                guard known.fields.count < fieldLimit else { throw UpstreamError("too many response headers") }
                known.fields.append(try field(line))
                head = known
            } else {
                head = try statusLine(line)
            }
        }
        guard bytes.count <= headLimit else {
            throw UpstreamError("server response headers exceeded \(headLimit) bytes")
        }
        // What is no HTTP at all is not awaited to its end.
        if head == nil, !bytes.prefix(5).elementsEqual("HTTP/".utf8.prefix(bytes.count)) {
            throw UpstreamError("malformed HTTP response \"\(shown(bytes))\"")
        }
        return nil
    }

    private static func statusLine(_ line: ArraySlice<UInt8>) throws(UpstreamError) -> HTTPResponseHead {
        let text = String(decoding: line.prefix(256), as: UTF8.self)
        let parts = text.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts[0].hasPrefix("HTTP/1."), let minor = Int(parts[0].dropFirst(7)), minor == 0 || minor == 1 else {
            throw UpstreamError("malformed HTTP response \"\(shown(line))\"")
        }
        guard parts.count > 1, parts[1].utf8.count == 3, let status = Int(parts[1]), status >= 100 else {
            throw UpstreamError("malformed HTTP status code \"\(shown(line))\"")
        }
        // Words that could end the line when they are passed on are left out.
        let words = parts.count > 2 ? parts[2] : ""
        let reason = words.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } ? String(words) : ""
        return HTTPResponseHead(status: status, reason: reason, minorVersion: minor, fields: [])
    }

    private static func field(_ line: ArraySlice<UInt8>) throws(UpstreamError) -> (name: String, value: String) {
        guard let colon = line.firstIndex(of: 0x3A), colon > line.startIndex,
            line[..<colon].allSatisfy(HTTPRequestParser.isToken)
        else { throw UpstreamError("malformed MIME header line: \"\(shown(line))\"") }
        let blanks: Set<UInt8> = [0x20, 0x09]
        var value = line[(colon + 1)...].drop(while: blanks.contains)
        while let last = value.last, blanks.contains(last) { value.removeLast() }
        guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
            throw UpstreamError("malformed MIME header: control character in \"\(shown(line))\"")
        }
        return (String(decoding: line[..<colon], as: UTF8.self), String(decoding: value, as: UTF8.self))
    }

    private static func shown(_ line: ArraySlice<UInt8>) -> String {
        String(decoding: line.prefix(64).map { $0 < 0x20 || $0 > 0x7E ? 0x2E : $0 }, as: UTF8.self)
    }
}
