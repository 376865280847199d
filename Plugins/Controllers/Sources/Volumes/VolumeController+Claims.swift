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
            try bindRequested(claim, name)
            return .done
        }
        return try findVolume(claim)
    }

    /// A claim that names its volume gets that one, or waits for it.
    private func bindRequested(_ claim: JSON, _ name: String) throws {
        guard let volume = cluster.volumes.get("", name) else { return try setPhase(claim, "Pending") }
        if volume["spec"]["claimRef"].exists {
            let isOurs = VolumeMatch.isBound(volume, to: claim)
            return try isOurs ? bind(claim, to: volume) : setPhase(claim, "Pending")
        }
        if let reason = VolumeMatch.mismatch(volume, claim) {
            record(
                .volumeClaims, claim, .warning, "VolumeMismatch",
                "Cannot bind to requested volume \"\(name)\": \(reason)")
            return try setPhase(claim, "Pending")
        }
        try bind(claim, to: volume)
    }

    private func findVolume(_ claim: JSON) throws -> Requeue {
        let className = VolumeMatch.className(claim)
        let storageClass = className.isEmpty ? nil : cluster.storageClasses.get("", className)
        let isDelayed = storageClass?["volumeBindingMode"].stringValue == "WaitForFirstConsumer"
        let selected = claim.annotations[PodVolumes.selectedNode].stringValue
        let node = isDelayed ? selected.flatMap { cluster.nodes.get("", $0) } : nil
        if isDelayed && selected != nil && node == nil {
            try reschedule(claim, "node \"\(selected ?? "")\" does not exist")
            return .done
        }
        let waits = isDelayed && selected == nil
        if let volume = try VolumeMatch.find(
            for: claim, among: cluster.volumes.list(), node: node, onlyReserved: waits)
        {
            try bind(claim, to: volume)
            return .done
        }
        if waits {
            record(
                .volumeClaims, claim, .normal, "WaitForFirstConsumer",
                "waiting for first consumer to be created before binding")
            try setPhase(claim, "Pending")
            return .done
        }
        return try provide(claim, className, storageClass, node: node)
    }

    /// No volume is there for a claim: has one made, if a class says how.
    private func provide(_ claim: JSON, _ className: String, _ storageClass: JSON?, node: JSON?) throws -> Requeue {
        guard !className.isEmpty else {
            if VolumeMatch.wantsDefaultClass(claim),
                let name = VolumeMatch.defaultClass(of: cluster.storageClasses.list())
            {
                // Its event brings the claim back, with a class.
                try cluster.writer.patch(
                    .volumeClaims, claim,
                    [
                        "metadata": ["resourceVersion": .string(claim.resourceVersion)],
                        "spec": ["storageClassName": .string(name)],
                    ])
                return .done
            }
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

    /// - Parameter status: takes the place of the claim's own.
    func setBound(_ claim: JSON, status: JSON? = nil, _ volume: JSON) throws {
        var status = status ?? claim["status"]
        status["phase"] = "Bound"
        status["accessModes"] = volume["spec"]["accessModes"]
        status["capacity"] = volume["spec"]["capacity"]
        if status["currentVolumeAttributesClassName"].isNull, !VolumeMatch.attributesClass(volume).isEmpty {
            status["currentVolumeAttributesClassName"] = volume["spec"]["volumeAttributesClassName"]
        }
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
        if VolumeMatch.requestedBytes(claim) > VolumeMatch.statusBytes(claim) { return try expand(claim, volume) }
        try checkAttributes(claim, volume)
    }

    private func setPhase(_ claim: JSON, _ phase: String) throws {
        if claim["status"]["phase"].stringValue == phase { return }
        try cluster.writer.updateStatus(.volumeClaims, claim, status: claim["status"].with("phase", .string(phase)))
    }

    /// Lets a deleted claim go when no pod uses it any more. A pod without node does not: it is given none while its claim is
    /// being deleted.
    private func releaseClaim(_ claim: JSON) throws {
        guard claim.finalizers.contains(Self.claimProtection) else { return }
        let isUsed = cluster.pods.list(claim.namespace).contains {
            let pod = PodState($0)
            return !pod.isFinished && !pod.nodeName.isEmpty && PodVolumes.claimNames($0).contains(claim.name)
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
