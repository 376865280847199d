import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization

/// Paths behind the API front: GET /@NAME@ greets the caller, GET /@NAME@/count streams numbers.
///
///     kubectl get --raw /@NAME@
final class @MODULE@: Plugin, APIExtensionProvider {
    static let description = PluginDescription(
        name: "@NAME@", version: "1.0.0", summary: "Serves /@NAME@.", provides: [HOSTD_API_EXTENSION_1])
    static let optionsSchema = """
        {"type":"object","properties":{"greeting":{"type":"string","maxLength":100,"default":"Hello"}}}
        """

    private let host: Host
    private let greeting = Mutex("Hello")
    private let streams = CountStreams()
    private let table = ProvidedTable()

    init(host: Host) { self.host = host }

    func configure(_ configuration: PluginConfiguration) {
        let text = configuration.options["greeting"].stringValue ?? "Hello"
        greeting.withLock { $0 = text }
    }

    func activate() { streams.open() }

    /// No thread is left when this returns.
    func deactivate() { streams.end() }

    func interface(_ id: String) -> UnsafePointer<hostd_interface>? {
        id == HOSTD_API_EXTENSION_1 ? table.once { RoleTable.apiExtension(self) } : nil
    }

    func routes() -> JSON {
        let route = { (path: String) -> JSON in ["methods": ["GET"], "path": .string(path), "upgrade": "none"] }
        return ["routes": [route("/@NAME@"), route("/@NAME@/count")]]
    }

    func serve(_ request: JSON, body: [UInt8], stream: Int32, deadline: UInt64) throws -> JSON {
        if request["path"].stringValue == "/@NAME@/count" {
            try streams.start(stream)
            return ["status": 200, "headers": ["Content-Type": "text/plain"], "stream": true]
        }
        if stream >= 0 { close(stream) }  // It is ours from the moment of the call, also when it is not needed.
        let user = request["user"]["name"].stringValue ?? "stranger"
        host.log.info("greeted \(user)")
        let text = greeting.withLock { "\($0), \(user).\n" }
        return ["status": 200, "headers": ["Content-Type": "text/plain"], "body": .string(text)]
    }
}
