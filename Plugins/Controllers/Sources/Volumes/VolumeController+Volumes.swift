import Objects
import PluginKit

/// Volumes: protection, phases, reclaiming.
extension VolumeController {
    static let volumeProtection = "kubernetes.io/pv-protection"

    func syncVolume(_ volume: JSON) throws {
        if volume.deletionTimestamp != nil { return try releaseVolume(volume) }
        if !volume.finalizers.contains(Self.volumeProtection) {
            try cluster.writer.patch(
                .volumes, volume, Finalizers.patch(volume, volume.finalizers + [Self.volumeProtection]))
            return
        }
        let reference = volume["spec"]["claimRef"]
        guard let name = reference["name"].stringValue, !(reference["uid"].stringValue ?? "").isEmpty else {
            return try setPhase(volume, "Available")
        }
        let claim = cluster.volumeClaims.get(reference["namespace"].stringValue ?? "", name)
        if let claim, claim.uid == reference["uid"].stringValue {
            let bound = claim["spec"]["volumeName"].stringValue ?? ""
            if bound == volume.name { return try setPhase(volume, "Bound") }
            // The claim's own turn finishes the binding.
            if bound.isEmpty { return }
            return try claimTookAnother(volume)
        }
        // The cache may lag behind the volume that was made for a claim: the store knows.
        let key = "\(ResourceType.volumeClaims.storeName)/\(reference["namespace"].stringValue ?? "")/\(name)"
        if let stored = try cluster.store.object(key), stored.uid == reference["uid"].stringValue { return }
        try reclaim(volume)
    }

    /// A volume that was made for the claim is of no use to others; any other one is free again.
    private func claimTookAnother(_ volume: JSON) throws {
        let isMade = volume.annotations[VolumeMatch.provisionedBy].exists
        if isMade, Self.policy(volume) == "Delete" { return try reclaim(volume) }
        var freed = volume.typed(.volumes)
        if freed.annotations[VolumeMatch.boundByController].exists {
            freed["metadata"]["annotations"].removeValue(forKey: VolumeMatch.boundByController)
            freed["spec"].removeValue(forKey: "claimRef")
        } else {
            // Whoever made the volume meant it for a claim of this name.
            freed["spec"]["claimRef"].removeValue(forKey: "uid")
        }
        try setPhase(try cluster.writer.update(.volumes, freed), "Available")
    }

    private static func policy(_ volume: JSON) -> String {
        volume["spec"]["persistentVolumeReclaimPolicy"].stringValue ?? "Retain"
    }

    private func reclaim(_ volume: JSON) throws {
        let phase = volume["status"]["phase"].stringValue
        // Its event brings the volume back, and it is reclaimed then.
        if phase != "Released" && phase != "Failed" { return try setPhase(volume, "Released") }
        switch Self.policy(volume) {
        case "Delete":
            guard try deleteContent(volume) else { return }
            try cluster.writer.delete(.volumes, volume)
        case "Recycle":
            let message = "hostd does not recycle volumes: use the reclaim policy Retain, or Delete with a driver"
            try fail(volume, "VolumeFailedRecycle", message)
        default: return
        }
    }

    /// Has a driver delete what is behind a volume; false when none of hostd's plugins is to.
    private func deleteContent(_ volume: JSON) throws -> Bool {
        let driver = volume["spec"]["csi"]["driver"].stringValue ?? ""
        guard let provider = try drivers.provider(driver) else {
            // Whoever made it, outside of hostd or by a plugin that is not active, deletes it.
            if volume.annotations[VolumeMatch.provisionedBy].exists { return false }
            let message = driver.isEmpty ? "volume has no driver that can delete it" : "no provider of driver \(driver)"
            try fail(volume, "VolumeFailedDelete", message)
            return false
        }
        do {
            _ = try provider.deleteVolume(["volumeID": volume["spec"]["csi"]["volumeHandle"]], deadline: 0)
        } catch {
            record(.volumes, volume, .warning, "VolumeFailedDelete", "\(error)")
            throw error
        }
        return true
    }

    private func fail(_ volume: JSON, _ reason: String, _ message: String) throws {
        if volume["status"]["phase"].stringValue == "Failed" { return }
        record(.volumes, volume, .warning, reason, message)
        let status = volume["status"].with("phase", "Failed").with("message", .string(message))
        try cluster.writer.updateStatus(.volumes, volume, status: status)
    }

    /// Lets a deleted volume go when no claim is bound to it. Its content goes by its reclaim policy, as if the claim had gone
    /// first.
    private func releaseVolume(_ volume: JSON) throws {
        guard volume.finalizers.contains(Self.volumeProtection) else { return }
        let reference = volume["spec"]["claimRef"]
        if let name = reference["name"].stringValue {
            let claim = cluster.volumeClaims.get(reference["namespace"].stringValue ?? "", name)
            if let claim, claim.uid == reference["uid"].stringValue,
                claim["spec"]["volumeName"].stringValue == volume.name
            {
                return
            }
        }
        let isMade = volume.annotations[VolumeMatch.provisionedBy].exists
        if isMade, Self.policy(volume) == "Delete" { _ = try deleteContent(volume) }
        let rest = volume.finalizers.filter { $0 != Self.volumeProtection }
        try cluster.writer.patch(.volumes, volume, Finalizers.patch(volume, rest))
    }

    private func setPhase(_ volume: JSON, _ phase: String) throws {
        if volume["status"]["phase"].stringValue == phase { return }
        var status = volume["status"].with("phase", .string(phase))
        // What kept it from being reclaimed is over.
        if volume["status"]["phase"].stringValue == "Failed" { status.removeValue(forKey: "message") }
        try cluster.writer.updateStatus(.volumes, volume, status: status)
    }
}
