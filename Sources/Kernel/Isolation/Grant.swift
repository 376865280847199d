import PluginAPI

/// One thing that a plugin in a process of its own may do, as a word of `grants:` in the configuration.
///
///     store.read[:RESOURCE]   store.write[:RESOURCE[/MEMBER]]   store.lease
///     events   events.publish[:TOPIC]   events.subscribe[:TOPIC]
///     timers   reconcile   election   metrics   roles   plugins   environment.stop
///     role:ID   api.read[:RESOURCE]   api.write[:RESOURCE[/SUBRESOURCE]]
///     network   exec   capability:NAME   user:root
public enum Grant: Hashable, Sendable {
    case storeRead(String?)
    /// `member`: the one top-level member of stored objects that may differ.
    case storeWrite(String?, member: String?)
    case storeLease
    case events
    case publish(String?)
    case subscribe(String?)
    case timers, reconcile, election, metrics, roles, plugins, stop
    case role(String)
    case apiRead(String?)
    case apiWrite(String?, subresource: String?)
    case network, exec
    case capability(Capability)
    case userRoot

    /// Why a word is no grant.
    public struct Mistake: Error, Sendable, Equatable {
        public let message: String
    }

    /// Words without an argument.
    private static let plain: [String: Grant] = [
        "store.lease": .storeLease, "events": .events, "timers": .timers, "reconcile": .reconcile,
        "election": .election, "metrics": .metrics,
        "roles": .roles, "plugins": .plugins, "environment.stop": .stop, "network": .network, "exec": .exec,
    ]
    /// Words that may or must have one.
    private static let open = [
        "store.read", "store.write", "events.publish", "events.subscribe", "role", "api.read", "api.write",
        "capability",
        "user",
    ]

    public init(parsing text: String) throws(Mistake) {
        let halves = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let word = halves.first ?? ""
        let argument = halves.count == 2 ? halves[1] : nil
        if let grant = Self.plain[word] {
            guard argument == nil else { throw Mistake(message: "\"\(word)\" takes nothing after it") }
            self = grant
            return
        }
        guard Self.open.contains(word) else {
            let known = (Array(Self.plain.keys) + Self.open).sorted()
            throw Mistake(
                message: "\"\(text)\" is no grant; there are \(list(known))" + suggestion(for: word, among: known))
        }
        self = try Self.read(word, argument)
    }

    private static func read(_ word: String, _ argument: String?) throws(Mistake) -> Grant {
        switch word {
        case "store.read": return .storeRead(try resource(argument, word).0)
        case "api.read": return .apiRead(try resource(argument, word).0)
        case "store.write":
            let (resource, member) = try resource(argument, word, part: "MEMBER")
            return .storeWrite(resource, member: member)
        case "api.write":
            let (resource, subresource) = try resource(argument, word, part: "SUBRESOURCE")
            return .apiWrite(resource, subresource: subresource)
        case "events.publish": return .publish(try topic(argument, word))
        case "events.subscribe": return .subscribe(try topic(argument, word))
        case "role":
            guard let argument, isRoleIdentifier(argument) else {
                throw Mistake(message: "\"role\" needs the id of a role after it, such as role:\(HOSTD_SCHEDULER_1)")
            }
            return .role(argument)
        case "capability":
            guard let argument, let capability = Capability(argument) else {
                throw Mistake(
                    message: "\"capability\" needs the name of one after it, such as capability:NET_ADMIN"
                        + suggestion(for: argument ?? "", among: Capability.names))
            }
            return .capability(capability)
        default:
            guard argument == "root" else { throw Mistake(message: "\"user\" can only be user:root") }
            return .userRoot
        }
    }

    /// "RESOURCE" or, where a part is allowed, "RESOURCE/PART".
    private static func resource(
        _ argument: String?, _ word: String, part: String? = nil
    ) throws(Mistake) -> (String?, String?) {
        guard let argument else { return (nil, nil) }
        let parts = argument.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let isName = { (text: String) in
            !text.isEmpty && text.utf8.count <= 253
                && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
        }
        guard parts.count <= (part == nil ? 1 : 2), parts.allSatisfy(isName) else {
            let form = part.map { "\(word):RESOURCE or \(word):RESOURCE/\($0)" } ?? "\(word):RESOURCE"
            throw Mistake(message: "\"\(word):\(argument)\" has not the form \(form), such as \(word):pods")
        }
        return (parts[0], parts.count == 2 ? parts[1] : nil)
    }

    private static func topic(_ argument: String?, _ word: String) throws(Mistake) -> String? {
        guard let argument else { return nil }
        guard !argument.isEmpty, argument.utf8.count <= 256 else {
            throw Mistake(message: "\"\(word):\" needs the name of a topic, such as \(word):\(HOSTD_TOPIC_NETWORK)")
        }
        return argument
    }
}

extension Grant: CustomStringConvertible {
    /// As it is written in the configuration.
    public var description: String {
        switch self {
        case .storeRead(let resource): Self.text("store.read", resource)
        case .storeWrite(let resource, let member): Self.text("store.write", resource, member)
        case .storeLease: "store.lease"
        case .events: "events"
        case .publish(let topic): Self.text("events.publish", topic)
        case .subscribe(let topic): Self.text("events.subscribe", topic)
        case .timers: "timers"
        case .reconcile: "reconcile"
        case .election: "election"
        case .metrics: "metrics"
        case .roles: "roles"
        case .plugins: "plugins"
        case .stop: "environment.stop"
        case .role(let id): "role:\(id)"
        case .apiRead(let resource): Self.text("api.read", resource)
        case .apiWrite(let resource, let subresource): Self.text("api.write", resource, subresource)
        case .network: "network"
        case .exec: "exec"
        case .capability(let capability): "capability:\(capability.name)"
        case .userRoot: "user:root"
        }
    }

    private static func text(_ word: String, _ argument: String?, _ part: String? = nil) -> String {
        word + (argument.map { ":" + $0 } ?? "") + (part.map { "/" + $0 } ?? "")
    }
}
