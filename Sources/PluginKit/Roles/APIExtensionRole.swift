import Objects
import PluginAPI

/// Role hostd.api-extension/1 in Swift; see hostd/roles/api_extension.h.
public protocol APIExtensionProvider: AnyObject, Sendable {
    /// {"routes":[{"methods","path","upgrade","subprotocols"}]}
    func routes() throws -> JSON
    /// Serves one request.
    /// - Parameter stream: a SOCK_SEQPACKET socket that belongs to the provider from now on, also when it throws.
    /// - Returns: the response's head {"status","headers","stream","body"}.
    func serve(_ request: JSON, body: [UInt8], stream: Int32, deadline: UInt64) throws -> JSON
}

extension RoleTable {
    /// The C table of a provider of hostd.api-extension/1. It keeps the provider alive until `release`.
    public static func apiExtension(_ implementation: any APIExtensionProvider) -> UnsafePointer<hostd_interface> {
        let table = allocate(
            hostd_api_extension_1.self, id: HOSTD_API_EXTENSION_1, slots: HOSTD_API_EXTENSION_1_SLOTS,
            box: ProviderBox<any APIExtensionProvider>(implementation))
        table.pointee.routes = { this, response, error in
            answering(error) {
                let routes = try provider(of: this, as: (any APIExtensionProvider).self).routes()
                response.pointee = hostd_buffer(copying: routes)
            }
        }
        table.pointee.serve = { this, deadline, data, size, body, bodySize, stream, response, error in
            let content = Array(borrowedBytes(body, bodySize))
            return answering(error) {
                let request = try parseRequest(borrowedBytes(data, size), closing: stream)
                let head = try provider(of: this, as: (any APIExtensionProvider).self)
                    .serve(request, body: content, stream: stream, deadline: deadline)
                response.pointee = hostd_buffer(copying: head)
            }
        }
        return finish(table)
    }
}

/// The consumer's side of APIExtensionProvider: one named plugin.
public final class APIExtensionClient: APIExtensionProvider, @unchecked Sendable {
    // SAFETY: an immutable pointer to a table whose slots may be called from any thread.
    private let table: UnsafePointer<hostd_api_extension_1>
    private var this: UnsafeMutableRawPointer? { table.pointee.interface.`self` }

    public init(_ host: Host, plugin: String) throws(PluginError) {
        table = try host.roles().provider(
            of: HOSTD_API_EXTENSION_1, plugin: plugin, as: hostd_api_extension_1.self)
    }

    public func routes() throws -> JSON {
        try checkedBuffer { table.pointee.routes(this, $0, $1) }.json()
    }

    public func serve(_ request: JSON, body: [UInt8], stream: Int32, deadline: UInt64 = 0) throws -> JSON {
        let buffer = try checkedBuffer { out, error in
            lend(request.serialized()) { data, size in
                lend(body) { bodyData, bodySize in
                    table.pointee.serve(this, deadline, data, size, bodyData, bodySize, stream, out, error)
                }
            }
        }
        return try buffer.json()
    }
}
