import Glibc
import Kernel

/// A disk with one file system, under a page cache. What was written is read at once, and survives a loss of power only
/// when it was synchronized: of the rest, any sectors may be there in any of the versions that were written.
///
/// Names are as POSIX has them: a file is reached after a loss of power when its directory was synchronized, or by luck.
/// Renames are atomic. A path's directory must exist; the root `/` always does.
public final class SimulatedDisk {
    public static let sectorSize = 512
    public static let blockSize = 4096

    /// How bad this disk is.
    public struct Character: Sendable {
        /// One call in so many fails; 0 = none.
        public var synchronizeFails = 0
        public var writeFails = 0
        public var readFails = 0
        /// One write in so many writes only a part, or nothing and says EINTR.
        public var writeIsShort = 0
        public var writeIsInterrupted = 0
        /// Overwriting needs space too, as on file systems that copy on write.
        public var copiesOnWrite = false
        /// What goes past the page cache begins and ends with a block of so many bytes; 0 = nothing can.
        public var directBlock = SimulatedDisk.sectorSize
        /// A write can be asked to be durable when it ends.
        public var writesDurably = true
        /// Of a hundred sectors not synchronized, so many survive; the others keep an older version.
        public var sectorsSurvive = 50
        /// Changes of names survive up to some moment, as in a journal; otherwise any of them do.
        public var namesAreJournalled = true
        /// Bytes.
        public var capacity = 64 << 20

        public init() {}
    }

    enum Change {
        case write(offset: Int, bytes: [UInt8])
        case resize(Int)
    }

    final class File {
        let isDirectory: Bool
        /// As the page cache has it.
        var bytes: [UInt8] = []
        /// As the disk has it.
        var durable: [UInt8] = []
        /// Between the two, in order.
        var pending: [Change] = []
        var allocated = 0
        /// Bytes copied on write since the last synchronization, which needs them no more.
        var copied = 0
        var holder: Int32?

        init(isDirectory: Bool) { self.isDirectory = isDirectory }
    }

    private struct OpenFile {
        var file: File
        var path: String
        var isDirect: Bool
        var position = 0
    }

    enum NameChange {
        case set(String, File)
        case remove(String)
        case rename(from: String, to: String, File)

        var directory: String {
            switch self {
            case .set(let path, _), .remove(let path), .rename(_, let path, _): SimulatedDisk.directory(of: path)
            }
        }
    }

    public var character: Character
    /// Bytes that somebody else uses.
    public var usedByOthers = 0
    /// Of this disk's own luck.
    private var generator: Generator

    private var names: [String: File] = [:]
    private var durableNames: [String: File] = [:]
    private var nameChanges: [NameChange] = []
    private var open: [Int32: OpenFile] = [:]
    private var nextDescriptor: Int32 = 1000

    public init(character: Character, generator: Generator) {
        self.character = character
        self.generator = generator
    }

    static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    private func hasDirectory(_ path: String) -> Bool { path == "/" || names[path]?.isDirectory == true }

    /// Sets `errno`; the result of a call that failed.
    private func failing(_ number: Int32) -> Int32 {
        errno = number
        return -1
    }

    // MARK: Space

    var used: Int { names.values.reduce(usedByOthers) { $0 + $1.allocated + $1.copied } }
    public var free: Int { max(0, character.capacity - used) }

    /// Gives a file blocks for `size` bytes, as far as there are any. Returns how many bytes it has room for.
    private func reserve(_ file: File, _ size: Int) -> Int {
        let wanted = (size + Self.blockSize - 1) / Self.blockSize * Self.blockSize
        if wanted > file.allocated {
            file.allocated += min(wanted - file.allocated, free / Self.blockSize * Self.blockSize)
        }
        return file.allocated
    }

    // MARK: Files

