import Objects
import PluginKit

/// Claims: protection, binding, provisioning.
extension VolumeController {
    static let claimProtection = "kubernetes.io/pvc-protection"

    func syncClaim(_ claim: JSON) throws -> Requeue {
        if claim.deletionTimestamp != nil {
            try releaseClaim(claim)
            return .done
        }
        if !claim.finalizers.contains(Self.claimProtection) {
            try cluster.writer.patch(
                .volumeClaims, claim, Finalizers.patch(claim, claim.finalizers + [Self.claimProtection]))
            return .done
        }
        if claim.annotations[VolumeMatch.bindCompleted].exists {
            try checkBound(claim)
            return .done
        }
        let name = claim["spec"]["volumeName"].stringValue ?? ""
        if !name.isEmpty {
            if let volume = cluster.volumes.get("", name),
                !volume["spec"]["claimRef"].exists || VolumeMatch.isBound(volume, to: claim)
            {
                try bind(claim, to: volume)
            } else {
                try setPhase(claim, "Pending")
            }
            return .done
        }
        return try findVolume(claim)
    }

    private func findVolume(_ claim: JSON) throws -> Requeue {
        let className = VolumeMatch.className(claim)
        let storageClass = className.isEmpty ? nil : cluster.storageClasses.get("", className)
        let isDelayed = storageClass?["volumeBindingMode"].stringValue == "WaitForFirstConsumer"
        let selected = claim.annotations[PodVolumes.selectedNode].stringValue
        if isDelayed && selected == nil {
            record(
                .volumeClaims, claim, .normal, "WaitForFirstConsumer",
                "waiting for first consumer to be created before binding")
            try setPhase(claim, "Pending")
            return .done
        }
        let node = isDelayed ? selected.flatMap { cluster.nodes.get("", $0) } : nil
        if isDelayed && node == nil {
            try reschedule(claim, "node \"\(selected ?? "")\" does not exist")
            return .done
        }
        if let volume = try VolumeMatch.find(for: claim, among: cluster.volumes.list(), node: node) {
            try bind(claim, to: volume)
            return .done
        }
        guard !className.isEmpty else {
            let message = "no persistent volumes available for this claim and no storage class is set"
            record(.volumeClaims, claim, .normal, "FailedBinding", message)
            try setPhase(claim, "Pending")
            return .done
        }
        guard let storageClass else {
            let message = "storageclass.storage.k8s.io \"\(className)\" not found"
            record(.volumeClaims, claim, .warning, "ProvisioningFailed", message)
            try setPhase(claim, "Pending")
            return .done
        }
        try setPhase(claim, "Pending")
        return try provision(claim, storageClass, node: node)
    }

    // MARK: Provisioning

    private func provision(_ claim: JSON, _ storageClass: JSON, node: JSON?) throws -> Requeue {
        let driver = storageClass["provisioner"].stringValue ?? ""
        if driver == "kubernetes.io/no-provisioner" { return .done }
        guard let provider = try drivers.provider(driver) else {
            let message =
                "Waiting for a volume to be created either by the external provisioner '\(driver)' or manually "
                + "by the system administrator. If volume creation is delayed, please verify that the provisioner is "
                + "running and correctly registered."
            record(.volumeClaims, claim, .normal, "ExternalProvisioning", message)
            return .done
        }
        var request: JSON = [
            "name": .string("pvc-\(claim.uid)"), "capacityBytes": .integer(VolumeMatch.requestedBytes(claim)),
            "accessModes": claim["spec"]["accessModes"],
            "volumeMode": .string(claim["spec"]["volumeMode"].stringValue ?? "Filesystem"),
            "parameters": storageClass["parameters"].exists ? storageClass["parameters"] : [:],
        ]
        if let node {
            let hostname = node.labels["kubernetes.io/hostname"].stringValue ?? node.name
            request["topology"] = ["segments": .object(["kubernetes.io/hostname": .string(hostname)])]
        }
        let made: JSON
        do {
            made = try provider.createVolume(request, deadline: 0)["volume"]
        } catch let failure {
            return try provisioningFailed(claim, PluginError(failure), isDelayed: node != nil)
        }
        let volume = VolumeMatch.provisioned(claim, storageClass: storageClass, driver: driver, made: made)
        if let node, !VolumeMatch.allows(volume, node: node) {
            _ = try provider.deleteVolume(["volumeID": made["volumeID"]], deadline: 0)
            let error = PluginError.exhausted("driver \(driver) makes no volumes for node \"\(node.name)\"")
            return try provisioningFailed(claim, error, isDelayed: true)
        }
        do {
            try cluster.writer.create(.volumes, volume)
        } catch let error as APIError where error.isAlreadyExists {
            // An earlier attempt made it.
        }
        record(
            .volumeClaims, claim, .normal, "ProvisioningSucceeded", "Successfully provisioned volume \(volume.name)")
        // The new volume's event brings the claim back, and binds the two.
        return .done
    }

