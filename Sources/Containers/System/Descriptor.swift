import CRuntime
import Glibc
import PluginKit

/// An open file descriptor that closes with its last reference.
package final class Descriptor: Sendable {
    package let number: Int32

    /// Takes over `number`.
    package init(taking number: Int32) { self.number = number }

    /// Takes over the result of a call that just ran, or throws what errno says about it.
    package convenience init(_ number: Int32, _ action: String, _ path: String) throws(PluginError) {
        if number < 0 { throw .system(action, path, errno: errno) }
        self.init(taking: number)
    }

    package convenience init(opening path: String, _ flags: Int32, mode: mode_t = 0) throws(PluginError) {
        try self.init(open(path, flags | O_CLOEXEC, mode), "open", path)
    }

    deinit { close(number) }
}

/// The two ends of a pipe or socket pair.
package struct DescriptorPair {
    package let first: Descriptor
    package let second: Descriptor

    /// A pipe: `first` reads, `second` writes.
    package static func pipe() throws(PluginError) -> DescriptorPair {
        var ends: [Int32] = [-1, -1]
        if runtime_pipe(&ends) != 0 { throw .system("make", "a pipe", errno: errno) }
        return DescriptorPair(first: Descriptor(taking: ends[0]), second: Descriptor(taking: ends[1]))
    }

    /// Two connected sockets that keep message boundaries.
    package static func sequencedSockets() throws(PluginError) -> DescriptorPair {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        if socketpair(AF_UNIX, type, 0, &ends) != 0 { throw .system("make", "a socket pair", errno: errno) }
        return DescriptorPair(first: Descriptor(taking: ends[0]), second: Descriptor(taking: ends[1]))
    }
}

/// A small text file of the kernel or of a state directory, up to 64 KiB; nil when it does not exist, or what it tells of, a process
/// or a cgroup, ends meanwhile.
package func readSmallFile(_ path: String) throws(PluginError) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 {
        if errno == ENOENT || errno == ESRCH { return nil }
        throw .system("open", path, errno: errno)
    }
    defer { close(descriptor) }
    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while content.count < 65_536 {
        let count = read(descriptor, &chunk, chunk.count)
        if count < 0 {
            if errno == EINTR { continue }
            if errno == ESRCH || errno == ENODEV { return nil }
            throw .system("read", path, errno: errno)
        }
        if count == 0 { break }
        content += chunk[0..<count]
    }
    return String(decoding: content, as: UTF8.self)
}

/// Lower-case hexadecimal of `count` random bytes.
package func randomIdentifier(bytes count: Int) -> String {
    var generator = SystemRandomNumberGenerator()
    var text = ""
    for _ in 0..<count {
        let byte = UInt8.random(in: 0...255, using: &generator)
        text += String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
    }
    return text
}
