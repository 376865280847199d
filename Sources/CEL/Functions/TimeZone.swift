import Glibc
import Synchronization

/// How far the clocks of a place are ahead of UTC: a fixed offset, or the system's data (RFC 8536).
struct TimeZone: Sendable {
    private enum Rule: Sendable {
        case fixed(Int64)
        /// From these instants on, in seconds since 1970, the offsets hold; the first before all.
        case changing(instants: [Int64], offsets: [Int64], initial: Int64)
    }

    private let rule: Rule

    private static let known = Mutex<[String: TimeZone]>([:])

    /// `UTC`, an offset such as `+02:00`, or a name such as `Europe/Paris`.
    static func named(_ name: String) throws(CELError) -> TimeZone {
        if name.isEmpty || name == "UTC" { return TimeZone(rule: .fixed(0)) }
        if let offset = offset(name) { return TimeZone(rule: .fixed(offset)) }
        if let zone = known.withLock({ $0[name] }) { return zone }
        // A name is a path below the data's folder and nothing else.
        let isName = name.utf8.allSatisfy {
            (($0 | 0x20) &- 0x61) < 26 || ($0 >= 0x30 && $0 <= 0x39) || "/_-+".utf8.contains($0)
        }
        guard isName, name.utf8.count <= 64, !name.hasPrefix("/"), let data = read("/usr/share/zoneinfo/\(name)"),
            let zone = TimeZone(data)
        else { throw CELError("unknown time zone \(name)") }
        known.withLock { $0[name] = zone }
        return zone
    }

    /// Seconds ahead of UTC at an instant.
    func offset(at seconds: Int64) -> Int64 {
        switch rule {
        case .fixed(let offset): return offset
        case .changing(let instants, let offsets, let initial):
            var low = 0
            var high = instants.count
            while low < high {
                let middle = (low + high) / 2
                if instants[middle] <= seconds { low = middle + 1 } else { high = middle }
            }
            return low == 0 ? initial : offsets[low - 1]
        }
    }

    /// `[+-]hh:mm`.
    private static func offset(_ text: String) -> Int64? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let hours = Int64(parts[0]), let minutes = Int64(parts[1]), parts[1].count == 2,
            abs(hours) < 24, (0..<60).contains(minutes)
        else { return nil }
        return hours * 3600 + (text.hasPrefix("-") ? -60 : 60) * minutes
    }

    private init(rule: Rule) { self.rule = rule }

    private static func read(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "rbe") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = fread(&bytes, 1, bytes.count, file)
        return count > 0 ? Array(bytes.prefix(count)) : nil
    }

    /// Reads the part with 64-bit instants. What holds after the last change is the last change's offset: the data lists
    /// changes up to 2037.
    private init?(_ data: [UInt8]) {
        func number(_ place: Int, _ width: Int) -> Int64? {
            guard place >= 0, place + width <= data.count else { return nil }
            var value: UInt64 = data[place] & 0x80 != 0 ? .max : 0
            for byte in data[place..<(place + width)] { value = value << 8 | UInt64(byte) }
            return Int64(bitPattern: value)
        }
        func counts(_ place: Int) -> [Int]? {
            guard place + 44 <= data.count, data[place..<(place + 4)].elementsEqual("TZif".utf8) else { return nil }
            let counts = (0..<6).compactMap { number(place + 20 + 4 * $0, 4).map(Int.init) }
            return counts.allSatisfy { (0...100_000).contains($0) } ? counts : nil
        }
        guard let first = counts(0) else { return nil }
        let skipped = 44 + first[3] * 5 + first[4] * 6 + first[5] + first[2] * 8 + first[1] + first[0]
        guard let second = counts(skipped) else { return nil }
        let (changes, types) = (second[3], second[4])
        let start = skipped + 44
        let typesStart = start + changes * 9
        let all = (0..<types).compactMap { number(typesStart + 6 * $0, 4) }
        let instants = (0..<changes).compactMap { number(start + 8 * $0, 8) }
        guard all.count == types, types > 0, instants.count == changes, typesStart <= data.count else { return nil }
        let indexes = data[(start + changes * 8)..<typesStart]
        guard indexes.allSatisfy({ Int($0) < types }) else { return nil }
        rule = .changing(instants: instants, offsets: indexes.map { all[Int($0)] }, initial: all[0])
    }
}
