import Glibc
import Objects
import PluginKit

/// What must be known to give a published volume back, kept as a file beside it so that a restart forgets nothing.
struct PublishedVolume: Equatable {
    static let fileName = "vol_data.json"

    var driver: String
    var volumeID: String
    var stagingPath: String

    var json: JSON {
        ["driver": .string(driver), "volumeID": .string(volumeID), "stagingPath": .string(stagingPath)]
    }

    init(driver: String, volumeID: String, stagingPath: String) {
        self.driver = driver
        self.volumeID = volumeID
        self.stagingPath = stagingPath
    }

    /// Nil when the directory holds none.
    init?(directory: String) throws {
        guard let bytes = try Files.read("\(directory)/\(Self.fileName)") else { return nil }
        let json = try JSON(parsing: bytes)
        driver = json["driver"].stringValue ?? ""
        volumeID = json["volumeID"].stringValue ?? ""
        stagingPath = json["stagingPath"].stringValue ?? ""
    }
}

/// Stages and publishes persistent volumes through their drivers.
struct ClaimedVolumes: Sendable {
    static let kind = "kubernetes.io~csi"

    let paths: NodePaths
    let objects: any ObjectReader
    let drivers: any VolumeDrivers

    /// Makes the volume of a claim available to the pod; answers its path on the host. Idempotent.
    func setUp(claim name: String, pod: Pod, readOnly: Bool, owner: String? = nil) throws -> MountedVolume {
        guard let claim = try objects.object("persistentvolumeclaims/\(pod.namespace)/\(name)") else {
            throw VolumeError(message: "persistentvolumeclaim \"\(name)\" not found")
        }
        if let owner,
            !claim["metadata"]["ownerReferences"].arrayValue.contains(where: { $0["uid"].stringValue == owner })
        {
            throw VolumeError(message: "persistentvolumeclaim \"\(name)\" was not created for this pod")
        }
        guard claim["status"]["phase"].stringValue == "Bound", let volumeName = claim["spec"]["volumeName"].stringValue
        else { throw VolumeError(message: "persistentvolumeclaim \"\(name)\" is not bound yet") }
        guard let volume = try objects.object("persistentvolumes//\(volumeName)") else {
            throw VolumeError(message: "persistentvolume \"\(volumeName)\" of claim \"\(name)\" not found")
        }
        let specification = volume["spec"]
        if specification["hostPath"].exists {
            var mounted = try HostPathVolume.setUp(specification["hostPath"])
            mounted.readOnly = readOnly
            return mounted
        }
        if specification["local"].exists { return try local(specification, volumeName, readOnly: readOnly) }
        guard specification["csi"].exists else {
            throw VolumeError(
                message:
                    "persistentvolume \"\(volumeName)\" has no source that this node supports (csi, local, hostPath)")
        }
        return try publish(specification, volumeName: volumeName, pod: pod, readOnly: readOnly)
    }

    /// A directory, or a device, of this very node.
    private func local(_ specification: JSON, _ name: String, readOnly: Bool) throws -> MountedVolume {
        let path = specification["local"]["path"].stringValue ?? ""
        guard let kind = try Files.status(path)?.st_mode else {
            throw VolumeError(message: "persistentvolume \"\(name)\": \(path) does not exist on this node")
        }
        let isBlock = specification["volumeMode"].stringValue == "Block"
        if isBlock, kind & S_IFMT != S_IFBLK {
            throw VolumeError(message: "persistentvolume \"\(name)\": \(path) is not a block device")
        }
        if !isBlock, kind & S_IFMT != S_IFDIR {
            throw VolumeError(
                message: "persistentvolume \"\(name)\": \(path) is not a directory; a device needs volumeMode Block, "
                    + "or to be mounted first")
        }
        return MountedVolume(hostPath: path, readOnly: readOnly, isBlock: isBlock, takesGroup: !readOnly)
    }

