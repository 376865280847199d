import Objects
import PluginAPI
import PluginKit

/// What a provider of hostd.network/1 hands to the next: hostd.network.state/1 of hostd/roles/network.h.
package struct NetworkState: Sendable, Equatable {
    package var attachments: [Attachment] = []
    /// The address given last, so that the next provider goes on behind it.
    package var lastAddress: IPv4Address?
    /// Nil when the provider has not been told of services yet.
    package var services: [Service]?
    /// What routes services at the moment.
    package var routing: [RoutingPath] = []

    package init(
        attachments: [Attachment] = [], lastAddress: IPv4Address? = nil, services: [Service]? = nil,
        routing: [RoutingPath] = []
    ) {
        self.attachments = attachments
        self.lastAddress = lastAddress
        self.services = services
        self.routing = routing
    }

    private static let head = Array("\(HOSTD_NETWORK_STATE_1)\n".utf8)

    package var serialized: [UInt8] {
        var json: JSONObject = [
            "attachments": .array(attachments.map(\.json)), "routing": .array(routing.map(\.json)),
        ]
        if let lastAddress { json["lastAddress"] = .string(lastAddress.description) }
        if let services { json["services"] = .array(services.map(\.json)) }
        return Self.head + JSON.object(json).serialized()
    }

    /// - Throws: HOSTD_ERROR_VERSION for another format; HOSTD_ERROR_INVALID_ARGUMENT for a state with an attachment that
    ///   cannot be read, because its address would be given away again, or with an address or sandbox twice.
    package init(parsing bytes: [UInt8]) throws {
        guard bytes.starts(with: Self.head) else {
            let format = String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }.prefix(128), as: UTF8.self)
            throw PluginError(
                code: HOSTD_ERROR_VERSION,
                message: "the state is of format \"\(format)\"; networks take \(HOSTD_NETWORK_STATE_1)")
        }
        let json: JSON
        do { json = try JSON(parsing: Array(bytes.dropFirst(Self.head.count))) } catch {
            throw PluginError.invalid("the network's state is no JSON: \(error)")
        }
        for (index, entry) in json["attachments"].arrayValue.enumerated() {
            guard let attachment = Attachment(entry) else {
                throw PluginError.invalid("attachment \(index) of the network's state is incomplete or malformed")
            }
            attachments.append(attachment)
        }
        guard Set(attachments.map(\.sandbox)).count == attachments.count else {
            throw PluginError.invalid("the network's state has a sandbox twice")
        }
        guard Set(attachments.map(\.address)).count == attachments.count else {
            throw PluginError.invalid("the network's state has an address twice")
        }
        lastAddress = json["lastAddress"].stringValue.flatMap { IPv4Address(parsing: $0) }
        if json["services"].exists { services = try json["services"].arrayValue.map { try Service($0) } }
        for (index, entry) in json["routing"].arrayValue.enumerated() {
            guard let path = RoutingPath(entry) else {
                throw PluginError.invalid("routing path \(index) of the network's state is malformed")
            }
            routing.append(path)
        }
    }
}
