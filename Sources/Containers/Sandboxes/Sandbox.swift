import CRuntime
import Glibc
import Objects
import PluginKit
import Synchronization

/// One pod's shared namespaces and cgroup.
package final class Sandbox: Sendable {
    package let id: String
    package let configuration: SandboxConfiguration
    package let configurationJSON: JSON
    /// Holds record.json, the namespace files net, ipc and uts, and shm.
    package let directory: String
    package let cgroup: CgroupPath
    /// Nanoseconds since 1970.
    package let createdAt: Int64
    /// First process of a shared process namespace.
    package let holder: ProcessIdentity?
    package let isReady: Mutex<Bool>

    package init(
        id: String, configurationJSON: JSON, configuration: SandboxConfiguration, directory: String, cgroup: CgroupPath,
        createdAt: Int64, holder: ProcessIdentity?, isReady: Bool
    ) {
        self.id = id
        self.configuration = configuration
        self.configurationJSON = configurationJSON
        self.directory = directory
        self.cgroup = cgroup
        self.createdAt = createdAt
        self.holder = holder
        self.isReady = Mutex(isReady)
    }

    package var record: JSON {
        [
            "version": 1, "id": .string(id), "createdAt": .string(formatNanoseconds(createdAt)),
            "cgroup": JSON(cgroup.components), "ready": .bool(isReady.withLock { $0 }),
            "holder": holder.map { ["process": JSON($0.process), "start": JSON($0.startTime)] } ?? .null,
            "config": configurationJSON,
        ]
    }

    /// - Parameter isSameBoot: whether the namespaces may still be there.
    package convenience init(record: JSON, directory: String, isSameBoot: Bool) throws(PluginError) {
        guard record["version"].integerValue == 1, let id = record["id"].stringValue else {
            throw .invalid("\(directory)/record.json is not a sandbox's record of this version")
        }
        var holder: ProcessIdentity?
        if let process = record["holder"]["process"].integerValue, let start = record["holder"]["start"].integerValue {
            holder = ProcessIdentity(process: pid_t(clamping: process), startTime: UInt64(clamping: start))
        }
        let configuration = try SandboxConfiguration(record["config"])
        var isReady = isSameBoot && record["ready"].boolValue == true
        if isReady, !configuration.usesHostNetwork { isReady = Self.isNamespaceFile("\(directory)/net") }
        if isReady, let holder { isReady = try ProcessIdentity.current(holder.process) == holder }
        self.init(
            id: id, configurationJSON: record["config"], configuration: configuration, directory: directory,
            cgroup: CgroupPath(components: record["cgroup"].arrayValue.compactMap(\.stringValue)),
            createdAt: parseNanoseconds(record["createdAt"].stringValue ?? ""), holder: holder, isReady: isReady)
    }

    /// "" when the pod uses the host's.
    package var networkNamespace: String { configuration.usesHostNetwork ? "" : "\(directory)/net" }

    /// The role's Sandbox message.
    package var json: JSON {
        [
            "id": .string(id), "podUID": .string(configuration.podUID), "name": .string(configuration.name),
            "namespace": .string(configuration.namespace), "attempt": .integer(configuration.attempt),
            "state": isReady.withLock { $0 } ? "ready" : "notReady", "createdAt": .string(formatNanoseconds(createdAt)),
            "networkNamespace": .string(networkNamespace),
            "labels": configuration.labels.exists ? configuration.labels : [:],
            "annotations": configuration.annotations.exists ? configuration.annotations : [:],
        ]
    }

    /// Whether a namespace is bound to the file (nsfs, linux/magic.h), not only left behind as an empty one.
    package static func isNamespaceFile(_ path: String) -> Bool {
        var system = statfs()
        return statfs(path, &system) == 0 && Int64(system.f_type) == 0x6e73_6673
    }

    /// Names the pod's own users, where it has some, to whoever makes or joins their namespace.
    package static func addUsers(
        _ configuration: SandboxConfiguration, directory: String, to result: inout InitConfiguration
    ) {
        guard let users = configuration.users else { return }
        result.add(.userNamespace, [UInt64(users.first), UInt64(users.count)], ["\(directory)/user"])
    }

    /// What the helper is to make. Pure.
    package static func plan(_ configuration: SandboxConfiguration, directory: String, unifiedCgroup: String?)
        -> InitConfiguration
    {
        var result = InitConfiguration()
        addUsers(configuration, directory: directory, to: &result)
        if !configuration.usesHostNetwork {
            result.add(.keepNamespace, [NamespaceKind.network.rawValue], ["\(directory)/net"])
            result.add(.keepNamespace, [NamespaceKind.hostName.rawValue], ["\(directory)/uts"])
            if !configuration.hostName.isEmpty { result.add(.hostName, configuration.hostName) }
        }
        if !configuration.usesHostInterProcess {
            result.add(.keepNamespace, [NamespaceKind.interProcess.rawValue], ["\(directory)/ipc"])
            result.add(.sharedMemory, [64 << 20], ["\(directory)/shm"])
        }
        for sysctl in configuration.sysctls {
            result.add(.sysctl, [], [SandboxConfiguration.sysctlPath(sysctl.name), sysctl.value])
        }
        if configuration.sharesProcesses {
            result.add(.holder, 1)
            if let unifiedCgroup { result.add(.cgroupUnified, unifiedCgroup) }
        }
        // Never empty, whatever the pod shares with the host.
        result.add(.stateDirectory, directory)
        return result
    }
}
