import PluginAPI

/// Rules 56 and 57 together, as every controller uses them: a list and a watch from its revision are the state, however
/// many write meanwhile.
enum InformerClauses {
    static let all = [StoreClause(56, "a list and a watch from its revision are the state", informers)]

    private static func informers(_ space: ContractSpace) throws(Violation) {
        let (writers, rounds) = (3, 40)
        for number in 0..<10 { try space.create("k\(number)", "0") }
        let views = Views()
        try space.inThreads(writers + 5) { (thread) throws(Violation) in
            guard thread < writers else {
                let page = try space.list()
                views.add(page, try space.watch(from: page.revision))
                return
            }
            for round in 0..<rounds { try write(space, thread, round) }
        }
        try space.create("end", "")
        let whole = try space.list()
        let due = Dictionary(uniqueKeysWithValues: whole.records.map { ($0.key, $0.revision) })
        for (page, log) in views.all {
            var state = Dictionary(uniqueKeysWithValues: page.records.map { ($0.key, $0.revision) })
            let (events, ending) = try log.eventsOrEnd(whole.revision, space.patience)
            try require(ending == nil, "a watch of a few hundred writes ended before it told of all")
            for event in events {
                state[event.record.key] = event.record.isDelete ? nil : event.record.revision
            }
            let wrong = Set(state.keys).union(due.keys).filter { state[$0] != due[$0] }.sorted()
            try require(
                wrong.isEmpty,
                "a list at revision \(page.revision) and a watch from there differ from the state at \(whole.revision): "
                    + wrong.prefix(3).joined(separator: ", "))
        }
    }

    /// Changes a key that is this thread's, so that what is due is known.
    private static func write(_ space: ContractSpace, _ thread: Int, _ round: Int) throws(Violation) {
        let name = "w\(thread)-\(round / 4)"
        switch round % 4 {
        case 0: try space.create(name, "\(round)")
        case 1: try space.update(name, "\(round)")
        case 2: if thread == 0 { try space.remove(name) } else { try space.update(name, "\(round)") }
        default: try space.update("k\(thread)", "\(round)")
        }
    }

    private final class Views: @unchecked Sendable {
        // SAFETY: `kept` is behind `tally`'s lock.
        private let tally = Tally()
        private var kept: [(ContractPage, WatchLog)] = []

        var all: [(ContractPage, WatchLog)] { tally.locked { kept } }
        func add(_ page: ContractPage, _ log: WatchLog) { tally.locked { kept.append((page, log)) } }
    }
}
