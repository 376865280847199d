import Objects
import PluginKit

/// Lets volumes grow with their claims.
/// See https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims.
extension VolumeController {
    private static let resizeConditions = ["Resizing", "ControllerResizeError", "FileSystemResizePending"]

    /// Makes a bound volume as large as its claim asks for by now.
    func expand(_ claim: JSON, _ volume: JSON) throws {
        let wanted = VolumeMatch.requestedBytes(claim)
        if VolumeMatch.capacityBytes(volume) >= wanted { return try setBound(claim, volume) }
        let driver = volume["spec"]["csi"]["driver"].stringValue ?? ""
        guard let provider = try drivers.provider(driver) else {
            record(
                .volumeClaims, claim, .warning, "ExternalExpanding",
                "waiting for an external controller to expand this PVC")
            return
        }
        let answer: JSON
        do {
            answer = try provider.expand(
                ["volumeID": volume["spec"]["csi"]["volumeHandle"], "capacityBytes": .integer(wanted)], deadline: 0)
        } catch let failure {
            let error = PluginError(failure)
            record(
                .volumeClaims, claim, .warning, "VolumeResizeFailed",
                "resize volume \"\(volume.name)\" failed: \(error)")
            try noteFailure(claim, wanted, error)
            throw error
        }
        let capacity = Quantity.bytes(max(wanted, answer["capacityBytes"].integerValue ?? wanted))
        let grown = try cluster.writer.patch(
            .volumes, volume, ["spec": ["capacity": ["storage": .string(capacity)]]])
        var done = claim
        done["status"]["allocatedResources"]["storage"] = .string(capacity)
        done["status"]["allocatedResourceStatuses"].removeValue(forKey: "storage")
        for type in Self.resizeConditions { done["status"]["conditions"].removeCondition(type) }
        for key in ["allocatedResourceStatuses", "conditions"] where done["status"][key].isEmpty {
            done["status"].removeValue(forKey: key)
        }
        try setBound(claim, status: done["status"], grown)
        record(.volumeClaims, claim, .normal, "VolumeResizeSuccessful", "Resize volume succeeded")
    }

    /// Says in the claim's status what keeps its volume from growing, once.
    private func noteFailure(_ claim: JSON, _ wanted: Int64, _ error: PluginError) throws {
        var status = claim["status"]
        status["allocatedResources"]["storage"] = .string(Quantity.bytes(wanted))
        status["allocatedResourceStatuses"]["storage"] = .string(
            error.isRetryable ? "ControllerResizeInProgress" : "ControllerResizeInfeasible")
        let before = status["conditions"].condition("ControllerResizeError")
        if before["message"].stringValue != error.message {
            status["conditions"].setCondition([
                "type": "ControllerResizeError", "status": "True", "message": .string(error.message),
                "lastTransitionTime": .string(Timestamp.now().formatted(fraction: .none)),
            ])
        }
        try cluster.writer.updateStatus(.volumeClaims, claim, status: status)
    }
}
