import CStateStore
import Glibc
import PluginAPI

extension StateStore {
    /// The record of a key at a revision (0 = the latest), with a reference for the caller.
    func get(_ key: UnsafeRawBufferPointer, revision: UInt64 = 0) throws(StoreError) -> Record {
        try StoreKey.check(key)
        let found = try parts.lock.reading { () throws(StoreError) -> Record? in
            let at = try parts.tree.readable(revision)
            guard let newest = parts.tree.newest(key), let record = StateTree.resolve(newest, at: at) else {
                return nil
            }
            record.retain()
            return record
        }
        guard let found else { throw StoreError(HOSTD_ERROR_NOT_FOUND, "\(key.text) does not exist") }
        return found
    }

    /// Part of a list, with a reference to each record for the caller.
    struct Page {
        var revision: UInt64
        var records: [Record] = []
        var hasMore = false
        var remaining: UInt64 = 0
    }

    /// The records under a prefix in key order at one revision. Long lists give the lock up now and then; the revision is
    /// pinned meanwhile, so all of the page shows the same state.
    func list(
        prefix: UnsafeRawBufferPointer, selector: IndexSelector, revision: UInt64 = 0, limit: UInt64 = 0,
        after: UnsafeRawBufferPointer = .init(start: nil, count: 0)
    ) throws(StoreError) -> Page {
        try StoreKey.checkPrefix(prefix)
        if !after.isEmpty { try StoreKey.check(after) }
        let at = try parts.lock.reading { () throws(StoreError) in
            let at = try parts.tree.readable(revision)
            parts.pins.add(at)
            return at
        }
        defer { parts.pins.remove(at) }
        var scan = ListScan(
            parts: parts, prefix: prefix, selector: selector, revision: at,
            limit: limit == 0 ? .max : Int(clamping: limit), after: after)
        let step = parts.options.recordsPerStep
        while !scan.isDone { parts.lock.reading { scan.step(visits: step * 4, takes: step) } }
        return scan.page
    }

    /// The page as `hostd_store_1.list` hands it out.
    func encode(_ page: Page) throws(StoreError) -> hostd_buffer {
        defer { for record in page.records { record.release() } }
        let headSize = MemoryLayout<hostd_store_page>.size
        let size = page.records.reduce(headSize) { $0 + $1.size }
        guard let memory = malloc(size) else {
            throw StoreError(HOSTD_ERROR_RESOURCE_EXHAUSTED, "no memory for a page of \(size) bytes; list with a limit")
        }
        memory.storeBytes(
            of: hostd_store_page(
                struct_size: UInt32(headSize), more: page.hasMore ? 1 : 0, revision: page.revision,
                count: UInt64(page.records.count), remaining: page.remaining),
            as: hostd_store_page.self)
        var end = memory + headSize
        for record in page.records {
            memcpy(end, record.bytes, record.size)
            end += record.size
        }
        return hostd_buffer(
            data: UnsafePointer(memory.assumingMemoryBound(to: UInt8.self)), size: UInt64(size), release: { free($0) },
            context: memory)
    }

    /// Writes a consistent copy to a file and closes it. Returns the revision and the bytes. The copy is a snapshot: put
    /// under its name into an empty directory, it is a store.
    package func backup(to descriptor: Int32) throws(StoreError) -> (revision: UInt64, bytes: Int) {
        defer { parts.options.files.close(descriptor) }
        let revision = parts.lock.reading {
            parts.pins.add(parts.tree.revision)
            return parts.tree.revision
        }
        defer { parts.pins.remove(revision) }
        return (revision, try parts.writeState(at: revision, to: descriptor, path: "the backup file"))
    }
}

extension StateStore.Parts {
    /// Writes the state at a pinned revision as a snapshot. Returns its size.
    func writeState(
        at revision: UInt64, to descriptor: Int32, path: String,
        destination: RecordSealer.Destination = .elsewhere
    ) throws(StoreError) -> Int {
        let time = lock.reading { tree.time(of: revision) }
        let shown = planted(.backupReadsLatest) && destination == .elsewhere ? .max : revision
        var writer = try SnapshotWriter(
            file: descriptor, path: path, revision: revision, time: time, files: options.files, sealer: sealer,
            destination: destination)
        try addLeases(to: &writer)
        try addWriters(to: &writer)
        var scan = ListScan(
            parts: self, prefix: .init(start: nil, count: 0), selector: IndexSelector(requirements: []),
            revision: shown,
            limit: .max, after: .init(start: nil, count: 0))
        defer { for record in scan.page.records { record.release() } }
        let step = options.recordsPerStep
        while !scan.isDone {
            lock.reading { scan.step(visits: step, takes: max(1, step / 4)) }
            for record in scan.page.records { try writer.add(record) }
            scan.forgetRecords()
        }
        return try writer.finish()
    }

