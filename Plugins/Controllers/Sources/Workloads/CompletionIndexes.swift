import Objects

/// Completion indexes of an Indexed Job, as its status and its rules write them: "1,3-5".
struct CompletionIndexes: Equatable {
    private(set) var values: Set<Int64> = []

    init(_ values: Set<Int64> = []) { self.values = values }

    /// Parts that are no numbers or ranges below `limit` name no index.
    init(parsing text: String, below limit: Int64) {
        for part in text.split(separator: ",") {
            let bounds = part.split(separator: "-", maxSplits: 1).compactMap { Int64($0) }
            guard let first = bounds.first, let last = bounds.last, first >= 0, first < limit, first <= last else {
                continue
            }
            values.formUnion(first...min(last, limit - 1))
        }
    }

    /// Sorted, runs of three numbers and more as ranges.
    var text: String {
        var parts: [String] = []
        let numbers = values.sorted()
        var index = 0
        while index < numbers.count {
            var end = index
            while end + 1 < numbers.count && numbers[end + 1] == numbers[end] + 1 { end += 1 }
            switch end - index {
            case 0: parts.append("\(numbers[index])")
            case 1: parts.append("\(numbers[index]),\(numbers[end])")
            default: parts.append("\(numbers[index])-\(numbers[end])")
            }
            index = end + 1
        }
        return parts.joined(separator: ",")
    }

    var count: Int64 { Int64(values.count) }
    var isEmpty: Bool { values.isEmpty }
    func contains(_ index: Int64) -> Bool { values.contains(index) }
    mutating func formUnion(_ others: some Sequence<Int64>) { values.formUnion(others) }
    func intersection(_ other: CompletionIndexes) -> CompletionIndexes {
        CompletionIndexes(values.intersection(other.values))
    }
}
