import PluginAPI

/// FNV-1a; equal hashes only make a watch look at an event in vain.
enum Hash {
    static func of(_ bytes: UnsafeRawBufferPointer, from start: UInt64 = 0xCBF2_9CE4_8422_2325) -> UInt64 {
        var hash = start
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }
    static func of(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> UInt64 {
        of(value, from: (of(name) ^ 0xFF) &* 0x100_0000_01B3)
    }
}

/// The watches of one resource, by what narrows them most: one value that their selector asks for, or a namespace.
struct WatchRoutes {
    private var byPair: [UInt64: [Watch]] = [:]
    private var byNamespace: [UInt64: [Watch]] = [:]
    private var all: [Watch] = []

    var isEmpty: Bool { byPair.isEmpty && byNamespace.isEmpty && all.isEmpty }

    private enum Place { case pair(UInt64), namespace(UInt64), all }

    private static func place(_ watch: Watch) -> Place {
        if let (name, value) = watch.selector.equality {
            return name.withUnsafeBytes { name in value.withUnsafeBytes { .pair(Hash.of(name: name, value: $0)) } }
        }
        return watch.prefix.withUnsafeBytes { prefix in
            prefix.count > StoreKey.resourceSize(prefix) ? .namespace(Hash.of(prefix)) : .all
        }
    }

    mutating func insert(_ watch: Watch) {
        switch Self.place(watch) {
        case .pair(let hash): byPair[hash, default: []].append(watch)
        case .namespace(let hash): byNamespace[hash, default: []].append(watch)
        case .all: all.append(watch)
        }
    }

    mutating func remove(_ watch: Watch) {
        func without(_ list: [Watch]?) -> [Watch]? {
            let rest = list?.filter { $0 !== watch } ?? []
            return rest.isEmpty ? nil : rest
        }
        switch Self.place(watch) {
        case .pair(let hash): byPair[hash] = without(byPair[hash])
        case .namespace(let hash): byNamespace[hash] = without(byNamespace[hash])
        case .all: all.removeAll { $0 === watch }
        }
    }

    /// Calls `body` with each watch that may want an event, some twice.
    func visit(_ event: Event, _ body: (Watch) -> Void) {
        for watch in all { body(watch) }
        if !byNamespace.isEmpty {
            let key = event.record.key
            let end = key.lastIndex(of: UInt8(ascii: "/")) ?? key.count - 1
            if let list = byNamespace[Hash.of(UnsafeRawBufferPointer(rebasing: key[...end]))] {
                for watch in list { body(watch) }
            }
        }
        guard !byPair.isEmpty else { return }
        for record in [event.record, event.previous] {
            guard let record else { continue }
            for (name, value) in IndexPairs(record.index) {
                if let list = byPair[Hash.of(name: name, value: value)] { for watch in list { body(watch) } }
            }
        }
    }
}
