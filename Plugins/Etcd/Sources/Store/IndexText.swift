/// The pairs of an index ("name\0value\0…") in place.
struct IndexText {
    let bytes: ArraySlice<UInt8>

    /// All pairs, in order. What is cut off at the end is left out.
    var pairs: [(name: String, value: String)] {
        let parts = bytes.split(separator: 0, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        return stride(from: 0, to: parts.count - 2, by: 2).map { (parts[$0], parts[$0 + 1]) }
    }

    /// The value of a name; nil when it is absent. Complexity: linear in the index.
    func value(_ name: String) -> String? {
        var rest = bytes
        while !rest.isEmpty {
            guard let nameEnd = rest.firstIndex(of: 0),
                let valueEnd = rest[rest.index(after: nameEnd)...].firstIndex(of: 0)
            else { return nil }
            if rest[..<nameEnd].elementsEqual(name.utf8) {
                return String(decoding: rest[rest.index(after: nameEnd)..<valueEnd], as: UTF8.self)
            }
            rest = rest[rest.index(after: valueEnd)...]
        }
        return nil
    }
}
