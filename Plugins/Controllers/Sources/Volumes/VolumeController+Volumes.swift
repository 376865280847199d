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
            // The claim took another volume.
            return try reclaim(volume)
        }
        // The cache may lag behind the volume that was made for a claim: the store knows.
        let key = "\(ResourceType.volumeClaims.storeName)/\(reference["namespace"].stringValue ?? "")/\(name)"
        if let stored = try cluster.store.object(key), stored.uid == reference["uid"].stringValue { return }
        try reclaim(volume)
    }

    private func reclaim(_ volume: JSON) throws {
        let phase = volume["status"]["phase"].stringValue
        // Its event brings the volume back, and it is reclaimed then.
        if phase != "Released" && phase != "Failed" { return try setPhase(volume, "Released") }
        guard volume["spec"]["persistentVolumeReclaimPolicy"].stringValue == "Delete" else { return }
        let driver = volume["spec"]["csi"]["driver"].stringValue ?? ""
        guard let provider = try drivers.provider(driver) else {
            if phase == "Failed" { return }
            let message = driver.isEmpty ? "volume has no driver that can delete it" : "no provider of driver \(driver)"
            record(.volumes, volume, .warning, "VolumeFailedDelete", message)
            try setPhase(volume, "Failed")
            return
        }
        do {
            _ = try provider.deleteVolume(["volumeID": volume["spec"]["csi"]["volumeHandle"]], deadline: 0)
        } catch {
            record(.volumes, volume, .warning, "VolumeFailedDelete", "\(error)")
            throw error
        }
        try cluster.writer.delete(.volumes, volume)
    }

    /// Lets a deleted volume go when no claim is bound to it.
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
        let rest = volume.finalizers.filter { $0 != Self.volumeProtection }
        try cluster.writer.patch(.volumes, volume, Finalizers.patch(volume, rest))
    }

    private func setPhase(_ volume: JSON, _ phase: String) throws {
        if volume["status"]["phase"].stringValue == phase { return }
        try cluster.writer.updateStatus(.volumes, volume, status: volume["status"].with("phase", .string(phase)))
    }
}
