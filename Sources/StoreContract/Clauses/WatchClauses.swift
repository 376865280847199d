import PluginAPI

/// Rule 56: a watch shows every change after its revision once and in order, with the previous record of a delete.
enum WatchClauses {
    static let all = [
        StoreClause(56, "a watch from now on", live),
        StoreClause(56, "a watch from every past revision", past),
        StoreClause(56, "a watch of a prefix", prefixes),
        StoreClause(56, "a watch with a selector tells who enters and leaves", selected),
        StoreClause(56, "a transaction in a watch", transaction),
        StoreClause(56, "progress", progress),
        StoreClause(56, "a revision that was given up", compacted),
        StoreClause(56, "a watch that is cancelled", cancelled),
        StoreClause(56, "many watches of many writers", many),
        StoreClause(56, "a watch that is too slow", slow),
    ]

    /// What a watch told, against what was written.
    private static func expect(
        _ log: WatchLog, _ words: [String], from: UInt64, _ space: ContractSpace
    ) throws(Violation) {
        let events = try log.events(words.count, space.patience)
        try require(
            events.map(\.words) == words, "a watch told \(events.map(\.words)), where \(words) are due")
        let revisions = events.map(\.record.revision)
        try require(
            zip(revisions, revisions.dropFirst()).allSatisfy { $0 < $1 },
            "the changes of a watch are at the revisions \(revisions)")
        try require(revisions.first ?? .max > from, "a watch after revision \(from) tells of \(revisions)")
    }

    private static func live(_ space: ContractSpace) throws(Violation) {
        let start = try space.create("before", "0")
        let log = try space.watch()
        try space.create("a", "1", index: index(["app": "web"]))
        try space.update("a", "2")
        try space.remove("a")
        try space.create("a", "3")
        try space.update("before", "4")
        try expect(log, ["a=1", "a=2", "-a was 2", "a=3", "before=4"], from: start, space)
        let events = try log.events(5, space.patience)
        let gone = events[2]
        try require(
            gone.record.revision == start + 3 && gone.previous?.revision == start + 2 && gone.previous?.version == 2,
            "a delete at revision \(start + 3) is told of at \(gone.record.revision), "
                + "its previous record is at \(gone.previous?.revision ?? 0)")
        try require(
            events[0].record.index == index(["app": "web"]) && events[0].record.version == 1,
            "the record of a create lacks its index or version")
        let (told, found) = (events.last?.record, try space.get("before"))
        try require(
            told?.value == found.value && told?.index == found.index && told?.revision == found.revision,
            "a watch and get show different records")
        try space.update("before", "fence")
        try expect(log, ["a=1", "a=2", "-a was 2", "a=3", "before=4", "before=fence"], from: start, space)
    }

    private static func past(_ space: ContractSpace) throws(Violation) {
        var written: [(revision: UInt64, words: String)] = []
        let start = try space.create("start", "0")
        for round in 1...3 {
            written.append((try space.create("a", "\(round)"), "a=\(round)"))
            written.append((try space.create("b\(round)", "x"), "b\(round)=x"))
            written.append((try space.update("a", "\(round)y"), "a=\(round)y"))
            written.append((try space.remove("a"), "-a was \(round)y"))
        }
        for from in start..<(start + UInt64(written.count)) {
            let due = written.filter { $0.revision > from }.map(\.words)
            try expect(try space.watch(from: from), due, from: from, space)
        }
        let end = try space.watch(from: written.last?.revision ?? 0)
        try space.create("after", "1")
        try expect(end, ["after=1"], from: start, space)
    }

