import CPluginCheck
import PluginAPI

/// Buffers that the plugin handed out and that are held for some calls more: what is in them must not change until they
/// are released, by whichever thread.
final class OwnedBuffers {
    private struct Held {
        let buffer: hostd_buffer
        let hash: UInt64
        let origin: String
    }

    private var held: [Held] = []
    private var released = 0
    private static let limit = 16

    /// Judges a buffer, keeps it, and gives back a copy of its bytes. `breach` is told of what is wrong.
    func take(_ buffer: hostd_buffer, origin: String, _ breach: (String) -> Void) -> [UInt8] {
        guard buffer.data != nil || buffer.size == 0 else {
            breach("it handed out a buffer that is NULL with a size of \(buffer.size)")
            return []
        }
        guard buffer.size < 1 << 30 else {
            breach("it handed out a buffer of \(buffer.size) bytes")
            return []
        }
        let bytes = Array(UnsafeBufferPointer(start: buffer.data, count: Int(buffer.size)))
        held.append(Held(buffer: buffer, hash: check_hash(buffer.data, buffer.size), origin: origin))
        while held.count > Self.limit { releaseFirst(breach) }
        return bytes
    }

    func releaseAll(_ breach: (String) -> Void) {
        while !held.isEmpty { releaseFirst(breach) }
    }

    private func releaseFirst(_ breach: (String) -> Void) {
        let first = held.removeFirst()
        if check_hash(first.buffer.data, first.buffer.size) != first.hash {
            breach("the bytes that \(first.origin) handed out changed before they were released")
        }
        guard let release = first.buffer.release else { return }
        released += 1
        // Any thread may release: now and then it is another one.
        guard released % 8 == 0 else { return release(first.buffer.context) }
        withUnsafePointer(to: first.buffer) { pointer in
            check_in_threads(
                1,
                { context, _ in
                    guard let buffer = context?.assumingMemoryBound(to: hostd_buffer.self).pointee else { return }
                    buffer.release?(buffer.context)
                }, UnsafeMutableRawPointer(mutating: pointer))
        }
    }
}