    private func publish(_ specification: JSON, volumeName: String, pod: Pod, readOnly: Bool) throws -> MountedVolume {
        let source = specification["csi"]
        let driverName = source["driver"].stringValue ?? ""
        let volumeID = source["volumeHandle"].stringValue ?? ""
        let driver = try drivers.driver(named: driverName)
        let directory = paths.volume(pod.uid, kind: Self.kind, name: NodePaths.safe(volumeName))
        let staging = paths.staging(driver: driverName, volumeID: volumeID)
        let isBlock = specification["volumeMode"].stringValue == "Block"
        let target = "\(directory)/\(isBlock ? "device" : "mount")"
        try Files.makeDirectories(directory, mode: 0o750)
        let record = PublishedVolume(driver: driverName, volumeID: volumeID, stagingPath: staging)
        try Files.replace("\(directory)/\(PublishedVolume.fileName)", with: record.json.serialized(), mode: 0o600)
        let context = source["volumeAttributes"].exists ? source["volumeAttributes"] : [:]
        let accessModes = specification["accessModes"].exists ? specification["accessModes"] : ["ReadWriteOnce"]
        let deadline = WallClock.deadline(seconds: 120)
        try Files.makeDirectories(staging, mode: 0o750)
        var stage: JSON = [
            "volumeID": .string(volumeID), "stagingPath": .string(staging), "accessModes": accessModes,
            "volumeMode": isBlock ? "Block" : "Filesystem", "context": context,
        ]
        if source["fsType"].exists { stage["fileSystem"] = source["fsType"] }
        if specification["mountOptions"].exists { stage["mountOptions"] = specification["mountOptions"] }
        do {
            _ = try driver.stage(stage, deadline: deadline)
        } catch let error as PluginError where error.code == -9 {
            // Staging is a capability; drivers without it only publish.
        }
        let onlyRead = readOnly || source["readOnly"].boolValue == true
        var publish: JSON = [
            "volumeID": .string(volumeID), "stagingPath": .string(staging), "targetPath": .string(target),
            "readOnly": .bool(onlyRead), "accessModes": accessModes, "context": context,
            "pod": ["uid": .string(pod.uid), "name": .string(pod.name), "namespace": .string(pod.namespace)],
        ]
        let group = pod.specification["securityContext"]["fsGroup"]
        if group.exists { publish["fileSystemGroup"] = group }
        _ = try driver.publish(publish, deadline: deadline)
        return MountedVolume(hostPath: target, readOnly: onlyRead, isBlock: isBlock, takesGroup: !onlyRead)
    }

    /// Gives a published volume back, and unstages it when no other pod of this node has it. Idempotent.
    func tearDown(directory: String) throws {
        guard let record = try PublishedVolume(directory: directory) else { return }
        let driver = try drivers.driver(named: record.driver)
        let deadline = WallClock.deadline(seconds: 120)
        for name in ["mount", "device"] where try Files.status("\(directory)/\(name)", follow: false) != nil {
            _ = try driver.unpublish(
                ["volumeID": .string(record.volumeID), "targetPath": .string("\(directory)/\(name)")],
                deadline: deadline)
        }
        try FileTree.remove("\(directory)/\(PublishedVolume.fileName)")
        if try isUsed(record) { return }
        do {
            _ = try driver.unstage(
                ["volumeID": .string(record.volumeID), "stagingPath": .string(record.stagingPath)], deadline: deadline)
        } catch let error as PluginError where error.code == -9 {
            // As in `publish`: nothing was staged.
        }
        try FileTree.remove(record.stagingPath)
    }

    /// Whether some pod of this node still has the volume.
    private func isUsed(_ record: PublishedVolume) throws -> Bool {
        for uid in try Files.list(paths.pods) {
            let directory = "\(paths.volumes(uid))/\(Self.kind)"
            for name in try Files.list(directory) {
                if try PublishedVolume(directory: "\(directory)/\(name)") == record { return true }
            }
        }
        return false
    }
}
