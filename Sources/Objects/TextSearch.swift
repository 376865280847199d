/// Searches in text byte by byte: UTF-8 finds no part of a character, and canonically equal spellings of one are different text.
package enum TextSearch {
    /// Where `part` first occurs; at the start when it is empty, nil when it does not occur. O(text's count · part's count).
    package static func firstRange(of part: some StringProtocol, in text: some StringProtocol) -> Range<String.Index>? {
        bytes(of: text) { text in bytes(of: part) { range(of: $0, in: text, from: 0) } }
            .map { indices($0, of: text) }
    }

    /// Where `part`, which is not empty, occurs, none of the places within another.
    package static func ranges(of part: some StringProtocol, in text: some StringProtocol) -> [Range<String.Index>] {
        let found = bytes(of: text) { text in
            bytes(of: part) { part in
                var found: [Range<Int>] = []
                while !part.isEmpty, let next = range(of: part, in: text, from: found.last?.upperBound ?? 0) {
                    found.append(next)
                }
                return found
            }
        }
        return found.map { indices($0, of: text) }
    }

    /// The text with `replacement` in place of each occurrence of `part`, which is not empty.
    package static func replacing(
        _ part: some StringProtocol, with replacement: some StringProtocol, in text: some StringProtocol
    ) -> String {
        var start = text.startIndex
        var result = ""
        for found in ranges(of: part, in: text) {
            result += text[start..<found.lowerBound]
            result += replacement
            start = found.upperBound
        }
        return result + text[start...]
    }

    private static func bytes<Result>(
        of text: some StringProtocol, _ body: (UnsafeBufferPointer<UInt8>) -> Result
    ) -> Result {
        text.utf8.withContiguousStorageIfAvailable(body) ?? Array(text.utf8).withUnsafeBufferPointer(body)
    }

    private static func range(
        of part: UnsafeBufferPointer<UInt8>, in text: UnsafeBufferPointer<UInt8>, from start: Int
    ) -> Range<Int>? {
        guard let first = part.first else { return start..<start }
        var place = start
        while place + part.count <= text.count {
            if text[place] == first, part.indices.allSatisfy({ text[place + $0] == part[$0] }) {
                return place..<place + part.count
            }
            place += 1
        }
        return nil
    }

    private static func indices(_ offsets: Range<Int>, of text: some StringProtocol) -> Range<String.Index> {
        let lower = text.utf8.index(text.utf8.startIndex, offsetBy: offsets.lowerBound)
        return lower..<text.utf8.index(lower, offsetBy: offsets.count)
    }
}

// Swift's own functions of these names are in a library of their own, which hostd does without (see Package.swift); who has them,
// as tests do, goes on using them.
extension StringProtocol {
    /// Where `part` first occurs.
    @_disfavoredOverload package func firstRange(of part: some StringProtocol) -> Range<String.Index>? {
        TextSearch.firstRange(of: part, in: self)
    }

    /// Whether `part` occurs.
    @_disfavoredOverload package func contains(_ part: some StringProtocol) -> Bool {
        TextSearch.firstRange(of: part, in: self) != nil
    }

    /// Where `part` occurs.
    @_disfavoredOverload package func ranges(of part: some StringProtocol) -> [Range<String.Index>] {
        TextSearch.ranges(of: part, in: self)
    }

    /// The text with `replacement` in place of each occurrence of `part`.
    @_disfavoredOverload package func replacing(
        _ part: some StringProtocol, with replacement: some StringProtocol
    ) -> String {
        TextSearch.replacing(part, with: replacement, in: self)
    }

    /// What lies between the occurrences of `separator`, which is not empty, or the first `maxSplits` of them; empty parts too.
    package func parts(separatedBy separator: some StringProtocol, maxSplits: Int = .max) -> [SubSequence] {
        var start = startIndex
        var parts: [SubSequence] = []
        for found in TextSearch.ranges(of: separator, in: self).prefix(maxSplits) {
            parts.append(self[start..<found.lowerBound])
            start = found.upperBound
        }
        return parts + [self[start...]]
    }
}
