import Glibc
import PluginAPI

/// Rule 57: a list or get at a revision shows the state of that revision; pages add up to the whole.
enum ListClauses {
    static let all = [
        StoreClause(57, "prefixes and order", prefixes),
        StoreClause(57, "pages of one revision add up", pages),
        StoreClause(57, "selectors", selectors),
        StoreClause(57, "get at a revision", past),
        StoreClause(57, "list at a revision", pinned),
        StoreClause(57, "compaction gives up history alone", compaction),
        StoreClause(57, "backup", backup),
    ]

    private static func prefixes(_ space: ContractSpace) throws(Violation) {
        let other = "\(space.resource)s/n/x"
        let names = [("a", "c"), ("a", "a"), ("ab", "a"), ("", "z"), ("b", "a"), ("a", "b.c"), ("a", "b")]
        for (namespace, name) in names {
            try space.done(try space.engine.create(space.key(name, namespace), [1]), "create of \(namespace)/\(name)")
        }
        try space.done(try space.engine.create(other, [1]), "create of \(other)")
        let expected = names.map { space.key($0.1, $0.0) }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        for (prefix, keys) in [
            (space.prefix, expected), ("\(space.prefix)a/", expected.filter { $0.contains("/a/") }),
            ("\(space.prefix)b/", [space.key("a", "b")]), ("\(space.prefix)nobody/", []),
            ("\(space.resource)nothing/", []), ("\(space.resource)s/", [other]),
        ] {
            let page = try space.list(prefix)
            try require(page.keys == keys, "a list of \(prefix) shows \(page.keys), where \(keys) are due")
            try require(!page.hasMore && page.remaining == 0, "a whole list of \(prefix) tells that more remain")
        }
        let everything = try space.list("").keys
        try require(
            Set(everything).isSuperset(of: expected + [other]) && everything == everything.sorted(by: precedes),
            "a list of everything lacks keys, or is out of order")
    }

    private static func precedes(_ left: String, _ right: String) -> Bool {
        left.utf8.lexicographicallyPrecedes(right.utf8)
    }

    private static func pages(_ space: ContractSpace) throws(Violation) {
        for number in 0..<23 { try space.create("key\(number + 10)", "\(number)") }
        let whole = try space.list()
        try space.remove("key15")
        try space.update("key16", "changed")
        try space.create("key15x", "new")
        for limit: UInt64 in [1, 5, 22, 23, 100] {
            var records: [ContractRecord] = []
            while true {
                let page = try space.list(
                    revision: whole.revision, limit: limit, after: records.last?.key ?? "")
                let place = "a page of at most \(limit) after \(records.count)"
                try require(page.records.count <= Int(limit), "\(place) has \(page.records.count) records")
                try require(
                    page.revision == whole.revision, "\(place) shows revision \(page.revision), not \(whole.revision)")
                records += page.records
                let left = UInt64(max(0, whole.records.count - records.count))
                try require(page.remaining == left, "\(place) tells that \(page.remaining) remain, where \(left) do")
                try require(page.hasMore == (left > 0), "\(place) tells the wrong \"more\": \(left) remain")
                guard page.hasMore, !page.records.isEmpty else { break }
            }
            try require(records == whole.records, "pages of \(limit) do not add up to the list that was not cut")
        }
        let keys = try space.list(limit: 2, after: space.key("key15")).keys
        try require(
            keys == ["key15x", "key16"].map { space.key($0) }, "after a key that is gone, a list goes on with \(keys)")
    }

    private static func selectors(_ space: ContractSpace) throws(Violation) {
        for number in 0..<8 {
            let tier = number < 4 ? "front" : "back"
            let labels = number == 7 ? [] : index(["tier": tier, "n": "\(number)", ".node": "n\(number % 2)"])
            try space.create("k\(number)", "", index: labels)
        }
        for (selector, numbers) in [
            ("", [0, 1, 2, 3, 4, 5, 6, 7]), ("tier=front", [0, 1, 2, 3]), ("tier==back", [4, 5, 6]),
            ("tier!=front", [4, 5, 6, 7]), ("tier", [0, 1, 2, 3, 4, 5, 6]), ("!tier", [7]),
            ("n in (1,3,9)", [1, 3]), ("n notin (0,1,2,3,4)", [5, 6, 7]), ("tier=front,.node=n1", [1, 3]),
            ("tier=back, n in (5, 6)", [5, 6]), ("n=", []), ("tier=front,!tier", []), ("n>3,n<6", [4, 5]),
        ] {
            let keys = numbers.map { space.key("k\($0)") }
            let page = try space.list(selector: selector)
            try require(page.keys == keys, "the selector \"\(selector)\" shows \(page.keys), where \(keys) are due")
            guard keys.count > 1 else { continue }
            let (first, rest) = (
                try space.list(selector: selector, revision: page.revision, limit: 1),
                try space.list(selector: selector, revision: page.revision, after: keys[0])
            )
            try require(
                first.keys + rest.keys == keys && first.hasMore, "pages of the selector \"\(selector)\" do not add up")
        }
    }

