import Glibc
import Objects
import PluginKit

/// Where the node's own paths are served beside `nodes/NAME/proxy` of the API, whose front listens there.
struct NodePort: Sendable {
    /// A kubelet's.
    static let usual: UInt16 = 10250

    var node: String
    var address: String
    /// 0: nowhere.
    var port: UInt16

    init(_ configuration: PluginConfiguration) {
        node = Self.nodeName(configuration.settings)
        address = configuration.options["address"].stringValue ?? "0.0.0.0"
        port = Self.number(configuration.options)
    }

    static func number(_ options: JSON) -> UInt16 {
        UInt16(clamping: options["port"].integerValue ?? Int64(usual))
    }

    /// The setting, or the machine's name.
    static func nodeName(_ settings: JSON) -> String {
        if let name = settings["nodeName"].stringValue, !name.isEmpty { return name }
        var names = utsname()
        uname(&names)
        return withUnsafeBytes(of: names.nodename) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self).lowercased()
        }
    }

    /// As the front is told.
    var json: JSON { ["node": .string(node), "address": .string(address), "port": .integer(Int64(port))] }
}
