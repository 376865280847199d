import CStateStore
import Glibc
import PluginAPI

/// Brings the state back from the newest snapshot and the log, and finds where the log goes on.
///
/// What a crash may leave behind is a last batch that is partly on disk: it was never acknowledged and is dropped. Any
/// other damage means that acknowledged writes are lost; then the store refuses to start and says where. The two can be
/// told apart because a batch is begun only after the one before it is on disk: a valid frame of a later batch behind a
/// broken one proves damage.
struct Recovery {
    let directory: StoreDirectory
    let options: StateStoreOptions
    let tree: StateTree
    let leases: LeaseTable
    let writers: WriterTable
    let sealer: RecordSealer
    let preparer: SegmentPreparer
    private let used = UsedWriters()

    init(
        directory: StoreDirectory, options: StateStoreOptions, tree: StateTree, leases: LeaseTable,
        writers: WriterTable, sealer: RecordSealer, preparer: SegmentPreparer
    ) {
        self.sealer = sealer
        self.directory = directory
        self.options = options
        self.tree = tree
        self.leases = leases
        self.writers = writers
        self.preparer = preparer
    }

    /// Which writers the records that were read name.
    private final class UsedWriters {
        private(set) var numbers: Set<UInt32> = []
        private var last: UInt32 = 0

        func add(_ number: UInt32) {
            if number == last { return }
            last = number
            numbers.insert(number)
        }
    }

    private struct SegmentFile {
        let number: UInt64
        let head: FileHead
        let map: MappedFile
        var first: FrameHead?
        var lastRevision: UInt64 = 0
        /// Where the last batch begins.
        var lastBatch = LogFormat.headSize
        /// Whether the last frame is the mark of an orderly end.
        var endsInOrder = false
        var size: Int { map.bytes.count }

        /// Whether a valid frame lies at or behind `start` whose batch begins after `offset`.
        func hasFrame(from start: Int, ofBatchAfter offset: Int) -> Bool {
            var search = FrameSearch(map.bytes, head: head)
            return search.finds(from: start, ofBatchAfter: offset)
        }
    }

    /// Runs it. Afterwards the tree shows every acknowledged write.
    func run() throws(StoreError) -> SegmentLog.Tail {
        let started = monotonicNow()
        let names = try directory.names()
        for name in names where name.hasSuffix(".tmp") { try directory.remove(name) }
        try loadSnapshot(names)
        let numbers = names.compactMap { LogFormat.number(of: $0, prefix: "log-") }
        // The names that were just read may be in memory only, after a process that ended at the wrong moment.
        if numbers.isEmpty { try directory.synchronizeName() }
        try directory.synchronize()
        let tail = numbers.isEmpty ? try begin(number: 1) : try replay(numbers)
        writers.keep(only: used.numbers)
        options.log(
            HOSTD_LOG_INFO, "store opened",
            [
                ("directory", directory.path), ("revision", "\(tree.revision)"), ("keys", "\(tree.liveCount)"),
                ("segments", "\(tail.sealed.count + 1)"), ("milliseconds", "\((monotonicNow() - started) / 1_000_000)"),
            ])
        return tail
    }

    // MARK: Snapshot

    private func loadSnapshot(_ names: [String]) throws(StoreError) {
        let revisions = names.compactMap { LogFormat.number(of: $0, prefix: "snapshot-") }.sorted()
        guard let newest = revisions.last else { return }
        let path = directory.file(LogFormat.snapshotName(newest))
        let now = monotonicNow()
        let shown = try SnapshotReader.read(path, files: directory.files, sealer: sealer) { record throws(StoreError) in
            if record.isPut {
                used.add(record.writer)
                tree.load(record)
                if record.lease != 0 { leases.attach(record) }
            } else {
                follow(record, now: now)
                record.release()
            }
        }
        tree.finishLoading(at: shown.revision, time: shown.time)
        for old in revisions.dropLast() { try directory.remove(LogFormat.snapshotName(old)) }
    }

    /// Repeats what a record that is neither put nor delete says.
    private func follow(_ record: Record, now: UInt64) {
        switch record.kind {
        case Record.Kind.leaseGrant where record.value.count == 8:
            leases.insert(record.lease, timeToLive: record.value.loadUnaligned(as: UInt64.self), now: now)
        case Record.Kind.leaseRevoke: leases.remove(record.lease)
        case Record.Kind.compact: tree.compact(to: record.revision)
        case Record.Kind.writer: writers.define(UInt32(truncatingIfNeeded: record.lease), record.value.text)
        default: break  // The close mark asks for nothing.
        }
    }

    // MARK: Log

    private func begin(number: UInt64) throws(StoreError) -> SegmentLog.Tail {
        let segment = try preparer.take(number: number, size: options.firstSegmentSize)
        return SegmentLog.Tail(
            sealed: [], active: .init(number: number, size: segment.size, lastRevision: tree.revision),
            file: segment.file,
            salt: segment.salt, offset: LogFormat.headSize, sequence: 1)
    }

