import Glibc
import Synchronization

@testable import Kernel

/// A file system in memory, so that an input costs no system call. What the store maps is a copy of exactly the file's size:
/// a read beyond it is one beyond allocated memory, which the address sanitizer reports.
final class MemoryFiles: Sendable {
    private struct State {
        var files: [String: [UInt8]] = [:]
        var open: [Int32: String] = [:]
        var next: Int32 = 1000
    }

    private let state = Mutex(State())

    /// Makes a file, or replaces one.
    func put(_ path: String, _ bytes: [UInt8]) { state.withLock { $0.files[path] = bytes } }

    var operations: FileOperations {
        var files = FileOperations.system
        files.open = { path, flags in self.open(path, flags) }
        files.close = { descriptor in self.state.withLock { _ = $0.open.removeValue(forKey: descriptor) } }
        files.size = { descriptor in self.with(descriptor) { $0.count } ?? -1 }
        files.read = { descriptor, buffer, count, offset in
            self.with(descriptor) { bytes in
                let size = max(0, min(count, bytes.count - offset))
                bytes.withUnsafeBytes { if size > 0 { memcpy(buffer, $0.baseAddress! + offset, size) } }
                return size
            } ?? -1
        }
        files.write = { descriptor, vectors, count, offset in
            let vectors = UnsafeBufferPointer(start: vectors, count: Int(count))
            return self.write(
                descriptor, vectors.map { UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len) }, offset)
        }
        files.append = { descriptor, bytes, count in
            let end = self.with(descriptor) { $0.count } ?? 0
            return self.write(descriptor, [UnsafeRawBufferPointer(start: bytes, count: count)], end)
        }
        files.truncate = { descriptor, size in self.resize(descriptor, to: size) }
        files.allocate = { descriptor, size in
            self.with(descriptor) { $0.count }.map { $0 < size } == true ? self.resize(descriptor, to: size) : 0
        }
        files.synchronize = { _ in 0 }
        files.map = { descriptor, size in
            self.with(descriptor) { bytes in
                let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 4096)
                bytes.withUnsafeBytes { memory.copyMemory(from: $0.baseAddress!, byteCount: size) }
                return memory
            }
        }
        files.unmap = { memory, _ in memory.deallocate() }
        files.lock = { _ in 0 }
        files.unlock = { _ in }
        files.rename = { from, to in
            self.state.withLock { state in
                guard let bytes = state.files.removeValue(forKey: from) else { return -1 }
                state.files[to] = bytes
                for (descriptor, path) in state.open where path == from { state.open[descriptor] = to }
                return 0
            }
        }
        files.remove = { path in self.state.withLock { $0.files.removeValue(forKey: path) == nil ? -1 : 0 } }
        files.makeDirectory = { _ in 0 }
        files.names = { directory in
            self.state.withLock { state in
                state.files.keys.filter { $0.hasPrefix(directory + "/") }.map {
                    String($0.dropFirst(directory.count + 1))
                }
            }
        }
        files.synchronizeDirectory = { _ in 0 }
        files.freeSpace = { _ in 1 << 40 }
        return files
    }

    private func open(_ path: String, _ flags: Int32) -> Int32 {
        state.withLock { state in
            if state.files[path] == nil {
                guard flags & O_CREAT != 0 else {
                    errno = ENOENT
                    return -1
                }
                state.files[path] = []
            }
            if flags & O_TRUNC != 0 { state.files[path] = [] }
            state.next += 1
            state.open[state.next] = path
            return state.next
        }
    }

    private func with<Result>(_ descriptor: Int32, _ body: (borrowing [UInt8]) -> Result) -> Result? {
        state.withLock { state in
            guard let path = state.open[descriptor], let bytes = state.files[path] else { return nil }
            return body(bytes)
        }
    }

    private func write(_ descriptor: Int32, _ pieces: [UnsafeRawBufferPointer], _ offset: Int) -> Int {
        state.withLock { state in
            guard let path = state.open[descriptor] else { return -1 }
            let size = pieces.reduce(0) { $0 + $1.count }
            var bytes = state.files.removeValue(forKey: path) ?? []
            if bytes.count < offset + size { bytes += [UInt8](repeating: 0, count: offset + size - bytes.count) }
            var position = offset
            for piece in pieces {
                bytes.replaceSubrange(position..<(position + piece.count), with: piece)
                position += piece.count
            }
            state.files[path] = bytes
            return size
        }
    }

    private func resize(_ descriptor: Int32, to size: Int) -> Int32 {
        state.withLock { state in
            guard let path = state.open[descriptor], var bytes = state.files[path] else { return -1 }
            bytes = Array(bytes.prefix(size)) + [UInt8](repeating: 0, count: max(0, size - bytes.count))
            state.files[path] = bytes
            return 0
        }
    }
}