    private func addLeases(to writer: inout SnapshotWriter) throws(StoreError) {
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        let all = leases.all()
        for (lease, timeToLive) in all.leases {
            let record = try withUnsafeBytes(of: timeToLive.littleEndian) { bytes throws(StoreError) in
                try Record.make(kind: Record.Kind.leaseGrant, key: none, value: bytes, lease: lease)
            }
            defer { record.release() }
            try writer.add(record)
        }
        // The highest number ever given, so that none is given twice.
        guard all.last > 0, !all.leases.contains(where: { $0.number == all.last }) else { return }
        let last = try Record.make(kind: Record.Kind.leaseRevoke, key: none, lease: all.last)
        defer { last.release() }
        try writer.add(last)
    }

    private func addWriters(to snapshot: inout SnapshotWriter) throws(StoreError) {
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        let all = writers.all
        // The highest number ever given, so that none is given twice.
        let last = all.definitions.last?.number == all.last ? [] : [(number: all.last, text: "")]
        for (number, text) in all.definitions + last {
            let record = try Array(text.utf8).withUnsafeBufferPointer { bytes throws(StoreError) in
                try Record.make(
                    kind: Record.Kind.writer, key: none, value: UnsafeRawBufferPointer(bytes), lease: UInt64(number))
            }
            defer { record.release() }
            try snapshot.add(record)
        }
    }
}

/// A list that is under way: where it is, and what it has found.
struct ListScan {
    private let parts: StateStore.Parts
    private let prefix: UnsafeRawBufferPointer
    private let selector: IndexSelector
    private let revision: UInt64
    private let limit: Int
    /// The last key looked at.
    private var last: [UInt8]
    private var taken = 0
    private var isCounting = false
    private(set) var isDone = false
    private(set) var page: StateStore.Page

    init(
        parts: StateStore.Parts, prefix: UnsafeRawBufferPointer, selector: IndexSelector, revision: UInt64, limit: Int,
        after: UnsafeRawBufferPointer
    ) {
        self.parts = parts
        self.prefix = prefix
        self.selector = selector
        self.revision = revision
        self.limit = limit
        last = Array(after)
        page = StateStore.Page(revision: revision)
    }

    /// Goes on for a while. The read lock is held.
    mutating func step(visits: Int, takes: Int) {
        var visits = visits
        var takes = takes
        let after = last
        after.withUnsafeBytes { after in
            for partition in parts.tree.partitions(under: prefix, after: after) {
                if !visit(partition, after: after, &visits, &takes) { return }
            }
            isDone = true
        }
    }

    /// False when the step is over before the partition is.
    private mutating func visit(
        _ partition: Partition, after: UnsafeRawBufferPointer, _ visits: inout Int, _ takes: inout Int
    ) -> Bool {
        let isAfterInside =
            partition.prefix.withUnsafeBytes { after.begins(with: $0) } && compareKeys(after, prefix) >= 0
        let start = isAfterInside ? after : prefix
        var (position, found) = partition.index.lowerBound(start)
        if found && isAfterInside { position.item += 1 }
        var lastVisited: Record?
        defer { if let lastVisited { last = Array(lastVisited.key) } }
        while let newest = partition.index.record(at: &position), newest.key.begins(with: prefix) {
            if visits == 0 || takes == 0 { return false }
            if isCounting && revision == parts.tree.revision && !prefix.isEmpty {
                page.remaining += UInt64(partition.index.countLive(from: position, to: end(of: partition)))
                return true
            }
            visits -= 1
            lastVisited = newest
            position.item += 1
            guard let record = StateTree.resolve(newest, at: revision) else { continue }
            take(record, &takes)
        }
        return true
    }

    private mutating func take(_ record: Record, _ takes: inout Int) {
        if isCounting {
            page.remaining += 1
        } else if selector.matches(record) {
            if taken == limit {
                page.hasMore = true
                page.remaining += 1
                isCounting = true
                return
            }
            record.retain()
            page.records.append(record)
            taken += 1
            takes -= 1
        }
    }

    /// The place behind the last key under the prefix: that of the prefix with its last "/" made into the next byte, "0".
    private func end(of partition: Partition) -> OrderedIndex.Position? {
        var next = Array(prefix)
        next[next.count - 1] += 1
        return next.withUnsafeBytes { partition.index.lowerBound($0).position }
    }

    /// Releases what was found so far.
    mutating func forgetRecords() {
        for record in page.records { record.release() }
        page.records.removeAll(keepingCapacity: true)
    }
}
