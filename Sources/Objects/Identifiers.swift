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
    let (high, low) = uidSource.withLock { $0.next() }
    return randomUUID(high, low)
}

/// The text of a random UUID in lower case: 128 bits, in which those of its version and variant are set (RFC 9562, section 5.4).
package func randomUUID(_ high: UInt64, _ low: UInt64) -> String {
    uuidText(high & 0xFFFF_FFFF_FFFF_0FFF | 0x4000, low & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000)
}

/// The text of a UUID in lower case: the first and the last 64 of its bits (RFC 9562, section 4).
package func uuidText(_ high: UInt64, _ low: UInt64) -> String {
    String(unsafeUninitializedCapacity: 36) { text in
        var place = 0
        for digit in 0..<32 {
            if digit == 8 || digit == 12 || digit == 16 || digit == 20 {
                text[place] = UInt8(ascii: "-")
                place += 1
            }
            let half = digit < 16 ? high : low
            text[place] = Hex.digit(UInt8(truncatingIfNeeded: half >> UInt64(60 - 4 * (digit & 15))) & 15)
            place += 1
        }
        return place
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
