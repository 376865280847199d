import PluginAPI

/// Rule 54: every write gets a revision greater by one than the last; create revision and version of a record are right.
enum RevisionClauses {
    static let all = [
        StoreClause(54, "revisions are dense, whatever is written", dense),
        StoreClause(54, "create revision and version", counters),
        StoreClause(54, "what is written is what is read", bytes),
        StoreClause(54, "status tells the state", status),
        StoreClause(54, "writers at once", concurrent),
    ]

    private static func dense(_ space: ContractSpace) throws(Violation) {
        var last = try space.create("first", "0")
        func expect(_ revision: UInt64, _ what: String) throws(Violation) {
            try require(revision == last + 1, "\(what) got revision \(revision) after \(last)")
            last = revision
        }
        for number in 0..<5 { try expect(try space.create("key\(number)", "1"), "a create") }
        for number in 0..<5 { try expect(try space.update("key\(number)", "2"), "an update") }
        try expect(try space.update("key0", "2"), "an update to the same value")
        try expect(try space.remove("key1"), "a remove")
        try expect(try space.create("key1", "3"), "a create after a remove")
        var steps = Steps()
        for number in 2..<5 { steps.put(space.key("key\(number)"), "4") }
        steps.delete(space.key("key0"))
        try expect(try space.committed(steps), "a transaction of four writes")
        try expect(try space.update("key1", "5", expected: last - 1), "an update after a transaction")
        try require(try space.list().revision == last, "a list shows another revision than that of the last write")
    }

    private static func counters(_ space: ContractSpace) throws(Violation) {
        func expect(_ revision: UInt64, _ created: UInt64, _ version: UInt64, _ value: String) throws(Violation) {
            for record in [try space.get("a"), try space.list().records.first { $0.key == space.key("a") }] {
                try require(
                    record?.revision == revision && record?.createRevision == created && record?.version == version
                        && record?.text == value && record?.isDelete == false,
                    """
                    revision, create revision, version and value are \(record?.revision ?? 0), \
                    \(record?.createRevision ?? 0), \(record?.version ?? 0) and "\(record?.text ?? "")", where \
                    \(revision), \(created), \(version) and "\(value)" are due
                    """)
            }
        }
        let first = try space.create("a", "1")
        try expect(first, first, 1, "1")
        for version: UInt64 in 2...4 {
            try expect(try space.update("a", "\(version)"), first, version, "\(version)")
        }
        var steps = Steps()
        steps.put(space.key("a"), "5")
        try expect(try space.committed(steps), first, 5, "5")
        try space.remove("a")
        let again = try space.create("a", "6")
        try expect(again, again, 1, "6")
    }

    private static func bytes(_ space: ContractSpace) throws(Violation) {
        let everything = (0..<1024).map { UInt8(truncatingIfNeeded: $0) }
        let large = (0..<(512 << 10)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let labels = index(["app": "web", ".spec.nodeName": "alpha", "empty": "", "é": "ü"])
        let long = String(repeating: "k", count: 1024 - space.key("").utf8.count)
        for (name, value, pairs) in [
            ("empty", [], []), ("all", everything, labels), ("large", large, []), (long, [1], labels),
            ("ключ", [2], index(["a": "b"])), ("with.dots_and-dashes", [3], []),
        ] {
            try space.done(try space.engine.create(space.key(name), value, index: pairs), "create of \(name)")
            let record = try space.get(name)
            try require(record.key == space.key(name), "the key \(space.key(name)) comes back as \(record.key)")
            try require(
                record.value == value, "a value of \(value.count) bytes comes back as \(record.value.count) others")
            try require(
                record.index == pairs, "an index of \(pairs.count) bytes comes back as \(record.index.count) others")
        }
        let listed = try space.list().records.first { $0.key == space.key("large") }
        try require(listed?.value == large, "a list shows other bytes than get")
    }

    private static func status(_ space: ContractSpace) throws(Violation) {
        let keysBefore = space.before["keys"].integerValue ?? -1
        for number in 0..<4 { try space.create("key\(number)", "1") }
        try space.remove("key0")
        let last = try space.update("key1", "2")
        let status = try space.done(try space.engine.status(), "status")
        try require(
            status["revision"].integerValue == Int64(last),
            "status tells revision \(status["revision"].serializedString()) after \(last)")
        try require(
            status["keys"].integerValue == keysBefore + 3,
            "status told \(keysBefore) keys, and \(status["keys"].serializedString()) after three more")
        try require(status["healthy"] == true, "status of an engine that works is not healthy")
        try require(status["engine"].stringValue?.isEmpty == false, "status does not name the engine")
        let compacted = status["compactedRevision"].integerValue ?? -1
        try require(
            (0...Int64(last)).contains(compacted),
            "status tells the compacted revision \(compacted), the last is \(last)")
    }

    private static func concurrent(_ space: ContractSpace) throws(Violation) {
        let (writers, writes) = (8, 15)
        let first = try space.create("counter", "0")
        try space.inThreads(writers) { (writer) throws(Violation) in
            for number in 0..<writes {
                try space.create("w\(writer)-\(number)", "\(number)")
                try count(space)
            }
        }
        let total = UInt64(2 * writers * writes)
        let page = try space.list()
        let revisions = Set(page.records.map(\.revision))
        try require(revisions.count == page.records.count, "two writes of several threads got the same revision")
        try require(
            page.revision == first + total, "\(total) writes after revision \(first) came to \(page.revision)")
        let (counter, due) = (try space.get("counter"), writers * writes)
        try require(
            counter.text == "\(due)", "\(due) conditional updates came to \(counter.text): some were lost", rule: 55)
        try require(
            counter.version == UInt64(due) + 1, "\(due) updates after the create came to version \(counter.version)")
    }

    /// Adds one to a number, whoever else does.
    private static func count(_ space: ContractSpace) throws(Violation) {
        while true {
            let now = try space.get("counter")
            let next = Array("\((Int(now.text) ?? 0) + 1)".utf8)
            let answer = try space.engine.update(space.key("counter"), next, expected: now.revision)
            if case .success = answer { return }
            try space.refused(answer, with: HOSTD_ERROR_CONFLICT, "an update at a revision that is over", rule: 55)
        }
    }
}
