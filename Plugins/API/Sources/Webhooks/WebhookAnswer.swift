/// The answer of a webhook: an HTTP/1.1 response as it was received.
struct WebhookAnswer: Sendable {
    let status: Int
    let body: [UInt8]

    /// - Throws: when it is none, or ends early.
    init(_ bytes: [UInt8]) throws(WebhookError) {
        guard let head = Head(bytes) else { throw WebhookError("EOF") }
        status = head.status
        let rest = bytes[head.end...]
        if head.isChunked {
            guard let body = Self.chunks(rest) else { throw WebhookError("unexpected EOF") }
            self.body = body
        } else if let length = head.length {
            guard rest.count >= length else { throw WebhookError("unexpected EOF") }
            body = Array(rest.prefix(length))
        } else {
            body = Array(rest)
        }
    }

    /// Whether nothing more has to be waited for.
    static func isComplete(_ bytes: [UInt8]) -> Bool {
        guard let head = Head(bytes) else { return false }
        let rest = bytes[head.end...]
        if head.isChunked { return chunks(rest) != nil }
        return head.length.map { rest.count >= $0 } ?? false
    }

    private struct Head {
        var status = 0
        var length: Int?
        var isChunked = false
        /// Where the body begins.
        var end = 0

        init?(_ bytes: [UInt8]) {
            let mark = Array("\r\n\r\n".utf8)
            guard let end = WebhookAnswer.position(of: mark, in: bytes[...]) else { return nil }
            self.end = end + 4
            let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n")
            guard let words = lines.first?.split(separator: " "), words.count >= 2, words[0].hasPrefix("HTTP/1."),
                let status = Int(words[1])
            else { return nil }
            self.status = status
            for line in lines.dropFirst() {
                let parts = line.split(separator: ":", maxSplits: 1)
                guard parts.count == 2 else { continue }
                let value = parts[1].drop { $0 == " " }
                switch parts[0].lowercased() {
                case "content-length": length = Int(value)
                case "transfer-encoding": isChunked = value.lowercased() == "chunked"
                default: break
                }
            }
        }
    }

    private static func position(of mark: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
        var position = bytes.startIndex
        while let found = bytes[position...].firstIndex(of: mark[0]), found + mark.count <= bytes.endIndex {
            if bytes[found..<(found + mark.count)].elementsEqual(mark) { return found }
            position = found + 1
        }
        return nil
    }

    /// The content of a chunked body; nil when its end has not come.
    private static func chunks(_ bytes: ArraySlice<UInt8>) -> [UInt8]? {
        var rest = bytes
        var body: [UInt8] = []
        while let end = position(of: [0x0D, 0x0A], in: rest) {
            let digits = String(decoding: rest[rest.startIndex..<end].prefix { $0 != 0x3B }, as: UTF8.self)
            guard let size = Int(digits, radix: 16), size >= 0 else { return nil }
            if size == 0 { return body }
            let start = end + 2
            guard start + size + 2 <= rest.endIndex else { return nil }
            body.append(contentsOf: rest[start..<(start + size)])
            rest = rest[(start + size + 2)...]
        }
        return nil
    }
}
