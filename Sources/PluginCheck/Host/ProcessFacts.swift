import CPluginCheck

/// What a plugin must leave alone in the process, and what it must give back.
struct ProcessFacts {
    private let facts: [String: String]

    static func now() -> ProcessFacts {
        var text = [CChar](repeating: 0, count: 1 << 18)
        check_process(&text, UInt64(text.count))
        var facts: [String: String] = [:]
        for line in rows(text) {
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            facts[parts[0]] = parts.count > 1 ? parts[1] : ""
        }
        return ProcessFacts(facts: facts)
    }

    /// The names of what differs.
    func changes(to other: ProcessFacts) -> String {
        Set(facts.keys).union(other.facts.keys).filter { facts[$0] != other.facts[$0] }.sorted().prefix(4)
            .joined(separator: ", ")
    }

    static func rows(_ text: [CChar]) -> [String] {
        String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            .split(separator: "\n").map(String.init)
    }
}

/// Threads and descriptors of the process at one moment.
struct Resources {
    let threads: [String]
    /// "number target" of each.
    let descriptors: Set<String>
    /// Those without close-on-exec.
    let inherited: Set<String>

    static func now() -> Resources {
        var text = [CChar](repeating: 0, count: 1 << 18)
        check_threads(&text, UInt64(text.count))
        let threads = ProcessFacts.rows(text).sorted()
        check_descriptors(&text, UInt64(text.count))
        var (descriptors, inherited): (Set<String>, Set<String>) = ([], [])
        for row in ProcessFacts.rows(text) {
            let parts = row.split(separator: " ", maxSplits: 2).map(String.init)
            guard parts.count == 3 else { continue }
            descriptors.insert("\(parts[0]) \(parts[2])")
            if parts[1] == "0" { inherited.insert("\(parts[0]) \(parts[2])") }
        }
        return Resources(threads: threads, descriptors: descriptors, inherited: inherited)
    }

    /// Names of the kernel's own threads begin so.
    private static let hostThreads = [
        "worker", "topics", "hostd-timers", "hostd-watch", "hostd-store", "hostd-complete", "hostd-commit",
    ]

    /// Threads that are more than before, but for the host's own.
    func newThreads(since before: Resources) -> [String] {
        var rest = threads
        for name in before.threads { if let index = rest.firstIndex(of: name) { rest.remove(at: index) } }
        return rest.filter { name in !Self.hostThreads.contains { name.hasPrefix($0) } }
    }

    func newDescriptors(since before: Resources) -> [String] { descriptors.subtracting(before.descriptors).sorted() }
}
