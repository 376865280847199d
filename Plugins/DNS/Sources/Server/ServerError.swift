import Glibc

/// A system call of the server that failed, with what it was for.
struct ServerError: Error, CustomStringConvertible {
    let code: Int32
    let what: String

    /// Takes errno.
    init(_ what: String) {
        code = errno
        self.what = what
    }

    var description: String { "\(what): \(String(cString: strerror(code)))" }
}
