import Glibc

/// Why the server could not start or a connection could not go on.
enum HTTPServerError: Error, Sendable, CustomStringConvertible {
    /// A system call failed; `detail` says at what.
    case system(call: String, code: Int32, detail: String)
    /// The listening address is taken.
    case addressInUse(address: String)
    /// The listening address is not one of this machine's, or may not be used.
    case addressUnavailable(address: String, code: Int32)
    case invalidAddress(String)
    /// OpenSSL refused; its own words follow.
    case tls(String)

    /// What is wrong, without a remedy.
    var cause: String {
        switch self {
        case .addressInUse(let address): "\(address) is in use by another process"
        case .addressUnavailable(let address, let code): "\(address): \(String(cString: strerror(code)))"
        case .system, .invalidAddress, .tls: description
        }
    }

    var description: String {
        switch self {
        case .system(let call, let code, let detail):
            "\(call) failed for \(detail): \(String(cString: strerror(code)))"
        case .addressInUse(let address):
            "cannot listen on \(address): the port is in use by another process; stop it, or choose another port "
                + "with --listen ADDRESS:PORT"
        case .addressUnavailable(let address, let code):
            "cannot listen on \(address): \(String(cString: strerror(code))); choose an address of this machine with "
                + "--listen ADDRESS:PORT"
        case .invalidAddress(let text):
            "\(text) is no ADDRESS:PORT; write for instance 127.0.0.1:6443 or [::1]:6443"
        case .tls(let message):
            "TLS: \(message)"
        }
    }
}
