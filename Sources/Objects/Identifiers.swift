import Glibc
import Synchronization

/// Random numbers of the system's cryptographic generator, fetched for some UIDs at a time: one call of the system for each costs
/// as much as the rest of making it.
private struct UIDSource: ~Copyable {
    /// UIDs a fetch; getentropy(3) gives at most 256 bytes.
    private static let size = 16
    private var numbers = [(UInt64, UInt64)](repeating: (0, 0), count: UIDSource.size)
    private var left = 0

    mutating func next() -> (UInt64, UInt64) {
        if left == 0 {
            let isFilled = numbers.withUnsafeMutableBytes { getentropy($0.baseAddress, $0.count) == 0 }
            // Of so few bytes it cannot fail, on a kernel that has getrandom(2).
            precondition(isFilled, "the system has no random numbers")
            left = Self.size
        }
        left -= 1
        return numbers[left]
    }
}

private let uidSource = Mutex(UIDSource())

/// A random (version 4) UUID in lower case, from the system's cryptographic generator (RFC 9562). [any-thread]
public func makeUID() -> String {
    var bytes = uidSource.withLock { $0.next() }
    return withUnsafeMutableBytes(of: &bytes) { bytes in
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        return String(unsafeUninitializedCapacity: 36) { text in
            var position = 0
            for (index, byte) in bytes.enumerated() {
                if index == 4 || index == 6 || index == 8 || index == 10 {
                    text[position] = UInt8(ascii: "-")
                    position += 1
                }
                text[position] = Hex.digit(byte >> 4)
                text[position + 1] = Hex.digit(byte & 15)
                position += 2
            }
            return position
        }
    }
}

/// The random part of a generated name: characters without vowels, so that no words come about.
public func makeNameSuffix(length: Int = 5) -> String {
    var generator = SystemRandomNumberGenerator()
    return String(
        decoding: (0..<length).map { _ in suffixCharacter(generator.next(upperBound: 27 as UInt)) }, as: UTF8.self)
}

/// A name from `metadata.generateName`: the prefix, cut so that the whole stays within 63 bytes, and a random suffix.
public func makeName(prefix: String) -> String {
    String(decoding: prefix.utf8.prefix(58), as: UTF8.self) + makeNameSuffix()
}

/// Maps the digits of a decimal number to the characters of name suffixes, as Kubernetes does for hashes of templates.
public func safeNameEncoding(_ text: String) -> String {
    String(decoding: text.utf8.map { suffixCharacter(UInt($0) % 27) }, as: UTF8.self)
}

private func suffixCharacter(_ index: UInt) -> UInt8 {
    let characters: StaticString = "bcdfghjklmnpqrstvwxz2456789"
    return characters.utf8Start[Int(index)]
}
