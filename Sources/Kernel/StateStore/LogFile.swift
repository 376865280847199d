import CStateStore
import Glibc
import PluginAPI

/// A segment that is written to. What is appended goes past the page cache, in whole blocks, where the file system can do that
/// (O_DIRECT of open(2)): the log is read only by a restart, so a copy of it in memory would serve nobody, and the disk
/// takes a batch of twenty writes in a tenth less time. Elsewhere it is written as any file.
///
/// The block in which an append ends is written again by the next one, with the same bytes before it and, behind it, zeros
/// until then. Used by one thread at a time.
final class LogFile: @unchecked Sendable {  // See above; only the thread that has the batch touches it.
    private static let blockSize = 4096
    /// What one call writes at most.
    private static let pieceSize = 256 << 10

    private let file: StoreFile
    private let size: Int
    /// The same file past the page cache; nil when that is not possible.
    private var direct: StoreFile?
    private var piece: UnsafeMutableRawBufferPointer?
    /// Of the block that is in the beginning of `piece`, as it is on disk; nil when there is none.
    private var heldBlock: Int?

    var path: String { file.path }

    /// Opens a segment of `directory` that is there, and has `size` bytes.
    init(_ name: String, size: Int, in directory: StoreDirectory) throws(StoreError) {
        file = try directory.open(name, flags: O_RDWR)
        self.size = size
        do throws(StoreError) {
            direct = try directory.open(name, flags: O_RDWR | FileOperations.direct)
        } catch {
            // Not every file system has it (EINVAL); what else is wrong, the first write says.
            direct = nil
        }
    }

    deinit { piece?.deallocate() }

    // MARK: Appending

    /// Writes all of `vectors` from `offset` on. Behind them, in the same block, are zeros afterwards. Returns whether all that was
    /// ever appended is durable, which it may be only when that is asked; else `synchronize` makes it so. [blocking]
    func append(_ vectors: inout [iovec], at offset: Int, durably: Bool = false) throws(StoreError) -> Bool {
        let end = vectors.reduce(offset) { $0 + $1.iov_len }
        guard direct != nil, Self.blockEnd(end) <= size else {
            try file.write(&vectors, at: offset)
            return false
        }
        let piece = self.piece ?? .allocate(byteCount: Self.pieceSize, alignment: Self.blockSize)
        self.piece = piece
        var start = offset & ~(Self.blockSize - 1)
        try hold(start, upTo: offset - start, in: piece)
        heldBlock = nil
        var filled = planted(.blockBeginsWithZeros) ? zeroed(offset - start, in: piece) : offset - start
        for vector in vectors {
            var source = UnsafeRawBufferPointer(start: vector.iov_base, count: vector.iov_len)
            while !source.isEmpty {
                let part = UnsafeRawBufferPointer(rebasing: source.prefix(piece.count - filled))
                UnsafeMutableRawBufferPointer(rebasing: piece[filled...]).copyMemory(from: part)
                filled += part.count
                source = UnsafeRawBufferPointer(rebasing: source[part.count...])
                guard filled == piece.count else { continue }
                _ = try writeBlocks(UnsafeRawBufferPointer(piece), at: start, durably: false)
                start += filled
                filled = 0
            }
        }
        guard filled > 0 else { return false }
        let whole = Self.blockEnd(filled)
        UnsafeMutableRawBufferPointer(rebasing: piece[filled..<whole]).initializeMemory(as: UInt8.self, repeating: 0)
        let isDurable = try writeBlocks(UnsafeRawBufferPointer(rebasing: piece[..<whole]), at: start, durably: durably)
        let last = filled & ~(Self.blockSize - 1)
        if last > 0, filled > last {
            piece.baseAddress?.copyMemory(from: piece.baseAddress! + last, byteCount: filled - last)
        }
        heldBlock = filled > last ? start + last : nil
        return isDurable
    }

    private static func blockEnd(_ offset: Int) -> Int { (offset + blockSize - 1) & ~(blockSize - 1) }

    private func zeroed(_ count: Int, in piece: UnsafeMutableRawBufferPointer) -> Int {
        UnsafeMutableRawBufferPointer(rebasing: piece[..<count]).initializeMemory(as: UInt8.self, repeating: 0)
        return count
    }

    /// Has the first `count` bytes of a block in the beginning of `piece`.
    private func hold(_ block: Int, upTo count: Int, in piece: UnsafeMutableRawBufferPointer) throws(StoreError) {
        guard count > 0, heldBlock != block, let base = piece.baseAddress else { return }
        var found = 0
        while found < count {
            let more = try file.read(into: base + found, count: count - found, at: block + found)
            guard more > 0 else { throw fileError("read", path, EIO) }
            found += more
        }
    }

    /// Writes whole blocks; whether they are durable. A device that wants other blocks than these says so (EINVAL): then it is
    /// done the usual way from there on.
    private func writeBlocks(
        _ blocks: UnsafeRawBufferPointer, at offset: Int, durably: Bool
    ) throws(StoreError) -> Bool {
        var written = 0
        if let direct {
            switch try direct.writeBlocks(blocks, at: offset, durably: durably) {
            case .written(let isDurable): return isDurable
            case .refused(let before): written = before
            }
            self.direct = nil
        }
        try file.write(UnsafeRawBufferPointer(rebasing: blocks[written...]), at: offset + written)
        return false
    }

    // MARK: The file as a whole

    /// Writes bytes the usual way. [blocking]
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StoreError) {
        heldBlock = nil
        try file.write(bytes, at: offset)
    }

    /// Writes zeros over a range, a megabyte at a time. [blocking]
    func erase(from start: Int, to end: Int) throws(StoreError) {
        heldBlock = nil
        let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: Self.blockSize)
        zeros.initializeMemory(as: UInt8.self, repeating: 0)
        defer { zeros.deallocate() }
        let isWhole = (start | end) & (Self.blockSize - 1) == 0
        var offset = start
        while offset < end {
            let part = UnsafeRawBufferPointer(rebasing: zeros.prefix(end - offset))
            if isWhole {
                _ = try writeBlocks(part, at: offset, durably: false)
            } else {
                try file.write(part, at: offset)
            }
            offset += part.count
        }
    }

    /// Makes what was written durable. [blocking]
    func synchronize() throws(StoreError) { try (direct ?? file).synchronize() }
}
