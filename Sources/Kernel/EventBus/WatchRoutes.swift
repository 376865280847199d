import PluginAPI

/// FNV-1a; equal hashes only make a watch look at an event in vain.
enum Hash {
    static let start: UInt64 = 0xCBF2_9CE4_8422_2325

    @inline(__always)
    static func of(_ bytes: UnsafeRawBufferPointer, from start: UInt64 = Hash.start) -> UInt64 {
        var hash = start
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }

    /// Goes on from the hash of a name to that of the pair.
    @inline(__always)
    static func of(value: UnsafeRawBufferPointer, name: UInt64) -> UInt64 {
        of(value, from: (name ^ 0xFF) &* 0x100_0000_01B3)
    }

    /// The hash of something within a namespace.
    @inline(__always)
    static func of(_ hash: UInt64, in namespace: UInt64) -> UInt64 {
        let product = (hash ^ namespace).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
        return product.high ^ product.low
    }
}

/// The watches of one resource, each under what narrows it most, so that an event visits only those that may want it:
///
/// - a value that its selector asks for ("name=value", "name in (…)": under each of the values),
/// - a name that must be there ("name", "name>3"),
/// - its namespace; a watch of one namespace is found under value or name within that namespace,
/// - nothing: watches of the whole resource, and of one namespace in `namespaces`.
///
/// Of several requirements the one is taken under which the fewest watches are, so that ten thousand watches that share one
/// requirement and differ in another do not lie in one heap. Complexity of an event: the pairs of its index and of the one
/// before, and the watches found; not the watches there are.
struct WatchRoutes {
    private var byPair = RouteTable()
    private var byName = RouteTable()
    private var byNamespace = RouteTable()
    private var all: [Watch] = []
    /// Watches by the hash of a name that routes are under, so that an index is searched for those names alone.
    private var names: [UInt64: Int] = [:]

    var isEmpty: Bool { byPair.isEmpty && byName.isEmpty && byNamespace.isEmpty && all.isEmpty }

    /// Where a watch lies.
    enum Place {
        case pairs([UInt64], name: UInt64)
        case name(UInt64, name: UInt64)
        case namespace(UInt64)
        case all
    }

    mutating func insert(_ watch: Watch) {
        let place = place(of: watch)
        watch.place = place
        switch place {
        case .pairs(let hashes, let name):
            for hash in hashes { byPair.insert(watch, at: hash) }
            names[name, default: 0] += 1
        case .name(let hash, let name):
            byName.insert(watch, at: hash)
            names[name, default: 0] += 1
        case .namespace(let hash): byNamespace.insert(watch, at: hash)
        case .all: all.append(watch)
        }
    }

    mutating func remove(_ watch: Watch) {
        switch watch.place {
        case .pairs(let hashes, let name):
            for hash in hashes { byPair.remove(watch, at: hash) }
            forget(name)
        case .name(let hash, let name):
            byName.remove(watch, at: hash)
            forget(name)
        case .namespace(let hash): byNamespace.remove(watch, at: hash)
        case .all: if let place = all.firstIndex(where: { $0 === watch }) { all.remove(at: place) }
        }
    }

    private mutating func forget(_ name: UInt64) {
        guard let count = names[name] else { return }
        names[name] = count > 1 ? count - 1 : nil
    }

    private func place(of watch: Watch) -> Place {
        let namespace: UInt64? = watch.prefix.withUnsafeBytes { prefix in
            prefix.count > StoreKey.resourceSize(prefix) ? Hash.of(prefix) : nil
        }
        func within(_ hash: UInt64) -> UInt64 { namespace.map { Hash.of(hash, in: $0) } ?? hash }
        var best: (place: Place, load: Int)?
        func consider(_ place: Place, _ load: Int) {
            if best.map({ load < $0.load }) ?? true { best = (place, load) }
        }
        for requirement in watch.selector.requirements {
            let name = requirement.name.withUnsafeBytes { Hash.of($0) }
            switch requirement.test {
            case .among(let values):
                let hashes = Set(values.map { $0.withUnsafeBytes { within(Hash.of(value: $0, name: name)) } })
                consider(.pairs(Array(hashes), name: name), hashes.reduce(0) { $0 + byPair.count(at: $1) })
            case .exists, .above, .below: consider(.name(within(name), name: name), byName.count(at: within(name)))
            case .notAmong, .absent: break
            }
        }
        return best?.place ?? namespace.map(Place.namespace) ?? .all
    }

    /// Calls `body` with each watch that may want an event, some more than once.
    func visit(_ event: Event, _ body: (Watch) -> Void) {
        for watch in all { body(watch) }
        if byNamespace.isEmpty && names.isEmpty { return }
        let key = event.record.key
        let end = key.lastIndex(of: UInt8(ascii: "/")) ?? key.count - 1
        let namespace = Hash.of(UnsafeRawBufferPointer(rebasing: key[...end]))
        byNamespace.visit(namespace, body)
        if names.isEmpty { return }
        visit(event.record.index, namespace, body)
        if let previous = event.previous, !Self.equal(previous.index, event.record.index) {
            visit(previous.index, namespace, body)
        }
    }

    private func visit(_ index: UnsafeRawBufferPointer, _ namespace: UInt64, _ body: (Watch) -> Void) {
        for (name, value) in IndexPairs(index) {
            let hash = Hash.of(name)
            guard names[hash] != nil else { continue }
            byName.visit(hash, body)
            byName.visit(Hash.of(hash, in: namespace), body)
            if byPair.isEmpty { continue }
            let pair = Hash.of(value: value, name: hash)
            byPair.visit(pair, body)
            byPair.visit(Hash.of(pair, in: namespace), body)
        }
    }

    private static func equal(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        left.count == right.count && compareKeys(left, right) == 0
    }
}

/// Watches by hash.
private struct RouteTable {
    /// One watch, which is what most hashes have, costs no array.
    private enum Entry {
        case one(Watch)
        case many([Watch])
    }
    private var entries: [UInt64: Entry] = [:]

    var isEmpty: Bool { entries.isEmpty }

    func count(at hash: UInt64) -> Int {
        switch entries[hash] {
        case nil: 0
        case .one: 1
        case .many(let watches): watches.count
        }
    }

    mutating func insert(_ watch: Watch, at hash: UInt64) {
        switch entries.removeValue(forKey: hash) {
        case nil: entries[hash] = .one(watch)
        case .one(let other): entries[hash] = .many([other, watch])
        case .many(var watches):
            watches.append(watch)
            entries[hash] = .many(watches)
        }
    }

    mutating func remove(_ watch: Watch, at hash: UInt64) {
        switch entries.removeValue(forKey: hash) {
        case nil: break
        case .one(let other): if other !== watch { entries[hash] = .one(other) }
        case .many(var watches):
            if let place = watches.firstIndex(where: { $0 === watch }) { watches.remove(at: place) }
            if watches.count == 1 { entries[hash] = .one(watches[0]) } else { entries[hash] = .many(watches) }
        }
    }

    @inline(__always)
    func visit(_ hash: UInt64, _ body: (Watch) -> Void) {
        switch entries[hash] {
        case nil: break
        case .one(let watch): body(watch)
        case .many(let watches): for watch in watches { body(watch) }
        }
    }
}
