import Objects

/// The indexes of a Job's pods as text, such as "1,3-5": ascending numbers and ranges below the number of completions.
struct JobIndexes {
    /// Why a text is none, in Kubernetes' words.
    struct Mistake: Error {
        let text: String
    }

    let intervals: [ClosedRange<Int64>]

    var count: Int64 { intervals.reduce(0) { $0 + Int64($1.count) } }

    init(_ text: String, below completions: Int64) throws(Mistake) {
        guard !text.isEmpty else {
            intervals = []
            return
        }
        var intervals: [ClosedRange<Int64>] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let interval = try Self.interval(part, completions)
            if let last = intervals.last?.upperBound, last >= interval.lowerBound {
                throw Mistake(text: "non-increasing order, previous: \(last), current: \(interval.lowerBound)")
            }
            intervals.append(interval)
        }
        self.intervals = intervals
    }

    private static func interval(_ part: Substring, _ completions: Int64) throws(Mistake) -> ClosedRange<Int64> {
        let bounds = part.split(separator: "-", omittingEmptySubsequences: false)
        guard bounds.count <= 2 else {
            throw Mistake(
                text:
                    "the fragment \"\(part)\" violates the requirement that an index interval can have at most two parts separated by '-'"
            )
        }
        let first = try index(bounds[0], completions)
        guard bounds.count == 2 else { return first...first }
        let last = try index(bounds[1], completions)
        guard first < last else {
            throw Mistake(text: "non-increasing order, previous: \(first), current: \(last)")
        }
        return first...last
    }

    private static func index(_ text: Substring, _ completions: Int64) throws(Mistake) -> Int64 {
        guard let index = Int64(text) else {
            throw Mistake(text: "cannot convert string to integer for index: \"\(text)\"")
        }
        guard index < completions else { throw Mistake(text: "too large index: \"\(text)\"") }
        return index
    }

    /// The first index that both have; nil where they have none in common.
    func firstShared(with other: JobIndexes) -> Int64? {
        var (own, others) = (intervals[...], other.intervals[...])
        while let a = own.first, let b = others.first {
            if a.overlaps(b) { return max(a.lowerBound, b.lowerBound) }
            if a.lowerBound <= b.lowerBound { own.removeFirst() } else { others.removeFirst() }
        }
        return nil
    }
}