    private static func prefixes(_ space: ContractSpace) throws(Violation) {
        let start = try space.create("start", "0")
        let logs = [
            (try space.watch(), ["a=1", "b=1", "-b was 1", "end=", "end=", "end="]),
            (try space.watch("\(space.prefix)one/"), ["a=1", "end="]),
            (try space.watch("\(space.prefix)two/", from: start), ["b=1", "-b was 1", "end="]),
            (try space.watch("\(space.prefix)tw/"), ["end="]),
            (try space.watch("", from: start), ["a=1", "c=1", "b=1", "-b was 1", "end=", "end=", "end="]),
        ]
        let engine = space.engine
        try space.done(try engine.create(space.key("a", "one"), Array("1".utf8)), "create")
        try space.done(try engine.create("\(space.resource)s/one/c", Array("1".utf8)), "create")
        try space.done(try engine.create(space.key("b", "two"), Array("1".utf8)), "create")
        try space.done(try engine.remove(space.key("b", "two")), "remove")
        for namespace in ["one", "two", "tw"] {
            try space.done(try engine.create(space.key("end", namespace), []), "create")
        }
        for (log, words) in logs { try expect(log, words, from: start, space) }
    }

    private static func selected(_ space: ContractSpace) throws(Violation) {
        let start = try space.create("start", "0")
        let live = try space.watch(selector: ".node=alpha")
        let other = try space.watch(selector: ".node=beta,app")
        let (alpha, beta) = (index([".node": "alpha", "app": "x"]), index([".node": "beta", "app": "x"]))
        try space.create("a", "1", index: beta)
        try space.update("a", "2", index: alpha)
        try space.update("a", "3", index: alpha)
        try space.update("a", "4", index: beta)
        try space.remove("a")
        try space.create("b", "5", index: alpha)
        try space.remove("b")
        try space.create("endA", "", index: alpha)
        try space.create("endB", "", index: beta)
        let seen = ["a=2 entered", "a=3", "a=4 left, was 3", "b=5", "-b was 5", "endA="]
        let otherwise = ["a=1", "a=2 left, was 1", "a=4 entered", "-a was 4", "endB="]
        for (selector, words, log) in [
            (".node=alpha", seen, live), (".node=beta,app", otherwise, other),
            (".node=alpha", seen, try space.watch(selector: ".node=alpha", from: start)),
            (".node=beta,app", otherwise, try space.watch(selector: ".node=beta,app", from: start)),
        ] {
            // A create has no previous value: whether it enters is the engine's to say.
            let events = try log.events(words.count, space.patience)
            let told = events.map { $0.record.version == 1 ? $0.words.replacing(" entered", with: "") : $0.words }
            try require(
                told == words, "a watch with the selector \"\(selector)\" told \(told), where \(words) are due")
        }
    }

    private static func transaction(_ space: ContractSpace) throws(Violation) {
        let start = try space.create("gone", "1")
        let live = try space.watch()
        var steps = Steps()
        for number in 0..<20 { steps.create(space.key("t\(number)"), "1") }
        steps.delete(space.key("gone"))
        let revision = try space.committed(steps)
        let after = try space.create("after", "1")
        for log in [live, try space.watch(from: start)] {
            let events = try log.events(22, space.patience)
            let names = Set(events.prefix(21).map(\.words))
            let due = Set((0..<20).map { "t\($0)=1" } + ["-gone was 1"])
            try require(names == due, "a transaction of 21 writes is told of as \(names.sorted())")
            try require(
                events.prefix(21).allSatisfy { $0.record.revision == revision } && events[21].record.revision == after,
                "the changes of one transaction are at the revisions \(Set(events.map(\.record.revision)).sorted())")
        }
    }

    private static func progress(_ space: ContractSpace) throws(Violation) {
        let start = try space.create("a", "1")
        let idle = try space.watch("\(space.resource)none/", from: start)
        _ = try idle.events(upTo: start, space.patience)
        let log = try space.watch(from: start - 1)
        let told = try log.events(upTo: start, space.patience)
        try require(told.map(\.words) == ["a=1"], "progress to \(start) came before the changes up to it")
    }

    private static func compacted(_ space: ContractSpace) throws(Violation) {
        let first = try space.create("a", "1")
        try space.update("a", "2")
        let third = try space.update("a", "3")
        try space.update("a", "4")
        try space.done(try space.engine.compact(third), "compact to revision \(third)")
        try expect(try space.watch(from: third), ["a=4"], from: third, space)
        // What an engine still knows it may tell, but then all of it.
        let old = WatchLog()
        let answer = try space.engine.watch(space.prefix, from: first, into: old)
        guard case .success(let watch) = answer else {
            return try space.refused(answer, with: HOSTD_ERROR_COMPACTED, "watch from a revision that was given up")
        }
        let (events, ending) = try old.eventsOrEnd(third + 1, space.patience)
        try space.done(try space.engine.cancel(watch: watch), "watch_cancel")
        try require(
            ending == UInt32(HOSTD_SINK_RESYNC) || events.map(\.words) == ["a=2", "a=3", "a=4"],
            "a watch from a revision that was given up is not refused as COMPACTED, and told \(events.map(\.words))")
    }

