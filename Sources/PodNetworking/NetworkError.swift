/// What goes wrong in the network plugin besides the kernel's refusals (`NetlinkError`, `BPFError`).
package enum NetworkError: Error, CustomStringConvertible, Equatable {
    /// A request that can never be right: the member and why.
    case invalid(String)
    /// All addresses of the range are given away.
    case exhausted(range: IPv4Range, used: Int)
    /// An interface of the bridge's name is something else.
    case notABridge(String)
    /// A sandbox's network namespace is the host's own.
    case hostNamespace(String)
    /// An attachment is not known.
    case unknownSandbox(String)
    /// A sandbox is just being detached.
    case leaving(String)
    /// An attachment is not as attach left it.
    case damaged(sandbox: String, reason: String)
    /// A sandbox is attached under another interface name or namespace.
    case attachedDifferently(sandbox: String, reason: String)
    /// Another pod has a port of the host.
    case portTaken(UInt16, Transport, by: String)
    /// A missing privilege or kernel feature; names the remedy.
    case missing(String)
    /// A file of the plugin's own that cannot be read or written.
    case file(path: String, reason: String)

    package var description: String {
        switch self {
        case .invalid(let reason): reason
        case .exhausted(let range, let used):
            "no free pod address: all \(used) of \(range) are in use; widen podRange or remove pods"
        case .notABridge(let name):
            "the interface \(name) exists and is not a bridge; remove it or set the option bridge to another name"
        case .hostNamespace(let path): "the network namespace \(path) is the host's own; a pod needs one of its own"
        case .unknownSandbox(let sandbox): "sandbox \(sandbox) has no attachment"
        case .leaving(let sandbox): "sandbox \(sandbox) is being detached; try again"
        case .damaged(let sandbox, let reason): "the attachment of sandbox \(sandbox) is damaged: \(reason)"
        case .attachedDifferently(let sandbox, let reason):
            "sandbox \(sandbox) is attached already, but \(reason); detach it first"
        case .portTaken(let port, let transport, let sandbox):
            "host port \(port)/\(transport.name) belongs to sandbox \(sandbox) already"
        case .missing(let what): what
        case .file(let path, let reason): "\(path): \(reason)"
        }
    }
}
