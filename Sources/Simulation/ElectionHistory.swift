/// What was seen of elections at one key, and what in it contradicts that one leads at a time and that tokens fence.
struct ElectionHistory {
    /// One look at a candidate that led: it did so at some time from `begin` to `end`.
    struct Look {
        var candidate: Int
        var token: UInt64
        var begin: UInt64
        var end: UInt64
    }

    /// A write that happened, in a transaction that checked the token.
    struct FencedWrite {
        var token: UInt64
        var revision: UInt64
    }

    var looks: [Look] = []
    var writes: [FencedWrite] = []

    var problems: [String] {
        let terms = Dictionary(grouping: looks, by: \.token).sorted { $0.key < $1.key }
        var problems: [String] = []
        for (token, looks) in terms {
            if Set(looks.map(\.candidate)).count > 1 { problems.append("token \(token) was given to two candidates") }
            // A term has no gap: who leads by the same token before and after leads in between.
            guard let first = looks.map(\.end).min(), let last = looks.map(\.begin).max() else { continue }
            if let other = self.looks.first(where: { $0.token != token && $0.begin >= first && $0.end <= last }) {
                problems.append(
                    "candidate \(other.candidate) leads by \(other.token) while \(looks[0].candidate) leads by \(token)"
                )
            }
            if let later = self.looks.first(where: { $0.token < token && $0.begin >= last }) {
                problems.append("candidate \(later.candidate) leads by \(later.token) after somebody led by \(token)")
            }
        }
        for write in writes {
            if let newer = terms.first(where: { $0.key > write.token && $0.key < write.revision })?.key {
                problems.append("a write of token \(write.token) happens at \(write.revision), after token \(newer)")
            }
        }
        return problems
    }
}
