import PluginKit

/// Work that waits for others, done at the same time. [blocking]
enum Concurrently {
    /// The results in the order of the items. One of them is worked on here; where the pool has no room, all are.
    static func map<Item: Sendable, Result: Sendable>(
        _ items: [Item], on pool: WorkerPool, _ work: @escaping @Sendable (Item) -> Result
    ) -> [Result] {
        guard let first = items.first else { return [] }
        let results = Results<Result>(count: items.count)
        for (index, item) in items.enumerated().dropFirst() {
            let here: @Sendable () -> Void = { results.put(index, work(item)) }
            let isTaken = pool.run(dropped: here, here)
            if !isTaken { results.put(index, work(item)) }
        }
        results.put(0, work(first))
        return results.wait()
    }

    /// Collects what several threads find.
    private final class Results<Result: Sendable>: @unchecked Sendable {
        // SAFETY (@unchecked Sendable): `found` and `missing` are guarded by `monitor`.
        private let monitor = Monitor()
        private var found: [Result?]
        private var missing: Int

        init(count: Int) {
            found = Array(repeating: nil, count: count)
            missing = count
        }

        func put(_ index: Int, _ result: Result) {
            monitor.locked {
                found[index] = result
                missing -= 1
            }
            monitor.broadcast()
        }

        func wait() -> [Result] {
            monitor.locked {
                while missing > 0 { monitor.wait() }
                return found.compactMap { $0 }
            }
        }
    }
}
