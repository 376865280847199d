import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Devices from a list. Pods ask for them as an extended resource, `example.com/@NAME@: 1`, and get each at most once. The
/// book of allocations is on disk before a container hears of its devices.
///
/// To make it yours, find devices in `activate` in place of taking them from the options, and call the watchers' handlers
/// when one of them comes, goes, or changes its health.
final class @MODULE@: Plugin, DeviceProvider {
    static let description = PluginDescription(
        name: "@NAME@", version: "1.0.0", summary: "Devices from a list.", provides: [HOSTD_DEVICE_1])
    static let optionsSchema = """
        {"type":"object","properties":{
        "resource":{"type":"string","minLength":1,"default":"example.com/@NAME@","description":"What pods ask for."},
        "devices":{"type":"array","items":{"type":"string","minLength":1},"default":["first","second"],
        "description":"The ids of the devices; one that begins with /dev/ is given to its container as a node."}}}
        """

    private struct State {
        var book = Book(path: "")
        var resource = ""
        var devices: [String] = []
        /// As list_allocations shows them.
        var allocations: [JSON] = []
        var watchers: [UInt64: @Sendable (JSON) -> Void] = [:]
        var lastWatch: UInt64 = 0
        var isActive = false

        var listing: JSON {
            let devices = devices.map { id -> JSON in ["id": .string(id), "healthy": true] }
            return ["resources": [["name": .string(resource), "devices": .array(devices)]]]
        }
    }

    private let state = Mutex(State())  // Slots are called from any thread.
    private let table = ProvidedTable()

    init(host: Host) {}

    func configure(_ configuration: PluginConfiguration) {
        let options = configuration.options
        state.withLock { state in
            state = State(
                book: Book(path: "\(configuration.pluginDirectory)/allocations.json"),
                resource: options["resource"].stringValue ?? "example.com/@NAME@",
                devices: options["devices"].arrayValue.compactMap(\.stringValue))
        }
    }

    func activate() throws {
        try state.withLock { state in
            state.allocations = try state.book.read()["allocations"].arrayValue
            state.isActive = true
        }
    }

    /// Allocations are all in the file.
    func deactivate() {
        state.withLock { state in
            state.isActive = false
            state.allocations = []
            state.watchers = [:]
        }
    }

    func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        id == HOSTD_DEVICE_1 ? table.once { RoleTable.device(self) } : nil
    }

    /// Replaces the allocations and writes them down, or changes nothing.
    private static func change(_ state: inout State, to allocations: [JSON]) throws {
        try state.book.write(["format": 1, "allocations": .array(allocations)])
        state.allocations = allocations
    }

    /// {deviceIDs, edits}: what the container gets to see of its devices, as CDI's containerEdits.
    private static func grant(_ allocation: JSON) -> JSON {
        let ids = allocation["deviceIDs"].arrayValue.compactMap(\.stringValue)
        let nodes = ids.filter { $0.hasPrefix("/dev/") }.map { id -> JSON in ["path": .string(id)] }
        return [
            "deviceIDs": allocation["deviceIDs"],
            "edits": ["env": [.string("DEVICES=" + ids.joined(separator: ","))], "deviceNodes": .array(nodes)],
        ]
    }

    private static func needed(_ request: JSON, _ member: String) throws -> String {
        guard let text = request[member].stringValue, !text.isEmpty else {
            throw PluginError.invalid("the request needs a text \"\(member)\"")
        }
        return text
    }
}

extension @MODULE@ {
    func status(_ request: JSON, deadline: UInt64) -> JSON {
        ["vendor": "example.com", "version": "1.0.0", "ready": true, "reason": ""]
    }

    func listDevices(_ request: JSON, deadline: UInt64) -> JSON { state.withLock { $0.listing } }

    func listAllocations(_ request: JSON, deadline: UInt64) -> JSON {
        ["allocations": .array(state.withLock { $0.allocations })]
    }

    func allocate(_ request: JSON, deadline: UInt64) throws -> JSON {
        let (pod, container) = (try Self.needed(request, "podUID"), try Self.needed(request, "container"))
        let resource = try Self.needed(request, "resource")
        guard let count = request["count"].integerValue, count > 0 else {
            throw PluginError.invalid("count must be a number from 1")
        }
        return try state.withLock { state in
            guard resource == state.resource else {
                throw PluginError.notFound("there is no resource \(resource) here, only \(state.resource)")
            }
            if let before = state.allocations.first(where: {
                $0["podUID"].stringValue == pod && $0["container"].stringValue == container
            }) {
                guard before["deviceIDs"].count == count else {
                    throw PluginError.conflict("the container has \(before["deviceIDs"].count) of \(resource) already")
                }
                return Self.grant(before)  // The same container gets the same again.
            }
            let taken = Set(state.allocations.flatMap { $0["deviceIDs"].arrayValue.compactMap(\.stringValue) })
            let free = state.devices.filter { !taken.contains($0) }
            guard free.count >= count else {
                throw PluginError.exhausted(
                    "\(count) of \(resource) are asked for, \(free.count) of \(state.devices.count) are free")
            }
            let made: JSON = [
                "podUID": .string(pod), "podNamespace": request["podNamespace"], "podName": request["podName"],
                "container": .string(container), "resource": .string(resource),
                "deviceIDs": .array(free.prefix(Int(count)).map { .string($0) }),
            ]
            try Self.change(&state, to: state.allocations + [made])
            return Self.grant(made)
        }
    }

    func release(_ request: JSON, deadline: UInt64) throws -> JSON {
        let pod = try Self.needed(request, "podUID")
        let freed = try state.withLock { state -> [JSON] in
            let freed = state.allocations.filter { $0["podUID"].stringValue == pod }
            if !freed.isEmpty {
                try Self.change(&state, to: state.allocations.filter { $0["podUID"].stringValue != pod })
            }
            return freed.flatMap { $0["deviceIDs"].arrayValue }
        }
        return ["deviceIDs": .array(freed)]
    }

    /// A handler is told of the devices at once. Whoever calls it later does so serially, and never after `watchCancel`.
    func watch(_ handler: @escaping @Sendable (JSON) -> Void) throws -> UInt64 {
        guard state.withLock({ $0.isActive }) else { throw PluginError.wrongState("@NAME@ is not active") }
        handler(state.withLock { $0.listing })
        return state.withLock { state in
            state.lastWatch += 1
            state.watchers[state.lastWatch] = handler
            return state.lastWatch
        }
    }

    func watchCancel(_ watch: UInt64) { state.withLock { $0.watchers[watch] = nil } }
}
