import Objects
import PluginKit

/// The message services_set of hostd/roles/network.h, checked.
package struct ServiceUpdate: Sendable {
    /// Whether all services that are not given go.
    package let isFull: Bool
    package private(set) var services: [Service] = []
    /// Keys.
    package private(set) var removed: [String] = []
    /// Those that cannot be routed, with their reasons: one bad service must not keep the others from being routed.
    package private(set) var rejected: [JSON] = []

    /// - Throws: for a removal that names no service.
    package init(_ json: JSON, log: Log) throws(NetworkError) {
        isFull = json["full"].boolValue ?? false
        for entry in json["services"].arrayValue {
            do { services.append(try Service(entry)) } catch {
                log.error("a service cannot be routed: \(error)")
                rejected.append([
                    "name": entry["name"], "namespace": entry["namespace"], "reason": .string("\(error)"),
                ])
            }
        }
        for entry in json["removed"].arrayValue { removed.append(try Service.key(entry)) }
    }

    /// The answer to the message.
    package var answer: JSON { rejected.isEmpty ? [:] : ["rejected": .array(rejected)] }
}