    public func open(_ path: String, flags: Int32) -> Int32 {
        guard hasDirectory(Self.directory(of: path)) else { return failing(ENOENT) }
        let isDirect = flags & FileOperations.direct != 0
        if isDirect && character.directBlock == 0 { return failing(EINVAL) }
        let file: File
        if let found = names[path] {
            if found.isDirectory { return failing(EISDIR) }
            file = found
            if flags & O_TRUNC != 0 { resize(file, 0) }
        } else {
            guard flags & O_CREAT != 0 else { return failing(ENOENT) }
            file = File(isDirectory: false)
            names[path] = file
            nameChanges.append(.set(path, file))
        }
        nextDescriptor += 1
        open[nextDescriptor] = OpenFile(file: file, path: path, isDirect: isDirect)
        return nextDescriptor
    }

    public func close(_ descriptor: Int32) {
        if let file = open.removeValue(forKey: descriptor)?.file, file.holder == descriptor { file.holder = nil }
    }

    /// The path under which a descriptor was opened, for messages.
    public func path(_ descriptor: Int32) -> String { open[descriptor]?.path ?? "closed" }

    public func size(_ descriptor: Int32) -> Int { open[descriptor]?.file.bytes.count ?? Int(failing(EBADF)) }

    public func read(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer, _ count: Int, _ offset: Int) -> Int {
        guard let file = open[descriptor]?.file else { return Int(failing(EBADF)) }
        if generator.oneIn(character.readFails) { return Int(failing(EIO)) }
        let size = max(0, min(count, file.bytes.count - offset))
        file.bytes.withUnsafeBytes { bytes in
            if size > 0, let base = bytes.baseAddress { buffer.copyMemory(from: base + offset, byteCount: size) }
        }
        return size
    }

    public func write(_ descriptor: Int32, _ bytes: [UInt8], _ offset: Int) -> Int {
        guard let file = open[descriptor]?.file else { return Int(failing(EBADF)) }
        if open[descriptor]?.isDirect == true, (offset | bytes.count) % max(1, character.directBlock) != 0 {
            return Int(failing(EINVAL))
        }
        if generator.oneIn(character.writeIsInterrupted) { return Int(failing(EINTR)) }
        if generator.oneIn(character.writeFails) { return Int(failing(EIO)) }
        var count = bytes.count
        if count > 1, generator.oneIn(character.writeIsShort) { count = generator.number(in: 1...count - 1) }
        count = min(count, reserve(file, offset + count) - offset)
        let isCopy = character.copiesOnWrite && offset < file.bytes.count
        if isCopy { count = min(count, free) }
        guard count > 0 || bytes.isEmpty else { return Int(failing(ENOSPC)) }
        if isCopy { file.copied += count }
        apply(file, .write(offset: offset, bytes: count == bytes.count ? bytes : Array(bytes[..<count])))
        return count
    }

    public func append(_ descriptor: Int32, _ bytes: [UInt8]) -> Int {
        guard let position = open[descriptor]?.position else { return Int(failing(EBADF)) }
        let written = write(descriptor, bytes, position)
        if written > 0 { open[descriptor]?.position += written }
        return written
    }

    public func truncate(_ descriptor: Int32, _ size: Int) -> Int32 {
        guard let file = open[descriptor]?.file else { return failing(EBADF) }
        resize(file, size)
        return 0
    }

    /// Result as of `posix_fallocate`.
    public func allocate(_ descriptor: Int32, _ size: Int) -> Int32 {
        guard let file = open[descriptor]?.file else { return EBADF }
        guard reserve(file, size) >= size else { return ENOSPC }
        if size > file.bytes.count { resize(file, size) }
        return 0
    }

    private func resize(_ file: File, _ size: Int) {
        apply(file, .resize(size))
        let blocks = (size + Self.blockSize - 1) / Self.blockSize * Self.blockSize
        if file.allocated > blocks { file.allocated = blocks }
    }

    private func apply(_ file: File, _ change: Change) {
        Self.apply(change, to: &file.bytes)
        file.pending.append(change)
    }

