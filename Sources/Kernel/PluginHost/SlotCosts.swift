/// The longest that calls of an interface's slots should take: "schedule:10ms;reset:1s", as HOSTD_…_COSTS and the member
/// `costs` of a description have it. What is not listed may block.
struct SlotCosts: Equatable {
    /// Nanoseconds by slot.
    private(set) var limits: [String: UInt64] = [:]

    struct Malformed: Error { let part: String }

    private static let units: [(suffix: String, nanoseconds: UInt64)] = [
        ("us", 1000), ("ms", 1_000_000), ("s", 1_000_000_000),
    ]

    init(parsing text: String) throws(Malformed) {
        for part in text.split(separator: ";") {
            let sides = part.split(separator: ":", omittingEmptySubsequences: false)
            guard sides.count == 2, !sides[0].isEmpty, let limit = Self.duration(sides[1]) else {
                throw Malformed(part: String(part.prefix(80)))
            }
            limits[String(sides[0])] = limit
        }
    }

    private static func duration(_ text: Substring) -> UInt64? {
        for (suffix, nanoseconds) in units where text.hasSuffix(suffix) {
            guard let number = UInt32(text.dropLast(suffix.count)), number > 0 else { return nil }
            return UInt64(number) * nanoseconds
        }
        return nil
    }
}