    private func open(_ number: UInt64) throws(StoreError) -> SegmentFile {
        let path = directory.file(LogFormat.segmentName(number))
        let map = try MappedFile(path, files: directory.files)
        let head = try FileHead(map.bytes, magic: LogFormat.segmentMagic, path: path)
        guard head.number == number else {
            throw StoreError(
                HOSTD_ERROR_DATA_LOSS, "\(path) says that it is segment \(head.number); files were renamed, undo that")
        }
        return SegmentFile(
            number: number, head: head, map: map,
            first: FrameHead.read(map.bytes, at: LogFormat.headSize, salt: head.salt, version: head.version))
    }

    private func replay(_ numbers: [UInt64]) throws(StoreError) -> SegmentLog.Tail {
        var segments: [SegmentFile] = []
        for number in numbers {
            if let last = segments.last, last.number + 1 != number {
                throw StoreError(
                    HOSTD_ERROR_DATA_LOSS,
                    "segment \(directory.file(LogFormat.segmentName(last.number + 1))) is missing; put it back, or "
                        + StoreRemedy.restore(directory.file("LOCK"))
                )
            }
            segments.append(try open(number))
        }
        let base = tree.revision
        var sequence = segments[0].first?.sequence ?? 1
        for position in segments.indices {
            let end = try replay(&segments[position], sequence: &sequence, base: base)
            if let next = segments[(position + 1)...].firstIndex(where: { $0.first != nil }) {
                guard next == position + 1 else { throw damage(segments[position + 1], at: LogFormat.headSize) }
                guard segments[next].first?.sequence == sequence else {
                    throw damage(segments[position], at: end)
                }
                continue
            }
            return try finish(segments, active: position, end: end, sequence: sequence)
        }
        throw StoreError(HOSTD_ERROR_INTERNAL, "the log in \(directory.path) has no segment")
    }

    /// Applies the valid frames of a segment; returns where they end.
    private func replay(_ segment: inout SegmentFile, sequence: inout UInt64, base: UInt64) throws(StoreError) -> Int {
        var offset = LogFormat.headSize
        let bytes = segment.map.bytes
        let now = monotonicNow()
        segment.lastRevision = tree.revision
        let version = segment.head.version
        while let frame = FrameHead.read(bytes, at: offset, salt: segment.head.salt, version: version),
            frame.sequence == sequence
        {
            let start = offset + FrameHead.size(version: version)
            if planted(.dropsLastBatch),
                FrameHead.read(bytes, at: start + Int(frame.size), salt: segment.head.salt, version: version) == nil
            {
                break
            }
            guard frame.revision <= max(tree.revision, base) + 1 else {
                throw StoreError(
                    HOSTD_ERROR_DATA_LOSS,
                    "\(segment.map.path) goes on at revision \(frame.revision) after \(tree.revision): a snapshot or segment is "
                        + "missing; put it back, or \(StoreRemedy.restore(segment.map.path))")
            }
            var kind: UInt32 = 0
            let fits = try FrameHead.records(UnsafeRawBufferPointer(rebasing: bytes[start..<start + Int(frame.size)])) {
                record throws(StoreError) in
                kind = try apply(record, of: segment, base: base, frame: frame, now: now)
            }
            guard fits, offset - Int(frame.batchDistance) >= LogFormat.headSize else {
                throw damage(segment, at: offset)
            }
            segment.lastBatch = offset - Int(frame.batchDistance)
            segment.endsInOrder = kind == Record.Kind.close
            segment.lastRevision = frame.revision
            offset = start + Int(frame.size)
            sequence += 1
        }
        keepBounds(now: now)
        return offset
    }

    /// Repeats what a record says; returns its kind.
    private func apply(
        _ bytes: UnsafeRawBufferPointer, of segment: SegmentFile, base: UInt64, frame: FrameHead, now: UInt64
    ) throws(StoreError) -> UInt32 {
        let head = bytes.loadUnaligned(as: hostd_store_record.self)
        let isChange =
            head.kind == Record.Kind.put || head.kind == Record.Kind.delete || head.kind == Record.Kind.sealed
        if isChange && head.revision <= base {  // The snapshot has it.
            sealer.look(at: bytes, in: segment.map.path)
            return head.kind
        }
        let offset = bytes.baseAddress.unsafelyUnwrapped - segment.map.bytes.baseAddress.unsafelyUnwrapped
        let record = try sealer.open(bytes, path: segment.map.path, offset: offset)
        guard isChange else {
            follow(record, now: now)
            record.release()
            return head.kind
        }
        do throws(StoreError) {
            try record.checkStored(in: segment.map.path, at: offset, from: tree.revision, upTo: frame.revision)
        } catch {
            record.release()
            throw error
        }
        record.time = frame.time
        used.add(record.writer)
        leases.follow(tree.apply(record, now: committed(at: frame.time, now: now)))
        return head.kind
    }