    private static func apply(_ change: Change, to bytes: inout [UInt8]) {
        switch change {
        case .resize(let size):
            if size < bytes.count {
                bytes.removeLast(bytes.count - size)
            } else {
                bytes.append(contentsOf: repeatElement(0, count: size - bytes.count))
            }
        case .write(let offset, let new):
            if offset + new.count > bytes.count {
                bytes.append(contentsOf: repeatElement(0, count: offset + new.count - bytes.count))
            }
            bytes.withUnsafeMutableBytes { bytes in
                new.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: bytes[offset...]).copyMemory(from: $0) }
            }
        }
    }

    /// After a failure the page cache forgets what it still had to write: the next call succeeds, and what was lost is
    /// still read, until the power goes.
    public func synchronize(_ descriptor: Int32) -> Int32 {
        guard let file = open[descriptor]?.file else { return failing(EBADF) }
        file.copied = 0
        if !file.pending.isEmpty, generator.oneIn(character.synchronizeFails) {
            file.durable = survivors(of: file)
            file.pending.removeAll()
            return failing(EIO)
        }
        for change in file.pending { Self.apply(change, to: &file.durable) }
        file.pending.removeAll()
        return 0
    }

    /// Makes durable what a range has, and nothing else. A failure is one of `synchronize`, of this range.
    public func makeDurable(_ descriptor: Int32, _ range: Range<Int>) -> Int32 {
        guard let file = open[descriptor]?.file else { return failing(EBADF) }
        let fails = generator.oneIn(character.synchronizeFails)
        let bytes = fails ? survivors(of: file) : file.bytes
        let found = Array(bytes[range.clamped(to: 0..<bytes.count)])
        Self.apply(.write(offset: range.lowerBound, bytes: found), to: &file.durable)
        file.copied = 0
        file.pending = file.pending.flatMap { Self.without(range, $0) }
        return fails ? failing(EIO) : 0
    }

    /// What a change does outside a range.
    private static func without(_ range: Range<Int>, _ change: Change) -> [Change] {
        guard case .write(let offset, let bytes) = change else { return [change] }
        let own = offset..<offset + bytes.count
        guard own.overlaps(range) else { return [change] }
        return [
            own.lowerBound..<max(range.lowerBound, own.lowerBound),
            min(range.upperBound, own.upperBound)..<own.upperBound,
        ]
        .filter { !$0.isEmpty }
        .map { .write(offset: $0.lowerBound, bytes: Array(bytes[($0.lowerBound - offset)..<($0.upperBound - offset)])) }
    }

    /// A copy of the file's begin.
    public func map(_ descriptor: Int32, _ size: Int) -> UnsafeMutableRawPointer? {
        guard let file = open[descriptor]?.file else { return nil }
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(size, 1), alignment: 4096)
        file.bytes.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { memory.copyMemory(from: base, byteCount: min(size, bytes.count)) }
        }
        return memory
    }

    public func lock(_ descriptor: Int32) -> Int32 {
        guard let file = open[descriptor]?.file else { return failing(EBADF) }
        if let holder = file.holder, holder != descriptor { return failing(EWOULDBLOCK) }
        file.holder = descriptor
        return 0
    }

    public func unlock(_ descriptor: Int32) {
        if let file = open[descriptor]?.file, file.holder == descriptor { file.holder = nil }
    }

    // MARK: Names

    public func rename(_ from: String, _ to: String) -> Int32 {
        guard let file = names.removeValue(forKey: from) else { return failing(ENOENT) }
        names[to] = file
        nameChanges.append(.rename(from: from, to: to, file))
        return 0
    }

    public func remove(_ path: String) -> Int32 {
        guard names.removeValue(forKey: path) != nil else { return failing(ENOENT) }
        nameChanges.append(.remove(path))
        return 0
    }

    public func makeDirectory(_ path: String) -> Int32 {
        if names[path] != nil { return failing(EEXIST) }
        guard hasDirectory(Self.directory(of: path)) else { return failing(ENOENT) }
        let made = File(isDirectory: true)
        names[path] = made
        nameChanges.append(.set(path, made))
        return 0
    }

    public func names(in directory: String) -> [String]? {
        guard hasDirectory(directory) else {
            errno = ENOENT
            return nil
        }
        return names.keys.filter { Self.directory(of: $0) == directory }.map {
            String($0.dropFirst(directory == "/" ? 1 : directory.count + 1))
        }
    }

    public func synchronizeDirectory(_ path: String) -> Int32 {
        guard hasDirectory(path) else { return failing(ENOENT) }
        for change in nameChanges where change.directory == path { Self.apply(change, to: &durableNames) }
        nameChanges.removeAll { $0.directory == path }
        return 0
    }

    private static func apply(_ change: NameChange, to names: inout [String: File]) {
        switch change {
        case .set(let path, let file): names[path] = file
        case .remove(let path): names[path] = nil
        case .rename(let from, let to, let file):
            if names[from] === file { names[from] = nil }
            names[to] = file
        }
    }

    // MARK: Crashes

    /// The process is gone: its descriptors and locks are; what it wrote is still in the page cache.
    public func processEnds() {
        open.removeAll()
        for file in names.values {
            file.holder = nil
            file.copied = 0
        }
    }

    /// The power is gone: what was not synchronized survives in part.
    public func powerEnds() {
        processEnds()
        var left = nameChanges
        if character.namesAreJournalled {
            left.removeLast(left.isEmpty ? 0 : generator.number(in: 0...left.count))
        } else {
            left = left.filter { _ in generator.oneIn(2) }
        }
        for change in left { Self.apply(change, to: &durableNames) }
        // What lies in a directory that is gone is gone too.
        let reached = durableNames
        for path in reached.keys {
            let directory = Self.directory(of: path)
            if directory != "/" && reached[directory] == nil { durableNames[path] = nil }
        }
        nameChanges.removeAll()
        names = durableNames
        for path in names.keys.sorted() {
            guard let file = names[path] else { continue }
            file.bytes = survivors(of: file)
            file.durable = file.bytes
            file.pending.removeAll()
            file.allocated = (file.bytes.count + Self.blockSize - 1) / Self.blockSize * Self.blockSize
        }
    }

    /// What a file would be if the power went now: for each sector, one of the versions that it had since it was
    /// synchronized; for the size the same.
    private func survivors(of file: File) -> [UInt8] {
        guard !file.pending.isEmpty else { return file.durable }
        var result = file.durable
        var lost: Set<Int> = []  // Sectors that take no later version.
        var sizeIsLost = false
        for change in file.pending {
            switch change {
            case .resize:
                if !sizeIsLost, generator.below(100) >= character.sectorsSurvive { sizeIsLost = true }
                if !sizeIsLost { Self.apply(change, to: &result) }
            case .write(let offset, let bytes):
                var start = offset
                while start < offset + bytes.count {
                    let sector = start / Self.sectorSize
                    let end = min((sector + 1) * Self.sectorSize, offset + bytes.count)
                    if !lost.contains(sector), generator.below(100) >= character.sectorsSurvive {
                        lost.insert(sector)
                    }
                    if !lost.contains(sector) && (end <= result.count || !sizeIsLost) {
                        let piece = Array(bytes[(start - offset)..<(end - offset)])
                        Self.apply(.write(offset: start, bytes: piece), to: &result)
                    }
                    start = end
                }
            }
        }
        return result
    }

    // MARK: Damage

    /// Another disk with the same files, all of them durable.
    public func copy(generator: Generator) -> SimulatedDisk {
        let copy = SimulatedDisk(character: Character(), generator: generator)
        for (path, file) in names {
            let new = File(isDirectory: file.isDirectory)
            new.bytes = file.bytes
            new.durable = file.bytes
            new.allocated = file.allocated
            copy.names[path] = new
        }
        copy.durableNames = copy.names
        return copy
    }

    /// Flips a bit of a file, in the page cache and on disk.
    public func flip(_ path: String, byte: Int, bit: Int) {
        guard let file = names[path], byte < file.bytes.count else { return }
        file.bytes[byte] ^= 1 << UInt8(bit)
        if byte < file.durable.count { file.durable[byte] ^= 1 << UInt8(bit) }
    }

    /// The bytes of a file as a program reads them now.
    public func contents(_ path: String) -> [UInt8]? { names[path]?.bytes }

    /// All paths, sorted.
    public var paths: [String] { names.keys.sorted() }
}
