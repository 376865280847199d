import Glibc
import PluginAPI

extension PluginError {
    /// A failed system call as a sentence: what was tried, on what, why it failed; the code follows errno.
    /// - Parameter code: errno, read before anything else can change it.
    public static func system(_ action: String, _ path: String, errno code: Int32) -> PluginError {
        let reason = String(cString: strerror(code))
        let message = "cannot \(action) \(path): \(reason)"
        switch code {
        case ENOENT: return .notFound(message)
        case EEXIST: return .alreadyExists(message)
        case EACCES, EPERM:
            return .forbidden("\(message); run as root, or give the process the capability that this needs")
        case ENOSPC, EDQUOT: return .noSpace("\(message); free space on the file system that holds it")
        case EMFILE, ENFILE, ENOMEM: return .exhausted(message)
        default: return .internal(message)
        }
    }
}
