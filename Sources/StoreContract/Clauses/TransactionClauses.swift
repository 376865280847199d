import PluginAPI

/// Rule 58: a transaction happens whole or not at all, under one revision; a failure names its step.
enum TransactionClauses {
    static let all = [
        StoreClause(58, "a transaction happens whole, under one revision", whole),
        StoreClause(58, "a failure names its step and writes nothing", failures),
        StoreClause(58, "nobody sees half of a transaction", transfers),
    ]

    private static func whole(_ space: ContractSpace) throws(Violation) {
        let first = try space.create("x", "1")
        let last = try space.create("gone", "1")
        var steps = Steps()
        steps.check(space.key("x"), expected: first)
        steps.check(space.key("none"), expected: 0)
        steps.create(space.key("y"), "y", index: index(["app": "web"]))
        steps.update(space.key("x"), "2", expected: first)
        steps.put(space.key("z"), "z")
        steps.delete(space.key("gone"), expected: last)
        let commit = try space.commit(steps)
        try require(
            commit.status == HOSTD_OK && commit.failedStep == nil,
            "a transaction whose preconditions hold fails at step \(commit.failedStep.map(String.init) ?? "none")")
        try require(
            commit.revision == last + 1, "a transaction got revision \(commit.revision) after \(last)", rule: 54)
        let records = try space.list().records
        try require(
            records.map(\.text) == ["2", "y", "z"], "after a transaction the values are \(records.map(\.text))")
        try require(
            records.allSatisfy { $0.revision == commit.revision },
            "the writes of one transaction are at the revisions \(records.map(\.revision))")
        try require(
            records.map(\.version) == [2, 1, 1]
                && records.map(\.createRevision) == [first, commit.revision, commit.revision],
            "versions or create revisions after a transaction are wrong", rule: 54)
        try require(records[1].index == index(["app": "web"]), "a transaction lost an index")
        var again = Steps()
        again.put(space.key("z"), "z2")
        try space.committed(again)
        try require(try space.get("z").version == 2, "a put of a key that exists is no new version", rule: 54)
    }

    private static func failures(_ space: ContractSpace) throws(Violation) {
        let old = try space.create("a", "1")
        let now = try space.update("a", "2")
        typealias Step = (inout Steps) -> Void
        let a = space.key("a")
        let none = space.key("none")
        let cases: [(status: Int32, what: String, revision: UInt64, step: Step)] = [
            (HOSTD_ERROR_ALREADY_EXISTS, "a create of what exists", now, { $0.create(a, "x") }),
            (HOSTD_ERROR_CONFLICT, "an update at an old revision", now, { $0.update(a, "x", expected: old) }),
            (HOSTD_ERROR_NOT_FOUND, "an update of what is not there", 0, { $0.update(none, "x") }),
            (HOSTD_ERROR_CONFLICT, "a delete at an old revision", now, { $0.delete(a, expected: old) }),
            (HOSTD_ERROR_NOT_FOUND, "a delete of what is not there", 0, { $0.delete(none) }),
            (HOSTD_ERROR_CONFLICT, "a check at an old revision", now, { $0.check(a, expected: old) }),
            (HOSTD_ERROR_CONFLICT, "a check that a key is absent", now, { $0.check(a, expected: 0) }),
            (HOSTD_ERROR_CONFLICT, "a check of what is not there", 0, { $0.check(none, expected: old) }),
        ]
        for (status, what, revision, step) in cases {
            for position in 0..<3 {
                var steps = Steps()
                for number in 0..<3 {
                    if number == position { step(&steps) } else { steps.put(space.key("other\(number)"), "x") }
                }
                let commit = try space.commit(steps)
                let isDue = commit.status == status || (what.hasPrefix("a check") && commit.status < 0)
                try require(
                    isDue, "\(what) answers \(statusName(commit.status)), where \(statusName(status)) is due")
                try require(
                    commit.failedStep == UInt32(position),
                    "\(what) as step \(position) fails at step \(commit.failedStep.map(String.init) ?? "none")")
                try require(
                    commit.revision == revision,
                    "\(what) tells the revision \(commit.revision), where the key is at \(revision)")
            }
        }
        try require(try space.list().keys == [a], "a transaction that failed wrote something")
        try require(try space.update("a", "3") == now + 1, "transactions that failed took revisions")
    }

    /// Money goes from one account to another, and all there is stays the same whenever somebody looks.
    private static func transfers(_ space: ContractSpace) throws(Violation) {
        let (accounts, total, transfers) = (4, 400, 12)
        for number in 0..<accounts { try space.create("account\(number)", "\(total / accounts)") }
        let start = try space.list().revision
        let finished = Tally()
        try space.inThreads(5) { (thread) throws(Violation) in
            guard thread < 4 else {
                while finished.count < 4 { try expectSum(total, of: try space.list()) }
                return
            }
            defer { finished.add() }
            for number in 0..<transfers {
                try transfer(space, from: (thread + number) % accounts, to: (thread + number + 1) % accounts)
            }
        }
        let end = try space.list()
        try require(
            end.revision == start + UInt64(4 * transfers),
            "\(4 * transfers) transactions took \(end.revision - start) revisions", rule: 54)
        for revision in stride(from: start, through: end.revision, by: 5) {
            try expectSum(total, of: try space.list(revision: revision))
        }
    }

    private static func expectSum(_ total: Int, of page: ContractPage) throws(Violation) {
        let sum = page.records.reduce(0) { $0 + (Int($1.text) ?? 0) }
        try require(
            sum == total, "at revision \(page.revision) a transaction is half there: \(sum) instead of \(total)")
    }

    private static func transfer(_ space: ContractSpace, from: Int, to: Int) throws(Violation) {
        while true {
            let (source, target) = (try space.get("account\(from)"), try space.get("account\(to)"))
            var steps = Steps()
            steps.update(source.key, "\((Int(source.text) ?? 0) - 1)", expected: source.revision)
            steps.update(target.key, "\((Int(target.text) ?? 0) + 1)", expected: target.revision)
            let commit = try space.commit(steps)
            if commit.status == HOSTD_OK { return }
            try require(
                commit.status == HOSTD_ERROR_CONFLICT,
                "a transaction at a revision that is over answers \(statusName(commit.status))")
        }
    }
}
