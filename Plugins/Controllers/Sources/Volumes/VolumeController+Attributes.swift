import Objects
import PluginKit

/// Bound claims that ask for other attributes than their volume has.
/// See https://kubernetes.io/docs/concepts/storage/volume-attributes-classes/.
extension VolumeController {
    /// hostd's drivers change no attributes of a volume that there is, and the claim is told so. Drivers outside of hostd have
    /// controllers of their own.
    func checkAttributes(_ claim: JSON, _ volume: JSON) throws {
        guard let status = VolumeMatch.attributesStatus(claim, volume, now: .now()) else { return }
        let driver = volume["spec"]["csi"]["driver"].stringValue ?? ""
        guard try drivers.provider(driver) != nil else { return }
        let failure = status["conditions"].condition(VolumeMatch.attributesFailure)
        if let message = failure["message"].stringValue {
            record(.volumeClaims, claim, .warning, "VolumeModifyFailed", message)
        }
        try cluster.writer.updateStatus(.volumeClaims, claim, status: status)
    }
}

extension VolumeMatch {
    /// The type of the condition that tells of attributes which cannot be given.
    static let attributesFailure = "ModifyVolumeError"

    /// What the status of a bound claim is to say of the class of attributes that it asks for, where nobody can give a volume
    /// other ones; nil when it says so.
    static func attributesStatus(_ claim: JSON, _ volume: JSON, now: Timestamp) -> JSON? {
        var status = claim["status"]
        let wanted = attributesClass(claim)
        if wanted.isEmpty || wanted == attributesClass(volume) {
            guard status["modifyVolumeStatus"].exists else { return nil }
            status.removeValue(forKey: "modifyVolumeStatus")
            status["conditions"].removeCondition(attributesFailure)
            if status["conditions"].isEmpty { status.removeValue(forKey: "conditions") }
            return status
        }
        status["modifyVolumeStatus"] = ["targetVolumeAttributesClassName": .string(wanted), "status": "Infeasible"]
        let message = "the driver cannot give the volume the attributes of VolumeAttributesClass \"\(wanted)\""
        if status["conditions"].condition(attributesFailure)["message"].stringValue != message {
            status["conditions"].setCondition([
                "type": .string(attributesFailure), "status": "True", "message": .string(message),
                "lastTransitionTime": .string(now.formatted(fraction: .none)),
            ])
        }
        if status == claim["status"] { return nil }
        return status
    }
}
