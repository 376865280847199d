import Glibc
import Objects

/// A failure of the control socket or of a command behind it.
public struct ControlFailure: Error, Sendable, CustomStringConvertible {
    /// HOSTD_ERROR_*, or 0 for a failure of the connection itself.
    public let code: Int32
    public let message: String

    public init(code: Int32 = 0, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}

/// One message on the control socket: four bytes of length, little-endian, then JSON; open files travel with the first
/// byte (SCM_RIGHTS of unix(7)).
public struct ControlMessage: Sendable {
    public static let sizeLimit = 80 << 20
    public static let fileLimit = 4
    /// Length of a `cmsghdr` on 64-bit Linux.
    private static let headerSize = 16
    /// SCM_RIGHTS of <sys/socket.h>, an enumerator there.
    private static let scmRights: Int32 = 1

    public var json: JSON
    /// Owned by whoever received the message.
    public var files: [Int32]

    public init(_ json: JSON, files: [Int32] = []) {
        self.json = json
        self.files = files
    }

    /// Writes the message; blocks. The files stay the caller's.
    public func send(to socket: Int32) throws(ControlFailure) {
        let body = json.serialized()
        guard body.count <= Self.sizeLimit else {
            throw ControlFailure("the message has more than \(Self.sizeLimit) bytes")
        }
        var bytes = withUnsafeBytes(of: UInt32(body.count).littleEndian) { Array($0) }
        bytes += body
        var sent = 0
        while sent < bytes.count {
            let count = Self.transmit(socket, bytes[sent...], files: sent == 0 ? files : [])
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw ControlFailure("the other side is gone: \(errorText(errno))") }
            sent += count
        }
    }

    private static func transmit(_ socket: Int32, _ bytes: ArraySlice<UInt8>, files: [Int32]) -> Int {
        bytes.withUnsafeBytes { content in
            var part = iovec(iov_base: UnsafeMutableRawPointer(mutating: content.baseAddress), iov_len: content.count)
            let control = UnsafeMutableRawBufferPointer.allocate(byteCount: headerSize + fileLimit * 4, alignment: 8)
            defer { control.deallocate() }
            return withUnsafeMutablePointer(to: &part) { part in
                var message = msghdr()
                message.msg_iov = part
                message.msg_iovlen = 1
                if !files.isEmpty {
                    let size = headerSize + files.count * 4
                    var header = cmsghdr()
                    header.cmsg_len = size
                    header.cmsg_level = SOL_SOCKET
                    header.cmsg_type = scmRights
                    control.storeBytes(of: header, as: cmsghdr.self)
                    for (index, file) in files.enumerated() {
                        control.storeBytes(of: file, toByteOffset: headerSize + index * 4, as: Int32.self)
                    }
                    message.msg_control = control.baseAddress
                    message.msg_controllen = (size + 7) / 8 * 8
                }
                return sendmsg(socket, &message, Int32(MSG_NOSIGNAL))
            }
        }
    }

    /// Reads one message; blocks. nil when the other side has closed the connection between messages.
    public static func receive(from socket: Int32, limit: Int = sizeLimit) throws(ControlFailure) -> ControlMessage? {
        var files: [Int32] = []
        do throws(ControlFailure) {
            guard let head = try read(socket, count: 4, files: &files, mayEnd: true) else { return nil }
            let size = head.enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
            guard size <= limit else {
                throw ControlFailure("the message has \(size) bytes; at most \(limit) are taken")
            }
            guard let body = try read(socket, count: size, files: &files, mayEnd: false) else { return nil }
            do { return ControlMessage(try JSON(parsing: body), files: files) } catch {
                throw ControlFailure("the message is not JSON: \(error)")
            }
        } catch {
            for file in files { close(file) }
            throw error
        }
    }

    private static func read(
        _ socket: Int32, count: Int, files: inout [Int32], mayEnd: Bool
    ) throws(ControlFailure) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(min(count, 1 << 20))
        var buffer = [UInt8](repeating: 0, count: min(max(count, 1), 64 << 10))
        while bytes.count < count {
            let received = receivePart(socket, &buffer, most: count - bytes.count, files: &files)
            if received < 0, errno == EINTR { continue }
            if received == 0, bytes.isEmpty, mayEnd { return nil }
            guard received > 0 else {
                let reason = received == 0 ? "in the middle of a message" : ": \(errorText(errno))"
                throw ControlFailure("the connection ended \(reason)")
            }
            bytes += buffer[..<received]
        }
        return bytes
    }

    private static func receivePart(_ socket: Int32, _ buffer: inout [UInt8], most: Int, files: inout [Int32]) -> Int {
        let control = UnsafeMutableRawBufferPointer.allocate(byteCount: headerSize + fileLimit * 4, alignment: 8)
        defer { control.deallocate() }
        return buffer.withUnsafeMutableBytes { content in
            var part = iovec(iov_base: content.baseAddress, iov_len: min(most, content.count))
            return withUnsafeMutablePointer(to: &part) { part in
                var message = msghdr()
                message.msg_iov = part
                message.msg_iovlen = 1
                message.msg_control = control.baseAddress
                message.msg_controllen = control.count
                let count = recvmsg(socket, &message, Int32(MSG_CMSG_CLOEXEC))
                if count >= 0, message.msg_controllen >= headerSize {
                    let header = control.load(as: cmsghdr.self)
                    if header.cmsg_level == SOL_SOCKET, header.cmsg_type == scmRights {
                        for offset in stride(from: headerSize, to: Int(header.cmsg_len), by: 4) {
                            files.append(control.load(fromByteOffset: offset, as: Int32.self))
                        }
                    }
                }
                return count
            }
        }
    }
}
