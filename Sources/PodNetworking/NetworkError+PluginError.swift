import Glibc
import PluginAPI
import PluginKit

extension NetworkError {
    /// The error that crosses for what went wrong inside a network plugin.
    package static func pluginError(_ error: any Error) -> PluginError {
        switch error {
        case let error as PluginError: error
        case let error as NetworkError: error.pluginError
        case let error as NetlinkError:
            switch error.code {
            case EPERM: .forbidden("\(error): hostd needs CAP_NET_ADMIN and CAP_SYS_ADMIN; run it as root")
            case ENOENT: .notFound("\(error)")
            default: PluginError(code: HOSTD_ERROR_INTERNAL, message: "\(error)", isRetryable: true, retryDelay: 500)
            }
        default: .internal("\(error)")
        }
    }

    private var pluginError: PluginError {
        switch self {
        case .invalid, .hostNamespace: .invalid(description)
        case .exhausted: .exhausted(description)
        case .unknownSandbox: .notFound(description)
        case .attachedDifferently, .portTaken: .conflict(description)
        case .leaving: .unavailable(description)
        case .notABridge, .damaged: .internal(description)
        case .missing: .notSupported(description)
        case .file(_, let reason): reason.contains("space left") ? .noSpace(description) : .internal(description)
        }
    }
}
