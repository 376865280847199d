/// Disjoint intervals of numbers, in order, none next to another: what blocks with exceptions, or lists of ports, come
/// down to. A set of the packet filter takes them as they are.
struct Intervals<Number: FixedWidthInteger & Sendable>: Hashable, Sendable {
    private(set) var ranges: [ClosedRange<Number>]

    /// The union of ranges that may overlap.
    init(_ ranges: [ClosedRange<Number>]) {
        var merged: [ClosedRange<Number>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = merged.last, last.upperBound == .max || range.lowerBound <= last.upperBound + 1 {
                merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                merged.append(range)
            }
        }
        self.ranges = merged
    }

    /// What lies in these but in none of the others.
    func subtracting(_ others: Intervals) -> Intervals {
        var left: [ClosedRange<Number>] = []
        var holes = others.ranges[...]
        for range in ranges {
            var first = range.lowerBound
            var isOver = false
            while let hole = holes.first, hole.lowerBound <= range.upperBound {
                if hole.upperBound >= first {
                    if hole.lowerBound > first { left.append(first...(hole.lowerBound - 1)) }
                    if hole.upperBound >= range.upperBound {
                        isOver = true
                        break
                    }
                    first = hole.upperBound + 1
                }
                holes.removeFirst()
            }
            if !isOver { left.append(first...range.upperBound) }
        }
        return Intervals(left)
    }

    /// Everything there is.
    static var everything: Intervals { Intervals([.min ... .max]) }

    /// Borders as elements: where an interval begins, and the first number behind it.
    var elements: [FilterElement] {
        ranges.flatMap { range -> [FilterElement] in
            let first = FilterElement(key: Self.bytes(range.lowerBound))
            if range.upperBound == .max { return [first] }
            return [first, FilterElement(key: Self.bytes(range.upperBound + 1), data: .intervalEnd)]
        }
    }

    private static func bytes(_ number: Number) -> [UInt8] { withUnsafeBytes(of: number.bigEndian) { Array($0) } }
}

extension Intervals<UInt32> {
    /// Blocks of addresses, each without its exceptions. An exception holds for its own block alone.
    init(blocks: [(block: IPv4Range, except: [IPv4Range])]) {
        func interval(_ range: IPv4Range) -> ClosedRange<UInt32> { range.network.value...range.last.value }
        self.init(
            blocks.flatMap { entry in
                Intervals([interval(entry.block)]).subtracting(Intervals(entry.except.map(interval))).ranges
            })
    }

    func contains(_ address: IPv4Address) -> Bool { ranges.contains { $0.contains(address.value) } }
}
