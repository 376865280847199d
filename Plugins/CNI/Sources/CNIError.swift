import Objects
import PluginAPI
import PluginKit

/// What goes wrong between hostd and CNI plugins.
enum CNIError: Error, CustomStringConvertible, Equatable {
    /// A configuration that cannot be used: where it is, and why.
    case configuration(source: String, reason: String)
    /// No directory has the plugin's program.
    case noProgram(type: String, directories: [String])
    /// The program says why it failed; `code` is of the specification's section 5 or the plugin's own.
    case plugin(type: String, command: String, code: Int64, message: String, details: String)
    /// The program ended without an answer that can be read.
    case noAnswer(type: String, command: String, reason: String)
    case timeout(type: String, command: String, milliseconds: Int64)
    /// The plugin speaks none of the configuration's version.
    case version(type: String, wanted: String, supported: [String])
    /// Success, but without what the network needs.
    case incomplete(network: String, reason: String)

    var description: String {
        switch self {
        case .configuration(let source, let reason): "\(source): \(reason)"
        case .noProgram(let type, let directories):
            "there is no CNI plugin \"\(type)\" in \(directories.joined(separator: ", ")): install it (Debian's package "
                + "is containernetworking-plugins), or name its directory in the option binDirectories"
        case .plugin(let type, let command, let code, let message, let details):
            "CNI plugin \(type), \(command): \(message.isEmpty ? "error \(code)" : message)"
                + (details.isEmpty ? "" : " (\(details))")
        case .noAnswer(let type, let command, let reason): "CNI plugin \(type), \(command): \(reason)"
        case .timeout(let type, let command, let milliseconds):
            "CNI plugin \(type), \(command): not finished after \(milliseconds) ms"
        case .version(let type, let wanted, let supported):
            "CNI plugin \(type) does not speak version \(wanted) of the specification, but "
                + supported.joined(separator: ", ")
        case .incomplete(let network, let reason): "network \(network): \(reason)"
        }
    }

    /// The error that crosses.
    var pluginError: PluginError {
        switch self {
        case .configuration: .invalid(description)
        case .noProgram: .notFound(description)
        case .plugin(_, _, let code, let message, _): Self.pluginError(code, message, description)
        case .noAnswer:
            PluginError(code: HOSTD_ERROR_INTERNAL, message: description, isRetryable: true, retryDelay: 500)
        case .timeout: .deadlineExceeded(description)
        case .version: PluginError(code: HOSTD_ERROR_VERSION, message: description)
        case .incomplete: .notSupported(description)
        }
    }

    /// Codes 1 to 99 are the specification's; of those of plugins' own, host-local's lack of addresses is known by its text.
    private static func pluginError(_ code: Int64, _ message: String, _ description: String) -> PluginError {
        switch code {
        case 1: PluginError(code: HOSTD_ERROR_VERSION, message: description)
        case 2: .notSupported(description)
        case 3: .notFound(description)
        case 4, 6, 7: .invalid(description)
        case 11: .unavailable(description, retryDelay: 500)
        case 50, 51: .unavailable(description, retryDelay: 1000)
        default:
            message.contains("no IP addresses available")
                ? .exhausted(description)
                : PluginError(code: HOSTD_ERROR_INTERNAL, message: description, isRetryable: true, retryDelay: 500)
        }
    }
}