    private static func past(_ space: ContractSpace) throws(Violation) {
        var history: [(revision: UInt64, a: String?, b: String?)] = []
        let start = try space.create("other", "x")
        history.append((start, nil, nil))
        history.append((try space.create("a", "1"), "1", nil))
        history.append((try space.create("b", "1"), "1", "1"))
        history.append((try space.update("a", "2"), "2", "1"))
        history.append((try space.remove("a"), nil, "1"))
        history.append((try space.update("b", "2"), nil, "2"))
        history.append((try space.create("a", "3"), "3", "2"))
        var steps = Steps()
        steps.put(space.key("a"), "4")
        steps.delete(space.key("b"))
        history.append((try space.committed(steps), "4", nil))
        for state in history {
            for (name, expected) in [("a", state.a), ("b", state.b)] {
                let found = try space.value(name, revision: state.revision)
                try require(
                    found == expected,
                    "at revision \(state.revision), \(name) is \(found ?? "absent") where \(expected ?? "absent") is due"
                )
            }
            let page = try space.list(revision: state.revision)
            let listed = page.records.filter { $0.key != space.key("other") }.map(\.text)
            let expected = [state.a, state.b].compactMap { $0 }
            try require(
                listed == expected && page.revision == state.revision,
                "a list at revision \(state.revision) shows \(listed) at \(page.revision), where \(expected) are due")
        }
        let future = try space.list().revision + 1000
        let engine = space.engine
        try space.refused(
            try engine.get(space.key("a"), revision: future), with: HOSTD_ERROR_INVALID_ARGUMENT,
            "get at a revision that is not yet reached")
        try space.refused(
            try engine.list(space.prefix, revision: future), with: HOSTD_ERROR_INVALID_ARGUMENT,
            "list at a revision that is not yet reached")
    }

    /// A list in pages shows its revision while others write.
    private static func pinned(_ space: ContractSpace) throws(Violation) {
        for number in 0..<30 { try space.create("key\(number + 10)", "0") }
        try space.inThreads(4) { (thread) throws(Violation) in
            guard thread > 1 else {
                for round in 1...20 {
                    for number in stride(from: thread, to: 30, by: 10) {
                        try space.update("key\(number + 10)", "\(round)")
                    }
                    try space.create("new\(thread)-\(round)", "")
                }
                return
            }
            for _ in 0..<8 {
                let whole = try space.list()
                var paged: [ContractRecord] = []
                repeat {
                    paged += try space.list(revision: whole.revision, limit: 11, after: paged.last?.key ?? "").records
                } while paged.count < whole.records.count
                try require(
                    paged == whole.records, "a list in pages at revision \(whole.revision) changes while others write")
                try require(
                    whole.records.allSatisfy { $0.revision <= whole.revision },
                    "a list at revision \(whole.revision) shows a later write")
            }
        }
    }

    private static func compaction(_ space: ContractSpace) throws(Violation) {
        let first = try space.create("a", "1")
        let second = try space.update("a", "2")
        let third = try space.update("a", "3")
        try space.done(try space.engine.compact(second), "compact to revision \(second)")
        try space.refused(
            try space.engine.get(space.key("a"), revision: first), with: HOSTD_ERROR_COMPACTED,
            "get at a revision that was given up")
        try space.refused(
            try space.engine.list(space.prefix, revision: first), with: HOSTD_ERROR_COMPACTED,
            "list at a revision that was given up")
        for (revision, value) in [(second, "2"), (third, "3"), (0, "3")] {
            let found = try space.value("a", revision: revision)
            try require(
                found == value,
                "after compact to \(second), revision \(revision) shows \(found ?? "nothing") where \(value) is due")
        }
        try space.done(try space.engine.compact(second), "compact to the same revision again")
        let next = try space.update("a", "4")
        try require(next == third + 1, "a write after compact got revision \(next) after \(third)", rule: 54)
    }

    private static func backup(_ space: ContractSpace) throws(Violation) {
        let revision = try space.create("a", "1")
        let directory = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var path = Array("\(directory)/hostd-backup-XXXXXX".utf8CString)
        let file = mkstemp(&path)
        try require(file >= 0, "no file can be made in \(directory): \(String(cString: strerror(errno)))")
        unlink(path)
        defer { close(file) }
        // The copy is given away.
        let answer = try space.engine.backup(to: fcntl(file, F_DUPFD_CLOEXEC, 3))
        if case .failure(let refusal) = answer, refusal.status == HOSTD_ERROR_NOT_SUPPORTED { return }
        let json = try space.done(answer, "backup")
        var facts = stat()
        fstat(file, &facts)
        try require(
            json["bytes"].integerValue == Int64(facts.st_size) && facts.st_size > 0,
            "backup tells \(json["bytes"].serializedString()) bytes and wrote \(facts.st_size)")
        try require(
            json["revision"].integerValue == Int64(revision),
            "backup tells revision \(json["revision"].serializedString()), where \(revision) is the last")
    }
}
