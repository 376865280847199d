import Glibc
import PluginAPI

/// A segment on disk, empty and durable, ready to be written to.
struct PreparedSegment: Sendable {
    let number: UInt64
    let salt: UInt32
    let size: Int
    let file: LogFile
}

/// Makes the next log segment in the background: blocks reserved, zeros written, head and name on disk; so a commit finds
/// space that is there for certain, and its fdatasync need not write metadata.
final class SegmentPreparer: PoolJob, @unchecked Sendable {  // All state is behind `monitor`.
    private enum State {
        case idle
        case working(number: UInt64, size: Int)
        case done(Result<PreparedSegment, StoreError>)
    }

    private let directory: StoreDirectory
    private let options: StateStoreOptions
    private let background: WorkerPool
    private let monitor = Monitor()
    private var state = State.idle
    /// Files of older segments that wait to be used again, and their sizes: writing zeros to as many new ones would take the
    /// disk from the commits.
    private var spares: [(name: String, size: Int)] = []

    init(directory: StoreDirectory, options: StateStoreOptions, background: WorkerPool) {
        self.directory = directory
        self.options = options
        self.background = background
    }

    /// Begins to make segment `number` unless that is done or under way.
    func request(number: UInt64, size: Int) {
        let starts = monitor.locked {
            guard case .idle = state else { return false }
            state = .working(number: number, size: size)
            return true
        }
        if starts { background.submit(self) }
    }

    /// Waits for the segment and takes it. After a failure the next call tries anew.
    func take(number: UInt64, size: Int) throws(StoreError) -> PreparedSegment {
        request(number: number, size: size)
        monitor.lock()
        while case .working = state { monitor.wait() }
        let result = state
        state = .idle
        monitor.unlock()
        guard case .done(let outcome) = result else {
            throw StoreError(HOSTD_ERROR_INTERNAL, "segment \(number) was not prepared")
        }
        let segment = try outcome.get()
        if segment.number == number && segment.size >= size { return segment }
        try directory.remove(LogFormat.segmentName(segment.number))
        return try take(number: number, size: size)
    }

    func run() {
        let wanted = monitor.locked { () -> (UInt64, Int)? in
            if case .working(let number, let size) = state { return (number, size) }
            return nil
        }
        guard let (number, size) = wanted else { return }
        let result = Result { () throws(StoreError) in try make(number: number, size: size) }
        monitor.locked {
            state = .done(result)
            monitor.broadcast()
        }
    }

    private func make(number: UInt64, size: Int) throws(StoreError) -> PreparedSegment {
        let temporary = LogFormat.segmentName(number) + ".tmp"
        do throws(StoreError) {
            let isReused = try reuse(temporary, size: size)
            if !isReused { try create(temporary, size: size) }
            let file = try LogFile(temporary, size: size, in: directory)
            if !isReused { try file.erase(from: 0, to: size) }
            var head = FileHead(magic: LogFormat.segmentMagic, number: number)
            head.reserved = isReused ? 1 : 0
            try withUnsafeBytes(of: head) { bytes throws(StoreError) in
                try file.write(bytes, at: 0)
            }
            try file.synchronize()
            try directory.rename(temporary, to: LogFormat.segmentName(number))
            return PreparedSegment(number: number, salt: head.salt, size: size, file: file)
        } catch {
            try directory.remove(temporary)
            throw error
        }
    }

    /// Gives a file of before the name. False when none waits.
    private func reuse(_ name: String, size: Int) throws(StoreError) -> Bool {
        let old: String? = monitor.locked {
            spares.firstIndex { $0.size == size }.map { spares.remove(at: $0).name }
        }
        guard let old else { return false }
        try directory.rename(old, to: name)
        return true
    }

    private func create(_ name: String, size: Int) throws(StoreError) {
        let needed = size + options.reservedSpace
        let free = try freeSpace(atLeast: needed)
        guard free >= needed else {
            throw fileError("prepare", "\(directory.path) (\(free) bytes free, \(needed) needed)", ENOSPC)
        }
        let file = try directory.open(name, flags: O_RDWR | O_CREAT | O_TRUNC)
        let result = directory.files.allocate(file.descriptor, size)
        if result != 0 && result != EOPNOTSUPP && result != EINVAL { throw fileError("allocate", file.path, result) }
    }

    /// That the disk is full, and how full.
    func spaceError(writing path: String) -> StoreError {
        let free = directory.files.freeSpace(directory.path)
        return fileError("write", free < 0 ? path : "\(path) (\(free) bytes free)", ENOSPC)
    }

    /// Takes care of a segment that is no longer needed: keeps its file for a later one, when it is the only one kept or all of
    /// them have no more than `limit` bytes, or removes it. Its name is gone for good on return.
    func retire(number: UInt64, size: Int, limit: Int) throws(StoreError) {
        let name = LogFormat.segmentName(number)
        let spare = "recycled-\(number).tmp"
        let kept = monitor.locked { spares.reduce(0) { $0 + $1.size } }
        // A file that may hold what is now to be encrypted is not kept.
        guard options.encryption == nil, size == options.segmentSize, kept == 0 || kept + size <= limit
        else {
            try directory.remove(name)
            if !planted(.removalNotSynchronized) { try directory.synchronize() }
            return
        }
        try directory.rename(name, to: spare)
        monitor.locked { spares.append((spare, size)) }
    }

    /// Bytes that are free. When they are fewer than `needed`, files that wait to be used again are given up for them.
    func freeSpace(atLeast needed: Int) throws(StoreError) -> Int {
        let free = try directory.freeSpace()
        guard free < needed else { return free }
        let given = monitor.locked {
            defer { spares = [] }
            return spares
        }
        for spare in given { try directory.remove(spare.name) }
        return try given.isEmpty ? free : directory.freeSpace()
    }
}
