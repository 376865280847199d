import Objects
import PluginKit

/// What a pod's containers share: the SandboxConfig message of the role, checked.
package struct SandboxConfiguration: Sendable {
    package let podUID: String
    package let name: String
    package let namespace: String
    package let attempt: Int64
    package let hostName: String
    package let logDirectory: String
    package let usesHostNetwork: Bool
    package let usesHostProcesses: Bool
    package let usesHostInterProcess: Bool
    package let sharesProcesses: Bool
    /// By dotted name.
    package let sysctls: [(name: String, value: String)]
    package let labels: JSON
    package let annotations: JSON
    package let resources: Resources
    /// Users of the pod's own; nil for the host's.
    package let users: UserRange?

    /// Where on the host the numbers of a pod's users and groups are: N in the pod is `first` + N.
    package struct UserRange: Sendable, Equatable {
        package let first: UInt32
        package let count: UInt32
    }

    package init(_ json: JSON) throws(PluginError) {
        let uid = json["podUID"].stringValue ?? ""
        guard !uid.isEmpty, uid.utf8.count <= 128,
            uid.utf8.allSatisfy({
                (48...57).contains($0) || (97...122).contains($0) || (65...90).contains($0) || $0 == 45 || $0 == 95
            })
        else { throw .invalid("config.podUID must be letters, digits, '-' and '_', not \"\(uid)\"") }
        podUID = uid
        name = json["name"].stringValue ?? ""
        namespace = json["namespace"].stringValue ?? ""
        attempt = json["attempt"].integerValue ?? 0
        hostName = json["hostname"].stringValue ?? ""
        guard hostName.utf8.count <= 64 else { throw .invalid("the host name \"\(hostName)\" is longer than 64 bytes") }
        logDirectory = json["logDirectory"].stringValue ?? ""
        usesHostNetwork = json["hostNetwork"].boolValue ?? false
        usesHostProcesses = json["hostPID"].boolValue ?? false
        usesHostInterProcess = json["hostIPC"].boolValue ?? false
        sharesProcesses = !usesHostProcesses && (json["shareProcessNamespace"].boolValue ?? false)
        var sysctls: [(name: String, value: String)] = []
        for (name, value) in json["sysctls"].stringDictionary.sorted(by: { $0.key < $1.key }) {
            try Self.checkSysctl(name, network: !usesHostNetwork, interProcess: !usesHostInterProcess)
            sysctls.append((name, value))
        }
        self.sysctls = sysctls
        labels = json["labels"]
        annotations = json["annotations"]
        resources = try Resources(json["resources"])
        users = try Self.users(json["userNamespace"])
    }

    private static func users(_ json: JSON) throws(PluginError) -> UserRange? {
        guard json.exists else { return nil }
        guard let first = json["hostID"].integerValue, let count = json["size"].integerValue, first > 0, count > 0,
            first + count <= Int64(UInt32.max)
        else { throw .invalid("config.userNamespace needs hostID and size, above 0 and within 32 bits together") }
        return UserRange(first: UInt32(first), count: UInt32(count))
    }

    /// Only parameters that belong to a namespace of the pod: anything else would change the node.
    package static func checkSysctl(_ name: String, network: Bool, interProcess: Bool) throws(PluginError) {
        let parts = name.split(separator: name.contains("/") ? "/" : ".", omittingEmptySubsequences: false)
        let isWellFormed =
            parts.count > 1
            && parts.allSatisfy { part in
                !part.isEmpty && part != ".."
                    && part.utf8.allSatisfy {
                        (48...57).contains($0) || (97...122).contains($0) || (65...90).contains($0) || $0 == 95
                            || $0 == 45 || $0 == 46
                    }
            }
        guard isWellFormed else { throw .invalid("\"\(name)\" is not the name of a sysctl") }
        let dotted = parts.joined(separator: ".")
        if dotted.hasPrefix("net.") {
            guard network else {
                throw .forbidden("the sysctl \(name) would change the node: the pod uses the host's network")
            }
            return
        }
        let isInterProcess =
            dotted.hasPrefix("kernel.shm") || dotted.hasPrefix("kernel.msg") || dotted == "kernel.sem"
            || dotted.hasPrefix("fs.mqueue.")
        guard isInterProcess else {
            throw .forbidden(
                "the sysctl \(name) is not one of the pod's own (net.*, kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*)"
            )
        }
        guard interProcess else {
            throw .forbidden("the sysctl \(name) would change the node: the pod uses the host's IPC")
        }
    }

    /// As the path below /proc/sys.
    package static func sysctlPath(_ name: String) -> String {
        name.contains("/") ? name : name.split(separator: ".").joined(separator: "/")
    }
}
