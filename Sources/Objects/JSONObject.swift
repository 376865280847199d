/// The members of a JSON object, in the order in which they were added.
///
/// Two objects are equal when they have equal members, whatever their order. Up to `indexThreshold` members a
/// lookup compares keys one after another, which for objects as small as Kubernetes' is faster than hashing;
/// above it a hash index keeps lookups and inserts at O(1), so that hostile input cannot make them quadratic.
public struct JSONObject: Sendable {
    /// One member.
    public struct Member: Sendable {
        public let key: String
        public var value: JSON

        @inline(__always)
        init(key: String, value: JSON) {
            self.key = key
            self.value = value
        }
    }

    static let indexThreshold = 32

    var members: ContiguousArray<Member>
    /// Open-addressed positions into `members` plus one, 0 for free; nil, which costs nothing to copy, while the object
    /// is small.
    var slots: [UInt32]?

    public init() { members = [] }

    /// Adopts members that are known to be unique. Returns nil when `members` turns out to hold a duplicate
    /// key, which is looked for only when an index has to be built.
    init?(unique members: ContiguousArray<Member>) {
        self.members = members
        if members.count > Self.indexThreshold, !rebuildIndex() { return nil }
    }

    /// A later duplicate of a key replaces the earlier one.
    public init(_ pairs: some Sequence<(String, JSON)>) {
        self.init()
        for (key, value) in pairs { self[key] = value }
    }

    public init(minimumCapacity: Int) {
        members = []
        members.reserveCapacity(minimumCapacity)
    }

    public var count: Int { members.count }
    public var isEmpty: Bool { members.isEmpty }

    /// The keys in insertion order.
    public var keys: [String] { members.map(\.key) }

    /// The values in insertion order.
    public var values: [JSON] { members.map(\.value) }

    public func contains(_ key: String) -> Bool { position(of: key) != nil }

    /// The value of a key, nil when absent. Setting nil removes the member; a new key goes to the end.
    public subscript(key: String) -> JSON? {
        get { position(of: key).map { members[$0].value } }
        set {
            guard let newValue else {
                removeValue(forKey: key)
                return
            }
            if let position = position(of: key) {
                members[position].value = newValue
            } else {
                append(key, newValue)
            }
        }
    }

    /// Removes a member. Complexity: O(count).
    @discardableResult
    public mutating func removeValue(forKey key: String) -> JSON? {
        guard let position = position(of: key) else { return nil }
        let removed = members.remove(at: position)
        reindex()
        return removed.value
    }

    /// Removes every member that satisfies the predicate. Complexity: O(count), whatever number is removed.
    public mutating func removeAll(where shouldRemove: (_ key: String, _ value: JSON) -> Bool) {
        members.removeAll { shouldRemove($0.key, $0.value) }
        reindex()
    }

    /// Puts a member in front of all others, replacing one of the same key.
    public mutating func insertFirst(_ key: String, _ value: JSON) {
        if let position = position(of: key) { members.remove(at: position) }
        members.insert(Member(key: key, value: value), at: 0)
        reindex()
    }

    /// The same members ordered by the bytes of their keys, for a canonical rendering.
    public func sortedByKey() -> JSONObject {
        var sorted = self
        sorted.members.sort { $0.key.precedesByBytes($1.key) }
        sorted.reindex()
        return sorted
    }

    /// Calls `body` with each member, ordered by the bytes of the keys. Copies nothing.
    public func forEachByKey(_ body: (_ key: String, _ value: JSON) -> Void) {
        withUnsafeTemporaryAllocation(of: Int.self, capacity: members.count) { memory in
            var order = memory
            for position in members.indices { order.initializeElement(at: position, to: position) }
            if members.count > Self.indexThreshold {
                order.sort { members[$0].key.precedesByBytes(members[$1].key) }
            } else {
                for end in members.indices.dropFirst() {
                    var place = end
                    while place > 0, members[order[place]].key.precedesByBytes(members[order[place - 1]].key) {
                        order.swapAt(place, place - 1)
                        place -= 1
                    }
                }
            }
            for position in order { body(members[position].key, members[position].value) }
        }
    }

