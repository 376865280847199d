import ObjectSchema
import ObjectYAML
import Objects
import PluginKit

/// A file of settings in the form of Kubernetes' API server: group apiserver.config.k8s.io, YAML or JSON.
struct ConfigurationFile: Sendable {
    static let group = "apiserver.config.k8s.io"
    /// Most bytes of a file.
    static let limit = 1 << 20

    let path: String
    let kind: String
    /// Of the group, the newest first.
    let versions: [String]
    let shape: ConfigurationShape

    /// Reads it as it is now.
    func read() throws(PluginError) -> [UInt8] { try AtomicFile.read(path, limit: Self.limit) }

    /// - Throws: what cannot be read, or has members that do not belong there, with file and place.
    func parse(_ bytes: [UInt8]) throws(PluginError) -> JSON {
        let json: JSON
        do throws(YAMLError) {
            json = try YAMLParser.parse(bytes)
        } catch {
            throw PluginError.invalid("\(path): \(error)")
        }
        let supported = versions.map { "\(Self.group)/\($0)" }
        guard json.kind == kind, supported.contains(json.apiVersion) else {
            throw PluginError.invalid(
                "\(path): it must be of kind \(kind) and apiVersion \(supported.joined(separator: " or ")), not of kind "
                    + "\"\(json.kind)\" and apiVersion \"\(json.apiVersion)\"")
        }
        let faults = shape.faults(in: json)
        guard faults.isEmpty else { throw PluginError.invalid("\(path): \(faults.joined(separator: ", "))") }
        return json
    }

    /// What was found wrong, as one error; nil when nothing was.
    func error(_ faults: [FieldError]) -> PluginError? {
        faults.isEmpty ? nil : .invalid("\(path): \(faults.aggregateMessage)")
    }
}
