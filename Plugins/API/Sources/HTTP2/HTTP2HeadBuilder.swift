/// Makes of the fields of a header block the head of a request, within the bounds of an HTTP/1.1 head. nghttp2 has checked
/// what RFC 9113, section 8.2 and 8.3 demand: which fields there are, how often, and of which characters. Pure.
struct HTTP2HeadBuilder {
    private var head = HTTPRequestHead(bytes: [], methodRange: 0..<0, targetRange: 0..<0, minorVersion: 1, fields: [])
    private var authority: Range<Int>?
    private var hasHost = false
    private var isTooLarge = false

    mutating func add(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
        // RFC 9113, section 6.5.2 counts 32 bytes for each field.
        let size = head.bytes.count + name.count + value.count + 32 * (head.fields.count + 1)
        guard size <= HTTPRequestParser.headLimit, head.fields.count < HTTPRequestParser.fieldLimit else {
            isTooLarge = true
            return
        }
        guard name.first == UInt8(ascii: ":") else {
            if name.elementsEqual("host".utf8) { hasHost = true }
            head.fields.append(.init(name: append(name), value: append(value)))
            return
        }
        if name.elementsEqual(":method".utf8) { head.methodRange = append(value) }
        if name.elementsEqual(":path".utf8) { head.targetRange = append(value) }
        if name.elementsEqual(":authority".utf8) { authority = append(value) }
    }

    private mutating func append(_ bytes: some Collection<UInt8>) -> Range<Int> {
        let start = head.bytes.count
        head.bytes.append(contentsOf: bytes)
        return start..<head.bytes.count
    }

    /// The head, once its block is complete.
    func build() throws(HTTPParseError) -> HTTPRequestHead {
        guard !isTooLarge else { throw .headTooLarge }
        var builder = self
        let target = head.bytes[head.targetRange]
        guard target.first == UInt8(ascii: "/") || target.elementsEqual("*".utf8) else {
            throw .malformed("the request target is not a path")
        }
        guard target.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw .malformed("the request target holds characters that must be percent-encoded")
        }
        if let authority, !hasHost {
            builder.head.fields.append(.init(name: builder.append("host".utf8), value: authority))
        }
        if let text = head.header("content-length") {
            guard text.utf8.count <= 15, let length = Int(text), length >= 0 else {
                throw .malformed("Content-Length is not a number of bytes")
            }
            builder.head.contentLength = length
        }
        builder.head.expectsContinue = head.header("expect")?.lowercased() == "100-continue"
        return builder.head
    }
}
