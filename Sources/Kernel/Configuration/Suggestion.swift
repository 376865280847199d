/// "; did you mean X?" for a word that resembles a known one, else empty.
public func suggestion(for word: String, among known: [String]) -> String {
    let best = known.map { ($0, editDistance(word, $0)) }.min { $0.1 < $1.1 }
    guard let (candidate, distance) = best, distance <= max(1, min(3, candidate.utf8.count / 3)) else { return "" }
    return "; did you mean \(candidate)?"
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one text into the other.
/// Complexity: O(n·m) in bytes; texts beyond 64 bytes are as far apart as they are long.
func editDistance(_ first: String, _ second: String) -> Int {
    let (a, b) = (Array(first.utf8), Array(second.utf8))
    if a.count > 64 || b.count > 64 || a.isEmpty || b.isEmpty { return max(a.count, b.count) }
    var rows = [Array(0...b.count)]
    for i in 1...a.count {
        var row = [i]
        for j in 1...b.count {
            var cost = min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
            if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { cost = min(cost, rows[i - 2][j - 2] + 1) }
            row.append(cost)
        }
        rows.append(row)
    }
    return rows[a.count][b.count]
}
