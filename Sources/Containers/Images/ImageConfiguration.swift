import Objects
import PluginKit

/// What an image says about how to run it: the OCI image configuration's `config` and `rootfs`.
package struct ImageConfiguration: Sendable, Equatable {
    package var entryPoint: [String] = []
    package var command: [String] = []
    /// NAME=VALUE
    package var environment: [String] = []
    package var workingDirectory = ""
    /// USER[:GROUP], names or numbers; empty is root.
    package var user = ""
    package var stopSignal = ""
    package var exposedPorts: [String] = []
    package var labels: [String: String] = [:]
    /// Digests of the uncompressed layers, lowest first.
    package var differences: [Digest] = []
    package var architecture = ""

    package init() {}

    package init(parsing json: JSON, name: String) throws(PluginError) {
        guard json.objectValue != nil else { throw .invalid("the configuration of \(name) is not a JSON object") }
        let config = json["config"]
        entryPoint = Self.strings(config["Entrypoint"])
        command = Self.strings(config["Cmd"])
        environment = Self.strings(config["Env"]).filter { $0.contains("=") }
        workingDirectory = config["WorkingDir"].stringValue ?? ""
        user = config["User"].stringValue ?? ""
        stopSignal = config["StopSignal"].stringValue ?? ""
        exposedPorts = config["ExposedPorts"].objectValue?.keys ?? []
        labels = config["Labels"].stringDictionary
        architecture = json["architecture"].stringValue ?? ""
        guard (json["os"].stringValue ?? "linux") == "linux" else {
            throw .invalid("\(name) is made for \(json["os"].stringValue ?? ""), hostd runs Linux images")
        }
        guard json["rootfs"]["type"].stringValue == "layers" else {
            throw .invalid("the configuration of \(name) lists no layers (rootfs.type is not \"layers\")")
        }
        for difference in json["rootfs"]["diff_ids"].arrayValue {
            differences.append(try Digest(parsing: difference.stringValue ?? ""))
        }
    }

    /// The numeric user, when the image gives one; nil for a name. Root when it says nothing.
    package var userID: Int64? { user.isEmpty ? 0 : Int64(user.prefix { $0 != ":" }) }

    private static func strings(_ json: JSON) -> [String] { json.arrayValue.compactMap(\.stringValue) }
}
