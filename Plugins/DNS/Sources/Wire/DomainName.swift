/// A domain name as a sequence of labels, in lower case: names are compared without regard to case (RFC 1035, 2.3.3).
public struct DomainName: Hashable, Sendable, CustomStringConvertible {
    /// Each 1 to 63 bytes; the host part first, the root left out.
    public let labels: [[UInt8]]

    public static let root = DomainName(unchecked: [])
    /// Bytes of the longest name on the wire, length bytes and root included.
    public static let maximumWireSize = 255
    public static let maximumLabelSize = 63

    init(unchecked labels: [[UInt8]]) { self.labels = labels }

    /// Nil when a label or the whole is too long or a label is empty.
    public init?(labels: [[UInt8]]) {
        guard labels.allSatisfy({ (1...Self.maximumLabelSize).contains($0.count) }),
            labels.reduce(1, { $0 + $1.count + 1 }) <= Self.maximumWireSize
        else { return nil }
        self.labels = labels.map { $0.map(Self.lowercase) }
    }

    /// Parses dotted text, with or without the final dot; "" and "." are the root.
    public init?(_ text: some StringProtocol) {
        var bytes = Array(text.utf8)[...]
        if bytes.last == UInt8(ascii: ".") { bytes = bytes.dropLast() }
        if bytes.isEmpty {
            self = .root
        } else {
            self.init(
                labels: bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map(Array.init))
        }
    }

    static func lowercase(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte + 32 : byte
    }

    /// The labels in front of `suffix`; nil when the name does not end with it.
    public func labels(below suffix: DomainName) -> [[UInt8]]? {
        guard labels.count >= suffix.labels.count, labels.suffix(suffix.labels.count).elementsEqual(suffix.labels)
        else {
            return nil
        }
        return Array(labels.dropLast(suffix.labels.count))
    }

    /// This name with labels in front; nil when too long.
    public func prefixed(_ front: String...) -> DomainName? {
        DomainName(labels: front.map { Array($0.utf8) } + labels)
    }

    /// Bytes on the wire without compression.
    public var wireSize: Int { labels.reduce(1) { $0 + $1.count + 1 } }

    /// Dotted, with the final dot; bytes outside of printable ASCII, dots and backslashes as \DDD.
    public var description: String {
        if labels.isEmpty { return "." }
        var text = ""
        for label in labels {
            for byte in label {
                if byte > 32, byte < 127, byte != UInt8(ascii: "."), byte != UInt8(ascii: "\\") {
                    text.unicodeScalars.append(UnicodeScalar(byte))
                } else {
                    let digits = String(byte)
                    text += "\\" + String(repeating: "0", count: 3 - digits.count) + digits
                }
            }
            text += "."
        }
        return text
    }
}
