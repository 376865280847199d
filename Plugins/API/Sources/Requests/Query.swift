import Objects

/// The parameters of a URL's query, in order, decoded.
struct Query: Sendable {
    private(set) var pairs: [(name: String, value: String)] = []

    init() {}

    init(pairs: [(name: String, value: String)]) { self.pairs = pairs }

    /// - Throws: 400 when a percent escape is broken or the decoded bytes are not UTF-8.
    init(parsing text: Substring) throws(APIStatus) {
        guard !text.isEmpty else { return }
        for part in text.utf8.split(separator: UInt8(ascii: "&")).map({ Substring($0) }) {
            let equals = part.utf8.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            let value = equals == part.endIndex ? part[part.endIndex...] : part[part.utf8.index(after: equals)...]
            pairs.append(
                (
                    try PercentEncoding.decode(part[..<equals], plusIsSpace: true),
                    try PercentEncoding.decode(value, plusIsSpace: true)
                ))
        }
    }

    /// The first value of a parameter; nil when absent.
    subscript(name: String) -> String? { pairs.first { $0.name == name }?.value }

    func all(_ name: String) -> [String] { pairs.filter { $0.name == name }.map(\.value) }

    /// A boolean parameter as Kubernetes reads it: absent, "0" and "false" in any case are false, all else is true, also
    /// a name without a value. (Python's client writes "True".)
    func flag(_ name: String) -> Bool {
        guard let value = self[name] else { return false }
        return value != "0" && value.lowercased() != "false"
    }

    func integer(_ name: String) throws(APIStatus) -> Int64? {
        guard let text = self[name], !text.isEmpty else { return nil }
        guard let value = Int64(text) else {
            throw .badRequest("strconv.ParseInt: parsing \(JSON.string(text)): invalid syntax")
        }
        return value
    }
}

enum PercentEncoding {
    /// Decodes "%41" and, in queries, "+".
    static func decode(_ text: Substring, plusIsSpace: Bool = false) throws(APIStatus) -> String {
        try decode(String(text), plusIsSpace: plusIsSpace)
    }

    /// The same; most texts are as they were sent.
    static func decode(_ text: String, plusIsSpace: Bool = false) throws(APIStatus) -> String {
        var text = text
        guard text.withUTF8({ $0.contains { $0 == 0x25 || $0 == 0x2B } }) else { return text }
        var bytes: [UInt8] = []
        var iterator = text.utf8.makeIterator()
        while let byte = iterator.next() {
            switch byte {
            case 0x25:
                guard let high = iterator.next().flatMap(digit), let low = iterator.next().flatMap(digit) else {
                    throw .badRequest("the URL holds a broken percent escape")
                }
                bytes.append(high << 4 | low)
            case 0x2B where plusIsSpace: bytes.append(0x20)
            default: bytes.append(byte)
            }
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw .badRequest("the URL is not UTF-8")
        }
        return decoded
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}