    /// Applies `transform` to every value in place, without a copy of the tree.
    public mutating func updateValues<E: Error>(_ transform: (_ key: String, _ value: inout JSON) throws(E) -> Void)
        throws(E)
    {
        for position in members.indices { try transform(members[position].key, &members[position].value) }
    }

    /// Gives in-place access to a value; nothing is inserted when the key is absent and the value stays null.
    mutating func withValue<Result>(of key: String, _ body: (inout JSON) -> Result) -> Result {
        if let position = position(of: key) { return body(&members[position].value) }
        var value = JSON.null
        let result = body(&value)
        if !value.isNull { append(key, value) }
        return result
    }
}

extension JSONObject: Sequence {
    public struct Iterator: IteratorProtocol {
        var inner: IndexingIterator<ContiguousArray<Member>>

        public mutating func next() -> (key: String, value: JSON)? {
            inner.next().map { ($0.key, $0.value) }
        }
    }

    public func makeIterator() -> Iterator { Iterator(inner: members.makeIterator()) }
    public var underestimatedCount: Int { members.count }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, JSON)...) { self.init(elements) }
}

extension JSONObject: Hashable {
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        guard left.count == right.count else { return false }
        if left.isSameStorage(as: right) { return true }
        for (position, member) in left.members.enumerated() {
            let candidate = right.members[position]
            if candidate.key.hasSameBytes(as: member.key) {
                guard candidate.value == member.value else { return false }
            } else {
                guard let value = right[member.key], value == member.value else { return false }
            }
        }
        return true
    }

    /// Whether both are copies of one object of which none was changed. Only then; equal objects may lie apart.
    private func isSameStorage(as other: JSONObject) -> Bool {
        members.withUnsafeBufferPointer { own in
            other.members.withUnsafeBufferPointer { $0.baseAddress == own.baseAddress }
        }
    }

    public func hash(into hasher: inout Hasher) {
        var combined = 0
        for member in members {
            var own = Hasher()
            member.key.hashBytes(into: &own)
            own.combine(member.value)
            combined ^= own.finalize()
        }
        hasher.combine(combined)
    }
}

// MARK: - The index

extension JSONObject {
    func position(of key: String) -> Int? {
        guard let slots else {
            return members.withUnsafeBufferPointer { buffer in
                for position in 0..<buffer.count where buffer[position].key.hasSameBytes(as: key) { return position }
                return nil
            }
        }
        var slot = Self.slot(of: key, count: slots.count)
        while slots[slot] != 0 {
            let position = Int(slots[slot]) - 1
            if members[position].key.hasSameBytes(as: key) { return position }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    /// Appends a member whose key is known to be absent.
    mutating func append(_ key: String, _ value: JSON) {
        members.append(Member(key: key, value: value))
        guard members.count > Self.indexThreshold else { return }
        guard let size = slots?.count, members.count * 2 <= size else {
            _ = rebuildIndex()
            return
        }
        var slot = Self.slot(of: key, count: size)
        while let taken = slots?[slot], taken != 0 { slot = (slot + 1) & (size - 1) }
        slots?[slot] = UInt32(members.count)
    }

    private mutating func reindex() {
        if members.count > Self.indexThreshold { _ = rebuildIndex() } else { slots = nil }
    }

    /// Returns false when two members have the same key.
    private mutating func rebuildIndex() -> Bool {
        var size = 128
        while size < members.count * 4 { size *= 2 }
        var slots = [UInt32](repeating: 0, count: size)
        var unique = true
        for position in members.indices {
            let key = members[position].key
            var slot = Self.slot(of: key, count: size)
            while slots[slot] != 0 {
                if members[Int(slots[slot]) - 1].key.hasSameBytes(as: key) { unique = false }
                slot = (slot + 1) & (size - 1)
            }
            slots[slot] = UInt32(position + 1)
        }
        self.slots = slots
        return unique
    }

    private static func slot(of key: String, count: Int) -> Int {
        var hasher = Hasher()
        key.hashBytes(into: &hasher)
        return hasher.finalize() & (count - 1)
    }
}
