import Glibc

/// Addresses of the control socket, `control.sock` in the data directory. It is reached through a descriptor of that
/// directory, so that the 107 bytes of a socket address do not limit the path.
enum ControlSocket {
    static let name = "control.sock"

    /// A listening socket that root and the owner alone may open. An old one is replaced: the caller holds the lock.
    static func listen(in directory: String) throws(ControlFailure) -> Int32 {
        let socket = try make()
        do throws(ControlFailure) {
            _ = unlink("\(directory)/\(name)")
            let mask = umask(0o177)
            defer { umask(mask) }
            try with(directory) { address, size in
                bind(socket, address, size)
            } failed: {
                "cannot make \(directory)/\(name): \($0)"
            }
            guard Glibc.listen(socket, 16) == 0 else {
                throw ControlFailure("cannot listen on \(directory)/\(name): \(errorText(errno))")
            }
            return socket
        } catch {
            close(socket)
            throw error
        }
    }

    /// A connection to the hostd that uses the data directory.
    static func connect(to directory: String) throws(ControlFailure) -> Int32 {
        let socket = try make()
        do throws(ControlFailure) {
            try with(directory) { address, size in
                Glibc.connect(socket, address, size)
            } failed: { reason in
                "no hostd answers on \(directory)/\(name) (\(reason)): start it, or name its data directory with --data or HOSTD_DATA"
            }
            return socket
        } catch {
            close(socket)
            throw error
        }
    }

    private static func make() throws(ControlFailure) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw ControlFailure("cannot make a socket: \(errorText(errno))") }
        return descriptor
    }

    private static func with(
        _ directory: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32, failed: (String) -> String
    ) throws(ControlFailure) {
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ControlFailure(failed(errorText(errno))) }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: "/proc/self/fd/\(descriptor)/\(name)".utf8) }
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0 else { throw ControlFailure(failed(errorText(errno))) }
    }
}
