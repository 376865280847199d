import PluginAPI

/// What a plugin is granted, and the decisions that follow from it. Pure.
public struct GrantPolicy: Sendable, Equatable {
    public let grants: Set<Grant>

    public init(_ grants: some Sequence<Grant>) { self.grants = Set(grants) }

    /// A call that nothing allows: what was tried, and the smallest grant that would allow it.
    struct Refusal: Error, Equatable {
        let action: String
        let missing: Grant

        /// One sentence for the caller.
        func message(plugin: String) -> String {
            "the plugin \(plugin) may not \(action): add \(missing) to its `grants` in the configuration"
        }
    }

    /// How far a write to a resource may go.
    enum WriteScope: Equatable {
        case whole
        /// Only these top-level members of objects that exist.
        case members(Set<String>)
    }

    private func has(_ candidates: Grant...) -> Bool { candidates.contains(where: grants.contains) }

    // MARK: The store

    /// Reading of one resource; nil stands for all of them.
    func checkStoreRead(_ resource: String?) throws(Refusal) {
        if has(.storeRead(nil)) { return }
        if let resource, has(.storeRead(resource)) { return }
        throw Refusal(
            action: resource.map { "read \($0) from the store" } ?? "read everything from the store",
            missing: .storeRead(resource))
    }

    /// Learning whether a key exists and when it was written: whoever reads or writes the resource.
    func checkStoreLook(_ resource: String) throws(Refusal) {
        if has(.storeRead(nil), .storeRead(resource)) || writeScope(resource) != nil { return }
        throw Refusal(action: "look at \(resource) in the store", missing: .storeRead(resource))
    }

    func writeScope(_ resource: String) -> WriteScope? {
        if has(.storeWrite(nil, member: nil), .storeWrite(resource, member: nil)) { return .whole }
        var members: Set<String> = []
        for grant in grants {
            if case .storeWrite(resource, .some(let member)) = grant { members.insert(member) }
        }
        return members.isEmpty ? nil : .members(members)
    }

    /// Creation and deletion of objects of a resource.
    func checkStoreWhole(_ resource: String, _ verb: String) throws(Refusal) {
        if writeScope(resource) == .whole { return }
        throw Refusal(action: "\(verb) \(resource) in the store", missing: .storeWrite(resource, member: nil))
    }

    /// A change of an object; what it may differ in.
    func checkStoreUpdate(_ resource: String) throws(Refusal) -> WriteScope {
        if let scope = writeScope(resource) { return scope }
        throw Refusal(action: "change \(resource) in the store", missing: .storeWrite(resource, member: nil))
    }

    func checkLease() throws(Refusal) {
        if !has(.storeLease) { throw Refusal(action: "use leases of the store", missing: .storeLease) }
    }

    func checkStoreUpkeep(_ verb: String) throws(Refusal) {
        if !has(.storeWrite(nil, member: nil)) {
            throw Refusal(action: "\(verb) the store", missing: .storeWrite(nil, member: nil))
        }
    }

    // MARK: Services

    func checkPublish(_ topic: String) throws(Refusal) {
        if has(.events, .publish(nil), .publish(topic)) { return }
        throw Refusal(action: "publish on the topic \(topic)", missing: .publish(topic))
    }

    func checkSubscribe(_ topic: String) throws(Refusal) {
        if has(.events, .subscribe(nil), .subscribe(topic)) { return }
        throw Refusal(action: "subscribe to the topic \(topic)", missing: .subscribe(topic))
    }

    func checkStop() throws(Refusal) {
        if !has(.stop) { throw Refusal(action: "stop hostd", missing: .stop) }
    }

    /// The table of a role, or of one provider of it, without any look at what is called.
    func checkRole(_ id: String) throws(Refusal) {
        if !has(.role(id)) { throw Refusal(action: "call \(id)", missing: .role(id)) }
    }

    // MARK: The API

    /// A request to hostd.api/1.
    func checkRequest(_ request: APIRequestScope) throws(Refusal) {
        if has(.role(HOSTD_API_1)) { return }
        switch request {
        case .read(let resource):
            if has(.apiRead(nil)) { return }
            if let resource, has(.apiRead(resource)) { return }
            throw Refusal(
                action: "read \(resource ?? "that path") through the API", missing: .apiRead(resource))
        case .write(let resource, let subresource):
            if has(.apiWrite(nil, subresource: nil)) { return }
            if let resource, has(.apiWrite(resource, subresource: nil)) { return }
            if let resource, let subresource, has(.apiWrite(resource, subresource: subresource)) { return }
            let what = [resource ?? "that path", subresource].compactMap { $0 }.joined(separator: "/")
            throw Refusal(
                action: "write \(what) through the API", missing: .apiWrite(resource, subresource: subresource))
        }
    }

    // MARK: Interfaces

    /// How an interface is offered to the plugin.
    enum Offer: Equatable {
        /// As it is.
        case open
        /// Behind a gate that looks at each call.
        case gated
        case refused(Refusal)
    }

    func offer(of id: String) -> Offer {
        if grants.contains(.role(id)) { return .open }
        switch id {
        case HOSTD_LOG_1: return .open
        case HOSTD_ENVIRONMENT_1: return .gated
        case HOSTD_STORE_1: return gated(.storeRead(nil), "use the store") { $0.isOfStore }
        case HOSTD_API_1: return gated(.apiRead(nil), "use the API") { $0.isOfAPI }
        case HOSTD_EVENTS_1: return gated(.events, "use events") { $0.isOfEvents }
        case HOSTD_TIMERS_1: return gated(.timers, "use timers") { $0 == .timers }
        case HOSTD_RECONCILE_1: return gated(.reconcile, "use work queues") { $0 == .reconcile }
        case HOSTD_ELECTION_1: return gated(.election, "stand for election") { $0 == .election }
        case HOSTD_METRICS_1: return gated(.metrics, "use metrics") { $0 == .metrics }
        case HOSTD_ROLES_1: return gated(.roles, "look at roles") { $0 == .roles }
        case HOSTD_PLUGINS_1: return gated(.plugins, "look at or swap plugins") { $0 == .plugins }
        default: return .refused(Refusal(action: "call \(id)", missing: .role(id)))
        }
    }

    private func gated(_ missing: Grant, _ action: String, _ opens: (Grant) -> Bool) -> Offer {
        grants.contains(where: opens) ? .gated : .refused(Refusal(action: action, missing: missing))
    }

    /// Capabilities that the process keeps.
    var capabilities: UInt64 {
        grants.reduce(0) { bits, grant in
            if case .capability(let capability) = grant { bits | capability.bit } else { bits }
        }
    }
}

extension Grant {
    fileprivate var isOfStore: Bool {
        switch self {
        case .storeRead, .storeWrite, .storeLease: true
        default: false
        }
    }

    fileprivate var isOfAPI: Bool {
        switch self {
        case .apiRead, .apiWrite: true
        default: false
        }
    }

    fileprivate var isOfEvents: Bool {
        switch self {
        case .events, .publish, .subscribe: true
        default: false
        }
    }
}