    private static func cancelled(_ space: ContractSpace) throws(Violation) {
        let (log, other) = (try space.watch(), try space.watch())
        try space.create("a", "1")
        _ = try log.events(1, space.patience)
        try space.cancel(log)
        let last = try space.create("b", "1")
        let told = try other.events(2, space.patience).map(\.words)
        try require(told == ["a=1", "b=1"], "when one watch was cancelled, another one told \(told)")
        try log.expectOrder()
        // Under load: whoever returns from watch_cancel is called no more.
        try space.inThreads(4) { (thread) throws(Violation) in
            guard thread > 0 else {
                for number in 0..<60 { try space.create("load\(number)", "1") }
                return
            }
            for _ in 0..<15 {
                let brief = try space.watch(from: last)
                try space.cancel(brief)
                try brief.expectOrder()
            }
        }
        try space.done(try space.engine.cancel(watch: 1 << 62), "watch_cancel of a number that is no watch")
    }

    private static func many(_ space: ContractSpace) throws(Violation) {
        let start = try space.create("start", "0")
        var logs: [WatchLog] = []
        for number in 0..<12 { logs.append(try space.watch(from: number.isMultiple(of: 2) ? 0 : start)) }
        let (writers, writes) = (6, 12)
        try space.inThreads(writers) { (writer) throws(Violation) in
            for number in 0..<writes {
                try space.create("w\(writer)-\(number)", "\(number)")
                if number.isMultiple(of: 3) { try space.remove("w\(writer)-\(number)") }
            }
        }
        let last = try space.list().revision
        let due = Int(last - start)
        try require(
            due == writers * (writes + writes / 3), "\(writers * (writes + writes / 3)) writes took \(due) revisions",
            rule: 54)
        let first = try logs[0].events(due, space.patience)
        for log in logs {
            let events = try log.events(due, space.patience)
            try require(
                events.map(\.record.revision) == Array((start + 1)...last),
                "a watch of \(due) writes skips a revision or tells of one twice")
            try require(events == first, "two watches of the same keys told of different changes")
        }
    }

    /// Its writers are not held up, and what it told is the beginning of all without a gap.
    private static func slow(_ space: ContractSpace) throws(Violation) {
        let (log, writes) = (try space.watch(), 96)
        log.hold()
        let first = try space.create("first", "1")
        try log.waitUntilInside(space.patience)
        let value = [UInt8](repeating: UInt8(ascii: "x"), count: 64 << 10)
        let finished = Tally()
        let release = space.patience
        try space.inThreads(2) { (thread) throws(Violation) in
            guard thread == 0 else {
                if !finished.wait(for: writes, release) { log.release() }
                return
            }
            for number in 0..<writes {
                let name = "large\(number % 8)"
                let write =
                    number < 8
                    ? try space.engine.create(space.key(name), value) : try space.engine.update(space.key(name), value)
                try space.done(write, "a write beside a watch whose sink does not return")
                finished.add()
            }
        }
        let last = try space.list().revision
        try require(
            last == first + UInt64(writes), "\(writes) writes beside a slow watch took \(last - first) revisions",
            rule: 54)
        log.release()
        let (events, ending) = try log.eventsOrEnd(last, space.patience)
        let revisions = events.map(\.record.revision)
        try require(
            revisions == Array(first..<first + UInt64(revisions.count)),
            "what a slow watch told has a gap: \(revisions)")
        try require(
            ending != nil || events.count == writes + 1,
            "a slow watch told \(events.count) of \(writes + 1) changes and goes on")
        try require(
            ending == nil || ending == UInt32(HOSTD_SINK_RESYNC) || events.count == writes + 1,
            "a watch that was too slow ends without RESYNC")
    }
}
