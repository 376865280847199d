import Glibc

/// Byte strings, each known by one small number while it is in the table: an open hash table over entries that keep their
/// place and their memory, so that in a steady state nothing is allocated. Numbers of removed entries are given out again.
///
/// Complexity: constant on average for all but `reset`; the hash is seeded at random, because others choose the keys.
struct KeyTable: ~Copyable {
    /// "No entry" in lists of numbers.
    static let none = UInt32.max
    /// Memory of a removed entry that is kept for the next one, bytes.
    private static let keptSize: UInt32 = 256

    private struct Entry {
        var hash: UInt64
        var bytes: UnsafeMutablePointer<UInt8>?
        var size: UInt32
        var capacity: UInt32
        /// Of free entries: the next one.
        var next: UInt32
    }

    private let seed: UInt64
    private var entries: UnsafeMutablePointer<Entry>
    /// Entries that exist, in use or free.
    private var made: UInt32 = 0
    private var free = KeyTable.none
    /// Numbers plus one, 0 = empty; a power of two of them.
    private var buckets: UnsafeMutablePointer<UInt32>
    private var mask: UInt64
    private(set) var capacity: Int
    private(set) var count = 0

    init(seed: UInt64 = .random(in: 1...UInt64.max)) {
        self.seed = seed
        capacity = 16
        entries = .allocate(capacity: capacity)
        mask = UInt64(capacity * 2 - 1)
        buckets = .allocate(capacity: capacity * 2)
        buckets.initialize(repeating: 0, count: capacity * 2)
    }

    deinit {
        for number in 0..<Int(made) { entries[number].bytes?.deallocate() }
        entries.deallocate()
        buckets.deallocate()
    }

    /// The bytes of an entry; they stay in place until it is removed.
    subscript(number: UInt32) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: entries[Int(number)].bytes, count: Int(entries[Int(number)].size))
    }

    func find(_ key: UnsafeBufferPointer<UInt8>) -> UInt32? {
        let place = bucket(of: key, hash(key))
        return buckets[place] == 0 ? nil : buckets[place] - 1
    }

    /// The number of `key`, which is entered when it is not there. Numbers are below `capacity`, which may have grown.
    mutating func intern(_ key: UnsafeBufferPointer<UInt8>) -> (number: UInt32, isNew: Bool) {
        let hash = hash(key)
        var place = bucket(of: key, hash)
        if buckets[place] != 0 { return (buckets[place] - 1, false) }
        if count == capacity {
            grow()
            place = bucket(of: key, hash)
        }
        let number = takeEntry()
        fill(number, key, hash)
        buckets[place] = number + 1
        count += 1
        return (number, true)
    }

    mutating func remove(_ number: UInt32) {
        var hole = Int(entries[Int(number)].hash & mask)
        while buckets[hole] != number + 1 { hole = (hole + 1) & Int(mask) }
        buckets[hole] = 0
        close(hole)
        if entries[Int(number)].capacity > Self.keptSize {
            entries[Int(number)].bytes?.deallocate()
            entries[Int(number)].bytes = nil
            entries[Int(number)].capacity = 0
        }
        entries[Int(number)].next = free
        free = number
        count -= 1
    }

    /// Moves entries that collided with a removed one into its place.
    private func close(_ removed: Int) {
        var hole = removed
        var place = (hole + 1) & Int(mask)
        while buckets[place] != 0 {
            let home = Int(entries[Int(buckets[place] - 1)].hash & mask)
            // Whether the hole lies between where the entry belongs and where it is.
            if (place - home) & Int(mask) >= (place - hole) & Int(mask) {
                buckets[hole] = buckets[place]
                buckets[place] = 0
                hole = place
            }
            place = (place + 1) & Int(mask)
        }
    }

    private func bucket(of key: UnsafeBufferPointer<UInt8>, _ hash: UInt64) -> Int {
        var place = Int(hash & mask)
        while buckets[place] != 0 {
            let entry = entries + Int(buckets[place] - 1)
            if entry.pointee.hash == hash, Int(entry.pointee.size) == key.count, equal(entry.pointee.bytes, key) {
                return place
            }
            place = (place + 1) & Int(mask)
        }
        return place
    }

    private func equal(_ bytes: UnsafeMutablePointer<UInt8>?, _ key: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let bytes, let base = key.baseAddress, !key.isEmpty else { return key.isEmpty }
        return memcmp(bytes, base, key.count) == 0
    }

    private mutating func takeEntry() -> UInt32 {
        if free != Self.none {
            let number = free
            free = entries[Int(number)].next
            return number
        }
        (entries + Int(made)).initialize(to: Entry(hash: 0, bytes: nil, size: 0, capacity: 0, next: Self.none))
        made += 1
        return made - 1
    }

    private func fill(_ number: UInt32, _ key: UnsafeBufferPointer<UInt8>, _ hash: UInt64) {
        let entry = entries + Int(number)
        entry.pointee.hash = hash
        entry.pointee.size = UInt32(key.count)
        if entry.pointee.capacity < UInt32(key.count) {
            entry.pointee.bytes?.deallocate()
            let capacity = (key.count + 31) & ~31
            entry.pointee.bytes = .allocate(capacity: capacity)
            entry.pointee.capacity = UInt32(capacity)
        }
        if let base = key.baseAddress, let bytes = entry.pointee.bytes { bytes.update(from: base, count: key.count) }
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<Entry>.allocate(capacity: capacity * 2)
        larger.moveInitialize(from: entries, count: Int(made))
        entries.deallocate()
        entries = larger
        capacity *= 2
        buckets.deallocate()
        buckets = .allocate(capacity: capacity * 2)
        buckets.initialize(repeating: 0, count: capacity * 2)
        mask = UInt64(capacity * 2 - 1)
        for number in 0..<made {  // It was full: all of them are in use.
            var place = Int(entries[Int(number)].hash & mask)
            while buckets[place] != 0 { place = (place + 1) & Int(mask) }
            buckets[place] = number + 1
        }
    }

    /// Eight bytes at a time, each multiplied in and folded.
    private func hash(_ key: UnsafeBufferPointer<UInt8>) -> UInt64 {
        var hash = seed ^ UInt64(key.count)
        guard let base = key.baseAddress else { return Self.mix(hash) }
        let bytes = UnsafeRawPointer(base)
        var offset = 0
        while offset + 8 <= key.count {
            hash = Self.mix(hash ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        var rest: UInt64 = 0
        while offset < key.count {
            rest = rest << 8 | UInt64(key[offset])
            offset += 1
        }
        return Self.mix(hash ^ rest)
    }

    @inline(__always)
    private static func mix(_ value: UInt64) -> UInt64 {
        let product = (value ^ 0x9E37_79B9_7F4A_7C15).multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
        return product.high ^ product.low
    }
}
