import CEpoll
import Glibc

/// Strict HTTP/1.1 parsing of a request's head (RFC 9112): CRLF line ends only, no blanks before a colon, no folded
/// lines, one Host, no conflicting lengths. Pure: it looks at bytes and keeps only how far it has searched.
struct HTTPRequestParser: Sendable {
    /// Most bytes of a head, its final empty line included.
    static let headLimit = 64 * 1024
    /// Most header fields.
    static let fieldLimit = 256

    private var searched = 0

    /// Parses a head at the start of `bytes`. Nil means that more bytes are needed; otherwise the head and its size.
    mutating func parse(_ bytes: UnsafeRawBufferPointer) throws(HTTPParseError) -> (head: HTTPRequestHead, size: Int)? {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return nil }
        try Self.checkStart(bytes)
        let start = max(0, searched - 3)
        let window = min(bytes.count, Self.headLimit)
        guard start < window, let found = memmem(base + start, window - start, "\r\n\r\n", 4) else {
            searched = window
            if bytes.count >= Self.headLimit { throw .headTooLarge }
            return nil
        }
        let size = found - UnsafeMutableRawPointer(mutating: base) + 4
        searched = 0
        var head = HTTPRequestHead(
            bytes: Array(bytes[..<size]), methodRange: 0..<0, targetRange: 0..<0, minorVersion: 1, fields: [])
        let lines = UnsafeRawBufferPointer(rebasing: bytes[..<(size - 2)])
        var position = try Self.parseRequestLine(lines, into: &head)
        head.fields.reserveCapacity(8)
        while position < lines.count {
            position = try Self.parseField(lines, at: position, into: &head)
        }
        try Self.interpret(&head)
        return (head, size)
    }

    /// Refuses early what is no HTTP at all, so that a stray TLS hello or binary data is not awaited to its end.
    private static func checkStart(_ bytes: UnsafeRawBufferPointer) throws(HTTPParseError) {
        for offset in 0..<min(bytes.count, 24) {
            if bytes[offset] == 0x20 { return }
            guard isToken(bytes[offset]) else { throw .malformed("the method is not a token") }
        }
        if bytes.count >= 24 { throw .malformed("the method is too long") }
    }

    private static func lineEnd(_ bytes: UnsafeRawBufferPointer, from start: Int) throws(HTTPParseError) -> Int {
        guard let base = bytes.baseAddress, let found = memchr(base + start, 0x0A, bytes.count - start) else {
            throw .malformed("a line has no end")
        }
        let end = UnsafeRawPointer(found) - base
        guard end > start, bytes[end - 1] == 0x0D else { throw .malformed("a line does not end with CR LF") }
        return end - 1
    }

    private static func parseRequestLine(
        _ bytes: UnsafeRawBufferPointer, into head: inout HTTPRequestHead
    ) throws(HTTPParseError) -> Int {
        let end = try lineEnd(bytes, from: 0)
        var position = 0
        while position < end, isToken(bytes[position]) { position += 1 }
        guard position > 0, position < end, bytes[position] == 0x20 else {
            throw .malformed("the request line has no method")
        }
        head.methodRange = 0..<position
        let targetStart = position + 1
        position = targetStart
        while position < end, bytes[position] > 0x20, bytes[position] < 0x7F { position += 1 }
        guard position > targetStart, position < end, bytes[position] == 0x20 else {
            throw .malformed("the request target is empty or holds characters that must be percent-encoded")
        }
        head.targetRange = try originForm(bytes, targetStart..<position)
        let version = UnsafeRawBufferPointer(rebasing: bytes[(position + 1)..<end])
        guard version.count == 8, version.baseAddress.map({ memcmp($0, "HTTP/", 5) }) == 0, version[6] == 0x2E else {
            throw .malformed("the request line does not end with a version")
        }
        guard version[5] == 0x31, version[7] == 0x30 || version[7] == 0x31 else { throw .versionNotSupported }
        head.minorVersion = Int(version[7] - 0x30)
        return end + 2
    }

    /// The path of an absolute-form target ("https://host/path"); an origin-form target as it is.
    private static func originForm(
        _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>
    ) throws(HTTPParseError) -> Range<Int> {
        if bytes[range.lowerBound] == 0x2F { return range }
        if range.count == 1, bytes[range.lowerBound] == 0x2A { return range }
        let text = UnsafeRawBufferPointer(rebasing: bytes[range])
        for scheme in ["http://", "https://"] where text.starts(with: Array(scheme.utf8)) {
            let authority = range.lowerBound + scheme.utf8.count
            if let slash = bytes[authority..<range.upperBound].firstIndex(of: 0x2F) { return slash..<range.upperBound }
        }
        throw .malformed("the request target is not a path")
    }

    private static func parseField(
        _ bytes: UnsafeRawBufferPointer, at start: Int, into head: inout HTTPRequestHead
    ) throws(HTTPParseError) -> Int {
        let end = try lineEnd(bytes, from: start)
        guard bytes[start] != 0x20, bytes[start] != 0x09 else { throw .malformed("a header line is folded") }
        var position = start
        while position < end, isToken(bytes[position]) { position += 1 }
        guard position > start, position < end, bytes[position] == 0x3A else {
            throw .malformed("a header line has no name followed by a colon")
        }
        let name = start..<position
        var valueStart = position + 1
        var valueEnd = end
        while valueStart < valueEnd, isBlank(bytes[valueStart]) { valueStart += 1 }
        while valueEnd > valueStart, isBlank(bytes[valueEnd - 1]) { valueEnd -= 1 }
        for offset in valueStart..<valueEnd {
            let byte = bytes[offset]
            guard byte >= 0x20 || byte == 0x09, byte != 0x7F else {
                throw .malformed("a header value holds a control character")
            }
        }
        guard head.fields.count < fieldLimit else { throw .headTooLarge }
        head.fields.append(.init(name: name, value: valueStart..<valueEnd))
        return end + 2
    }

    /// Draws from the fields what rules the connection and the body's length.
    private static func interpret(_ head: inout HTTPRequestHead) throws(HTTPParseError) {
        var hosts = 0
        var lengths: [Range<Int>] = []
        var codings: [String] = []
        var connection = ""
        var expectation: Range<Int>?
        for field in head.fields {
            switch field.name.count {
            case 4 where head.matches(field.name, "host"): hosts += 1
            case 6 where head.matches(field.name, "expect"): expectation = expectation ?? field.value
            case 10 where head.matches(field.name, "connection"):
                connection += (connection.isEmpty ? "" : ",") + head.string(field.value)
            case 14 where head.matches(field.name, "content-length"): lengths.append(field.value)
            case 17 where head.matches(field.name, "transfer-encoding"): codings.append(head.string(field.value))
            default: break
            }
        }
        guard hosts == 1 || (hosts == 0 && head.minorVersion == 0) else {
            throw .malformed("exactly one Host header is needed")
        }
        if let range = lengths.first {
            guard lengths.count == 1 else { throw .malformed("there are several Content-Length headers") }
            guard !range.isEmpty, range.count <= 15, head.bytes[range].allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else {
                throw .malformed("Content-Length is not a number of bytes")
            }
            head.contentLength = head.bytes[range].reduce(0) { $0 * 10 + Int($1 - 0x30) }
        }
        if !codings.isEmpty {
            guard lengths.isEmpty else { throw .malformed("both Content-Length and Transfer-Encoding are given") }
            guard head.minorVersion == 1 else { throw .malformed("HTTP/1.0 has no Transfer-Encoding") }
            guard codings.count == 1, codings[0].lowercased() == "chunked" else {
                throw .codingNotSupported(codings.joined(separator: ", "))
            }
            head.isChunked = true
        }
        let isNamed = { (token: String) in !connection.isEmpty && HTTPRequestHead.list(connection, contains: token) }
        head.keepsAlive = head.minorVersion == 1 ? !isNamed("close") : isNamed("keep-alive")
        if head.minorVersion == 1, let expectation {
            head.expectsContinue = head.string(expectation).lowercased() == "100-continue"
        }
    }

    @inline(__always) private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    /// A character of RFC 9110's `token`.
    @inline(__always) static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0x21, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E, 0x5F, 0x60, 0x7C, 0x7E: true
        default: false
        }
    }
}
