import Objects
import PluginAPI

/// Role hostd.network/1 in Swift; the messages are described in hostd/roles/network.h.
public protocol NetworkProvider: AnyObject, Sendable {
    /// {} → {name, version, ready, reason, podRange, nodeAddresses: […], bridge, routing: "ebpf"|…, features}
    func status(_ request: JSON, deadline: UInt64) throws -> JSON
    /// Attachment → Result. Idempotent: the same sandbox gets the same result. RESOURCE_EXHAUSTED without addresses. [<=10ms]
    func attach(_ request: JSON, deadline: UInt64) throws -> JSON
    /// Attachment → {}. Fails when the link or the address is not as attach left it.
    func check(_ request: JSON, deadline: UInt64) throws -> JSON
    /// Attachment → {}. Frees the address; what is gone already is success.
    func detach(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {validSandboxIDs: […]} → {removed: […]}. Detaches everything else.
    func collectGarbage(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {full?: bool, services: [Service], removed?: [{namespace, name}]} → {}. Adds or replaces; with `full` all others go.
    /// A service without endpoints refuses connections. Cost grows with what is given, not with what exists.
    func servicesSet(_ request: JSON, deadline: UInt64) throws -> JSON
    /// {full?: bool, policies: [NetworkPolicy as JSON], removed?: […]} → {}. NOT_SUPPORTED without enforcement.
    func policiesSet(_ request: JSON, deadline: UInt64) throws -> JSON
    /// PolicyRules → {}. All or nothing; NOT_SUPPORTED without enforcement, WRONG_STATE when it needs everything first.
    func policyRulesSet(_ request: JSON, deadline: UInt64) throws -> JSON
}

extension NetworkProvider {
    /// Networks without enforcement need not say so.
    public func policyRulesSet(_ request: JSON, deadline: UInt64) throws -> JSON {
        throw PluginError.notSupported("this network does not enforce network policies")
    }
}

extension RoleTable {
    /// The C table of a provider of hostd.network/1. It keeps the provider alive until `release`:
    /// make it once per plugin instance.
    public static func network(_ implementation: any NetworkProvider) -> UnsafePointer<hostd_interface> {
        let table = allocate(
            hostd_network_1.self, id: HOSTD_NETWORK_1, slots: HOSTD_NETWORK_1_SLOTS,
            box: ProviderBox<any NetworkProvider>(implementation))
        table.pointee.status = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any NetworkProvider, request) in
                try it.status(request, deadline: deadline)
            }
        }
        table.pointee.attach = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any NetworkProvider, request) in
                try it.attach(request, deadline: deadline)
            }
        }
        table.pointee.check = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any NetworkProvider, request) in
                try it.check(request, deadline: deadline)
            }
        }
        table.pointee.detach = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any NetworkProvider, request) in
                try it.detach(request, deadline: deadline)
            }
        }
        table.pointee.collect_garbage = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any NetworkProvider, request) in
                try it.collectGarbage(request, deadline: deadline)
            }
        }
        table.pointee.services_set = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any NetworkProvider, request) in
                try it.servicesSet(request, deadline: deadline)
            }
        }
        table.pointee.policies_set = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any NetworkProvider, request) in
                try it.policiesSet(request, deadline: deadline)
            }
        }
        table.pointee.policy_rules_set = { this, deadline, data, size, response, error in
            answerJSON(this, data, size, response, error) { (it: any NetworkProvider, request) in
                try it.policyRulesSet(request, deadline: deadline)
            }
        }
        return finish(table)
    }
}

/// The consumer's side of NetworkProvider: each call goes through the host to whoever provides the role at that moment.
public final class NetworkClient: NetworkProvider, @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_network_1>
    private var this: UnsafeMutableRawPointer? { table.pointee.interface.`self` }

    public init(_ table: UnsafePointer<hostd_network_1>) { self.table = table }

    public convenience init(_ host: Host) throws(PluginError) {
        self.init(try host.table(HOSTD_NETWORK_1, as: hostd_network_1.self, least: Self.leastSize))
    }

    /// The slots of the first revision, which every host has.
    private static let leastSize = MemoryLayout<hostd_network_1>.offset(of: \.policy_rules_set) ?? 0

    /// One named provider of the role, where several plugins provide it.
    public convenience init(_ host: Host, plugin: String) throws(PluginError) {
        self.init(try host.roles().provider(of: HOSTD_NETWORK_1, plugin: plugin, as: hostd_network_1.self))
    }

    public func status(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.status, this, request, deadline)
    }
    public func attach(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.attach, this, request, deadline)
    }
    public func check(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.check, this, request, deadline)
    }
    public func detach(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.detach, this, request, deadline)
    }
    public func collectGarbage(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.collect_garbage, this, request, deadline)
    }
    public func servicesSet(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.services_set, this, request, deadline)
    }
    public func policiesSet(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        try callJSON(table.pointee.policies_set, this, request, deadline)
    }
    public func policyRulesSet(_ request: JSON, deadline: UInt64 = 0) throws -> JSON {
        guard Int(table.pointee.interface.struct_size) > Self.leastSize else {
            throw PluginError.notSupported("\(HOSTD_NETWORK_1): the table is of a revision without policy_rules_set")
        }
        return try callJSON(table.pointee.policy_rules_set, this, request, deadline)
    }
}
