import PluginAPI

/// Rule 55: preconditions hold, and what is refused writes nothing.
enum PreconditionClauses {
    static let all = [
        StoreClause(55, "preconditions of single writes", single),
        StoreClause(55, "one of many wins", races),
    ]

    private static func single(_ space: ContractSpace) throws(Violation) {
        let first = try space.create("a", "1")
        let second = try space.update("a", "2", expected: first)
        try space.create("gone", "1")
        let last = try space.remove("gone")
        let log = try space.watch()
        let (engine, value) = (space.engine, Array("refused".utf8))
        for (status, what, answer) in [
            (HOSTD_ERROR_ALREADY_EXISTS, "create of a key that exists", try engine.create(space.key("a"), value)),
            (HOSTD_ERROR_NOT_FOUND, "update of a key that never was", try engine.update(space.key("none"), value)),
            (HOSTD_ERROR_NOT_FOUND, "update of a key that is gone", try engine.update(space.key("gone"), value)),
            (
                HOSTD_ERROR_CONFLICT, "update at the revision before",
                try engine.update(space.key("a"), value, expected: first)
            ),
            (
                HOSTD_ERROR_CONFLICT, "update at a revision of another key",
                try engine.update(space.key("a"), value, expected: last)
            ),
            (
                HOSTD_ERROR_CONFLICT, "update at a revision to come",
                try engine.update(space.key("a"), value, expected: last + 100)
            ),
            (HOSTD_ERROR_CONFLICT, "remove at the revision before", try engine.remove(space.key("a"), expected: first)),
            (HOSTD_ERROR_NOT_FOUND, "remove of a key that never was", try engine.remove(space.key("none"))),
            (HOSTD_ERROR_NOT_FOUND, "remove of a key that is gone", try engine.remove(space.key("gone"))),
        ] {
            try space.refused(answer, with: status, what)
            let record = try space.get("a")
            try require(
                record.revision == second && record.text == "2", "\(what) was refused and wrote \"\(record.text)\"")
        }
        try space.refused(
            try engine.create(space.key("leased"), value, lease: 1 << 62), with: HOSTD_ERROR_NOT_FOUND,
            "create under a lease that nobody granted", rule: 59)
        try require(try space.list().keys == [space.key("a")], "a write that was refused left a key")
        let next = try space.remove("a", expected: second)
        try require(next == last + 1, "a write got revision \(next) after \(last): those that were refused took some")
        let events = try log.events(1, space.patience)
        try require(
            events.map(\.record.revision) == [next],
            "a watch tells of a write that was refused: \(events.map(\.words))",
            rule: 56)
        try space.create("a", "3")
        try space.refused(
            try engine.update(space.key("a"), value, expected: second), with: HOSTD_ERROR_CONFLICT,
            "update at a revision from before the key was made again")
    }

    private static func races(_ space: ContractSpace) throws(Violation) {
        for round in 0..<5 {
            let name = "race\(round)"
            try expectOneWinner(space, "create", HOSTD_ERROR_ALREADY_EXISTS) { (space) throws(Violation) in
                try space.engine.create(space.key(name), [1])
            }
            let revision = try space.get(name).revision
            try expectOneWinner(space, "update at one revision", HOSTD_ERROR_CONFLICT) { (space) throws(Violation) in
                try space.engine.update(space.key(name), [2], expected: revision)
            }
            try require(try space.get(name).version == 2, "the version after a create and an update is not 2", rule: 54)
        }
    }

    private static func expectOneWinner(
        _ space: ContractSpace, _ what: String, _ status: Int32,
        _ write: @escaping @Sendable (ContractSpace) throws(Violation) -> Result<UInt64, Refusal>
    ) throws(Violation) {
        let wins = Tally()
        try space.inThreads(6) { (_) throws(Violation) in
            let answer = try write(space)
            if case .success = answer { wins.add() } else { try space.refused(answer, with: status, what) }
        }
        try require(wins.count == 1, "\(wins.count) of 6 threads succeeded with \(what) of one key")
    }
}
