import COpenSSL

/// What stands for the content of an answer, so that clients need not fetch again what they have (RFC 9110, section 8.8.3).
/// The text without its quotes.
struct EntityTag: Sendable, Hashable {
    let text: String

    /// A strong tag: SHA-256 of the content.
    init(of bytes: [UInt8]) {
        let digits = Array("0123456789ABCDEF".utf8)
        let hexadecimal = Self.digest(of: bytes).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        text = String(decoding: hexadecimal, as: UTF8.self)
    }

    /// SHA-256.
    static func digest(of bytes: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var size: UInt32 = 0
        // With a digest that is built in and room for its result, the call cannot fail.
        EVP_Digest(bytes, bytes.count, &digest, &size, EVP_sha256(), nil)
        return Array(digest[..<Int(size)])
    }

    /// Whether an If-None-Match header names this tag (RFC 9110, section 13.1.2).
    func matches(_ ifNoneMatch: String?) -> Bool {
        guard let ifNoneMatch else { return false }
        return ifNoneMatch.split(separator: ",").contains { entry in
            var entry = entry.drop { $0 == " " || $0 == "\t" }
            while entry.last == " " || entry.last == "\t" { entry.removeLast() }
            if entry.hasPrefix("W/") { entry = entry.dropFirst(2) }
            return entry == "*" || entry == "\"\(text)\""
        }
    }
}

extension HTTPResponse {
    /// The response with its tag; to a client that has it already, only that nothing has changed. `content` is not asked for
    /// then.
    static func tagged(
        _ tag: EntityTag, ifNoneMatch: String?, contentType: String = "application/json", cacheControl: String,
        headers: [(name: String, value: String)] = [], _ content: () -> [UInt8]
    ) -> HTTPResponse {
        let isKnown = tag.matches(ifNoneMatch)
        var response = HTTPResponse(
            status: isKnown ? 304 : 200, contentType: isKnown ? "" : contentType,
            headers: [("ETag", "\"\(tag.text)\""), ("Vary", "Accept")] + headers,
            body: .bytes(isKnown ? [] : content()))
        response.cacheControl = cacheControl
        return response
    }
}
