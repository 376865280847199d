/// The newest record of each key that a batch changes: a hash table that is emptied without giving its memory back. The
/// hashes come with the keys, which their writers' threads computed.
struct ChangedKeys {
    private static let smallest = 256
    /// Slots beyond which the memory of a large batch is given back.
    private static let kept = 8192

    private var entries: [(hash: UInt64, record: Record)] = []
    /// 0 = free, otherwise 1 + the position of an entry. A power of two of them, at least twice as many as entries.
    private var slots = [UInt32](repeating: 0, count: smallest)

    /// The hash of a key: of the process's own secret, so that nobody can choose keys that collide.
    static func hash(_ key: UnsafeRawBufferPointer) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(bytes: key)
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }

    func record(of key: UnsafeRawBufferPointer, hash: UInt64) -> Record? {
        if entries.isEmpty { return nil }
        let entry = slots[slot(of: key, hash: hash)]
        return entry == 0 ? nil : entries[Int(entry) - 1].record
    }

    /// The slot of a key, or the free one where it belongs.
    private func slot(of key: UnsafeRawBufferPointer, hash: UInt64) -> Int {
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot] != 0 {
            let entry = entries[Int(slots[slot]) - 1]
            if entry.hash == hash, compareKeys(entry.record.key, key) == 0 { break }
            slot = (slot + 1) & (slots.count - 1)
        }
        return slot
    }

    /// Makes `record` the newest of its key.
    mutating func set(_ record: Record, hash: UInt64) {
        let slot = slot(of: record.key, hash: hash)
        if slots[slot] != 0 {
            entries[Int(slots[slot]) - 1].record = record
            return
        }
        entries.append((hash, record))
        slots[slot] = UInt32(entries.count)
        if entries.count * 2 > slots.count { grow() }
    }

    private mutating func grow() {
        slots = [UInt32](repeating: 0, count: slots.count * 2)
        for (position, entry) in entries.enumerated() {
            slots[slot(of: entry.record.key, hash: entry.hash)] = UInt32(position + 1)
        }
    }

    mutating func removeAll() {
        if entries.isEmpty { return }
        entries.removeAll(keepingCapacity: entries.count < Self.kept)
        if slots.count > Self.kept {
            slots = [UInt32](repeating: 0, count: Self.smallest)
        } else {
            for slot in slots.indices { slots[slot] = 0 }
        }
    }
}
