import Objects
import PluginAPI
import PluginKit
import Synchronization

/// A network that keeps the book of addresses: each sandbox gets one address of a range, for as long as it lives, also
/// across restarts.
///
/// It makes no links. A network that does makes them in `attach`, where the address is known and the sandbox's namespace is
/// `networkNamespace` of the request, and takes them away in `detach`.
final class @MODULE@: Plugin, NetworkProvider {
    static let description = PluginDescription(
        name: "@NAME@", version: "1.0.0", summary: "Gives pods addresses.", provides: [HOSTD_NETWORK_1])
    static let optionsSchema = """
        {"type":"object","properties":{"range":{"type":"string","default":"10.200.0.0/24","pattern":"^[0-9.]+/[0-9]+$",
        "description":"The IPv4 range of pods, /8 to /29; its first address is the gateway."}}}
        """

    private struct State {
        var book = Book(path: "")
        var range = AddressRange(first: 0, prefix: 24)
        /// The address of each sandbox, as an offset into the range.
        var attachments: [String: UInt32] = [:]
    }

    private let state = Mutex(State())  // Slots are called from any thread.
    private let table = ProvidedTable()

    init(host: Host) {}

    func configure(_ configuration: PluginConfiguration) throws {
        guard let range = AddressRange(configuration.options["range"].stringValue ?? "10.200.0.0/24") else {
            throw PluginError.invalid("range must be an IPv4 range, /8 to /29, such as 10.200.0.0/24")
        }
        state.withLock { $0 = State(book: Book(path: "\(configuration.pluginDirectory)/addresses.json"), range: range) }
    }

    func activate() throws {
        try state.withLock { state in
            for saved in try state.book.read()["attachments"].arrayValue {
                guard let id = saved["sandboxID"].stringValue, let offset = saved["offset"].integerValue else {
                    continue
                }
                state.attachments[id] = UInt32(exactly: offset)
            }
        }
    }

    /// All of it is in the file.
    func deactivate() { state.withLock { $0.attachments = [:] } }

    func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        id == HOSTD_NETWORK_1 ? table.once { RoleTable.network(self) } : nil
    }

    /// Changes the attachments and writes them down, or changes nothing.
    private static func change(_ state: inout State, _ body: (inout [String: UInt32]) -> Void) throws {
        var attachments = state.attachments
        body(&attachments)
        let saved = attachments.sorted { $0.key < $1.key }.map { id, offset -> JSON in
            ["sandboxID": .string(id), "offset": .integer(Int64(offset))]
        }
        try state.book.write(["format": 1, "attachments": .array(saved)])
        state.attachments = attachments
    }

    private static func sandbox(_ request: JSON) throws -> String {
        guard let id = request["sandboxID"].stringValue, !id.isEmpty else {
            throw PluginError.invalid("the request needs a text \"sandboxID\"")
        }
        return id
    }
}

extension @MODULE@ {
    func status(_ request: JSON, deadline: UInt64) -> JSON {
        let range = state.withLock { $0.range }
        return [
            "name": "@NAME@", "version": "1.0.0", "ready": true, "reason": "", "podRange": .string("\(range)"),
            "nodeAddresses": [], "bridge": "", "routing": "none", "features": [:],
        ]
    }

    func attach(_ request: JSON, deadline: UInt64) throws -> JSON {
        let id = try Self.sandbox(request)
        let (offset, range) = try state.withLock { state -> (UInt32, AddressRange) in
            if let offset = state.attachments[id] { return (offset, state.range) }
            let taken = Set(state.attachments.values)
            guard let offset = state.range.usable.first(where: { !taken.contains($0) }) else {
                throw PluginError.exhausted("all \(state.range.usable.count) addresses of the range are taken")
            }
            try Self.change(&state) { $0[id] = offset }
            return (offset, state.range)
        }
        // A link to `networkNamespace` would be made here, unless it is there already.
        let gateway = JSON.string(range.address(1))
        return [
            "interfaces": [["name": .string(request["interfaceName"].stringValue ?? "eth0")]],
            "ips": [["address": .string("\(range.address(offset))/\(range.prefix)"), "gateway": gateway]],
            "routes": [["dst": "0.0.0.0/0", "gw": gateway]], "dns": [:],
        ]
    }

    func check(_ request: JSON, deadline: UInt64) throws -> JSON {
        let id = try Self.sandbox(request)
        guard state.withLock({ $0.attachments[id] != nil }) else {
            throw PluginError.notFound("sandbox \(id) has no address: attach it")
        }
        return [:]
    }

    func detach(_ request: JSON, deadline: UInt64) throws -> JSON {
        let id = try Self.sandbox(request)
        try state.withLock { state in
            guard state.attachments[id] != nil else { return }  // What is gone already is success.
            try Self.change(&state) { $0[id] = nil }
        }
        return [:]
    }

    func collectGarbage(_ request: JSON, deadline: UInt64) throws -> JSON {
        guard case .array(let ids) = request["validSandboxIDs"] else {
            throw PluginError.invalid("the request needs a list \"validSandboxIDs\"")
        }
        let valid = Set(ids.compactMap(\.stringValue))
        let removed = try state.withLock { state -> [String] in
            let removed = state.attachments.keys.filter { !valid.contains($0) }.sorted()
            if !removed.isEmpty { try Self.change(&state) { $0 = $0.filter { valid.contains($0.key) } } }
            return removed
        }
        return ["removed": .array(removed.map { .string($0) })]
    }

    func servicesSet(_ request: JSON, deadline: UInt64) throws -> JSON {
        throw PluginError.notSupported("@NAME@ routes no services")
    }

    func policiesSet(_ request: JSON, deadline: UInt64) throws -> JSON {
        throw PluginError.notSupported("@NAME@ enforces no policies")
    }
}