    private func provisioningFailed(_ claim: JSON, _ error: PluginError, isDelayed: Bool) throws -> Requeue {
        let className = VolumeMatch.className(claim)
        let message = "failed to provision volume with StorageClass \"\(className)\": \(error)"
        record(.volumeClaims, claim, .warning, "ProvisioningFailed", message)
        // On another node it may work: the scheduler chooses again.
        if isDelayed && error.code == PluginError.exhausted("").code {
            try reschedule(claim, message)
            return .done
        }
        throw error
    }

    /// Takes the node off the claim, by which the scheduler learns that it must choose another one.
    private func reschedule(_ claim: JSON, _ reason: String) throws {
        cluster.host.log.info("a claim's node is chosen anew: \(reason)", ["claim": .string(objectKey(claim))])
        try cluster.writer.patch(
            .volumeClaims, claim, ["metadata": ["annotations": .object([PodVolumes.selectedNode: .null])]])
    }

    // MARK: Binding

    /// Both sides name each other, the volume first: a volume is never given to two claims.
    func bind(_ claim: JSON, to volume: JSON) throws {
        var volume = volume.typed(.volumes)
        if !VolumeMatch.isBound(volume, to: claim) || (volume["spec"]["claimRef"]["uid"].stringValue ?? "").isEmpty {
            if !volume["spec"]["claimRef"].exists {
                volume["metadata"]["annotations"][VolumeMatch.boundByController] = "yes"
            }
            volume["spec"]["claimRef"] = [
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": .string(claim.namespace),
                "name": .string(claim.name), "uid": .string(claim.uid),
            ]
            volume = try cluster.writer.update(.volumes, volume)
        }
        if volume["status"]["phase"].stringValue != "Bound" {
            try cluster.writer.updateStatus(.volumes, volume, status: volume["status"].with("phase", "Bound"))
        }
        var bound = claim.typed(.volumeClaims)
        if bound["spec"]["volumeName"].stringValue != volume.name {
            bound["spec"]["volumeName"] = .string(volume.name)
            bound["metadata"]["annotations"][VolumeMatch.boundByController] = "yes"
        }
        bound["metadata"]["annotations"][VolumeMatch.bindCompleted] = "yes"
        bound = try cluster.writer.update(.volumeClaims, bound)
        try setBound(bound, volume)
    }

    private func setBound(_ claim: JSON, _ volume: JSON) throws {
        var status = claim["status"]
        status["phase"] = "Bound"
        status["accessModes"] = volume["spec"]["accessModes"]
        status["capacity"] = volume["spec"]["capacity"]
        try cluster.writer.updateStatus(.volumeClaims, claim, status: status)
    }

    private func checkBound(_ claim: JSON) throws {
        let name = claim["spec"]["volumeName"].stringValue ?? ""
        guard let volume = cluster.volumes.get("", name) else {
            if claim["status"]["phase"].stringValue == "Lost" { return }
            record(
                .volumeClaims, claim, .warning, "ClaimLost",
                "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
            return try setPhase(claim, "Lost")
        }
        if !volume["spec"]["claimRef"].exists { return try bind(claim, to: volume) }
        guard VolumeMatch.isBound(volume, to: claim) else {
            if claim["status"]["phase"].stringValue == "Lost" { return }
            record(
                .volumeClaims, claim, .warning, "ClaimMisbound",
                "Two claims are bound to the same volume, this one is bound incorrectly")
            return try setPhase(claim, "Lost")
        }
        if claim["status"]["phase"].stringValue != "Bound" { return try setBound(claim, volume) }
        if VolumeMatch.requestedBytes(claim) > VolumeMatch.statusBytes(claim) { try expand(claim, volume) }
    }

    /// Makes a bound volume as large as its claim asks for by now.
    private func expand(_ claim: JSON, _ volume: JSON) throws {
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
            throw error
        }
        let capacity = Quantity.bytes(max(wanted, answer["capacityBytes"].integerValue ?? wanted))
        let grown = try cluster.writer.patch(
            .volumes, volume, ["spec": ["capacity": ["storage": .string(capacity)]]])
        try setBound(claim, grown)
        record(.volumeClaims, claim, .normal, "VolumeResizeSuccessful", "Resize volume succeeded")
    }

    private func setPhase(_ claim: JSON, _ phase: String) throws {
        if claim["status"]["phase"].stringValue == phase { return }
        try cluster.writer.updateStatus(.volumeClaims, claim, status: claim["status"].with("phase", .string(phase)))
    }

    /// Lets a deleted claim go when no pod uses it any more.
    private func releaseClaim(_ claim: JSON) throws {
        guard claim.finalizers.contains(Self.claimProtection) else { return }
        let isUsed = cluster.pods.list(claim.namespace).contains {
            !PodState($0).isFinished && PodVolumes.claimNames($0).contains(claim.name)
        }
        if isUsed { return }
        let rest = claim.finalizers.filter { $0 != Self.claimProtection }
        try cluster.writer.patch(.volumeClaims, claim, Finalizers.patch(claim, rest))
    }
}

enum Finalizers {
    /// The merge patch that sets an object's finalizers, at the state that was decided by.
    static func patch(_ object: JSON, _ finalizers: [String]) -> JSON {
        ["metadata": ["resourceVersion": .string(object.resourceVersion), "finalizers": JSON(finalizers)]]
    }
}