    /// The second of the monotonic clock in which something was written at a time of the wall clock, modulo 2^32: so history
    /// does not grow younger by a restart.
    private func committed(at time: UInt64, now: UInt64) -> UInt32 {
        let wall = options.wallClock()
        let age = time == 0 || time > wall ? 0 : (wall - time) / 1000
        return UInt32(truncatingIfNeeded: now / 1_000_000_000) &- UInt32(clamping: age)
    }

    private func keepBounds(now: UInt64) {
        while let target = tree.compactionTarget(
            bytes: options.historySize, count: options.historyCount, seconds: 0, now: 0)
        { tree.compact(to: target) }
    }

    private func damage(_ segment: SegmentFile, at offset: Int) -> StoreError {
        StoreError(
            HOSTD_ERROR_DATA_LOSS,
            "\(segment.map.path) is damaged at offset \(offset): acknowledged writes after it cannot be read; "
                + StoreRemedy.restore(segment.map.path))
    }

    // MARK: Tail

    private func finish(
        _ segments: [SegmentFile], active: Int, end: Int, sequence: UInt64
    ) throws(StoreError) -> SegmentLog.Tail {
        let segment = segments[active]
        if segment.hasFrame(from: end + 8, ofBatchAfter: end) { throw damage(segment, at: end) }
        for later in segments[(active + 1)...] {
            if later.hasFrame(from: LogFormat.headSize + 8, ofBatchAfter: LogFormat.headSize) {
                throw damage(later, at: LogFormat.headSize)
            }
        }
        for sealed in segments[..<active] where sealed.head.reserved != 0 {
            sealer.noteOlderUse(of: LogFormat.segmentName(sealed.number))
        }
        let file = try settle(segment, end: end, sequence: sequence)
        for later in segments[(active + 1)...] { try directory.remove(LogFormat.segmentName(later.number)) }
        if active + 1 < segments.count { try directory.synchronize() }
        if segment.head.version < LogFormat.version { return try goOn(after: segments[...active], sequence: sequence) }
        return SegmentLog.Tail(
            sealed: segments[..<active].map { .init(number: $0.number, size: $0.size, lastRevision: $0.lastRevision) },
            active: .init(number: segment.number, size: segment.size, lastRevision: segment.lastRevision), file: file,
            salt: segment.head.salt, offset: end, sequence: sequence)
    }

    /// Makes the end of the log durable as it was read, and drops what stands behind it. After a process that ended early
    /// or whose fdatasync failed, the last batch may be in the page cache only, and what looks erased may still be on disk.
    private func settle(_ segment: SegmentFile, end: Int, sequence: UInt64) throws(StoreError) -> LogFile {
        let file = try LogFile(LogFormat.segmentName(segment.number), size: segment.size, in: directory)
        let torn = tornEnd(segment, from: end, sequence: sequence)
        if let torn {
            options.log(
                HOSTD_LOG_WARNING, "the log ends in a batch that was never acknowledged; it is dropped",
                [("segment", segment.map.path), ("offset", "\(end)"), ("bytes", "\(torn - end)")])
        }
        if !planted(.recoveredTailNotWritten) {
            try file.write(
                UnsafeRawBufferPointer(rebasing: segment.map.bytes[segment.lastBatch..<end]), at: segment.lastBatch)
        }
        // What a segment had in an older use may be plain values of what is now to be encrypted.
        let hasOlderUse = segment.head.reserved != 0 && options.encryption != nil
        if !segment.endsInOrder || torn != nil || hasOlderUse { try file.erase(from: end, to: segment.size) }
        try file.synchronize()
        return file
    }

    /// Begins a new segment behind those of an older version.
    private func goOn(after segments: ArraySlice<SegmentFile>, sequence: UInt64) throws(StoreError) -> SegmentLog.Tail {
        let number = (segments.last?.number ?? 0) + 1
        let next = try preparer.take(number: number, size: options.segmentSize)
        return SegmentLog.Tail(
            sealed: segments.map { .init(number: $0.number, size: $0.size, lastRevision: $0.lastRevision) },
            active: .init(number: number, size: next.size, lastRevision: tree.revision), file: next.file,
            salt: next.salt, offset: LogFormat.headSize, sequence: sequence)
    }

    /// The end of what a torn batch left, nil when nothing did. In a recycled segment bytes of its older use follow, which
    /// no checksum of this segment fits: only frames with the next numbers count there.
    private func tornEnd(_ segment: SegmentFile, from end: Int, sequence: UInt64) -> Int? {
        let rest = UnsafeRawBufferPointer(rebasing: segment.map.bytes[end...])
        guard let base = rest.baseAddress else { return nil }
        let used = store_size_without_zeros(base, rest.count)
        if used == 0 { return nil }
        if segment.head.reserved == 0 { return end + used }
        guard rest.count >= FrameHead.size else { return nil }
        let head = rest.loadUnaligned(as: FrameHead.self)
        let isTorn = head.magic == LogFormat.frameMagic && head.sequence == sequence
        return isTorn || segment.hasFrame(from: end + 8, ofBatchAfter: -1) ? segment.size : nil
    }
}
