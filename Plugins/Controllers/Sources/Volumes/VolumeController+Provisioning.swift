import Objects
import PluginKit

/// Has volumes made for claims whose class says how.
extension VolumeController {
    func provision(_ claim: JSON, _ storageClass: JSON, node: JSON?) throws -> Requeue {
        let driver = storageClass["provisioner"].stringValue ?? ""
        if driver == "kubernetes.io/no-provisioner" { return .done }
        guard let provider = try drivers.provider(driver) else {
            try askOutside(claim, driver)
            return .done
        }
        let made: JSON
        do {
            let request = try request(for: claim, storageClass, driver, node: node)
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

    /// A provisioner that is no plugin of hostd learns by annotations that it is meant.
    private func askOutside(_ claim: JSON, _ driver: String) throws {
        let keys = VolumeMatch.storageProvisioners
        if keys.contains(where: { claim.annotations[$0].stringValue != driver }) {
            let annotations = JSONObject(keys.map { ($0, .string(driver)) })
            try cluster.writer.patch(.volumeClaims, claim, ["metadata": ["annotations": .object(annotations)]])
        }
        let message =
            "Waiting for a volume to be created either by the external provisioner '\(driver)' or manually "
            + "by the system administrator. If volume creation is delayed, please verify that the provisioner is "
            + "running and correctly registered."
        record(.volumeClaims, claim, .normal, "ExternalProvisioning", message)
    }

    /// What a driver is asked for.
    /// - Throws: what a claim asks for and cannot have.
    private func request(for claim: JSON, _ storageClass: JSON, _ driver: String, node: JSON?) throws -> JSON {
        if claim["spec"]["selector"].exists {
            throw PluginError.invalid("claim Selector is not supported: it chooses among volumes that exist")
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
        if let source = try source(of: claim, driver) { request["source"] = source }
        let attributes = VolumeMatch.attributesClass(claim)
        if !attributes.isEmpty { request["mutableParameters"] = try parameters(ofAttributesClass: attributes, driver) }
        return request
    }

    /// What the new volume begins with; nil for nothing.
    private func source(of claim: JSON, _ driver: String) throws -> JSON? {
        let spec = claim["spec"]
        let reference = spec["dataSourceRef"].exists ? spec["dataSourceRef"] : spec["dataSource"]
        guard reference.exists else { return nil }
        let kind = reference["kind"].stringValue ?? ""
        let name = reference["name"].stringValue ?? ""
        guard kind == "PersistentVolumeClaim", (reference["apiGroup"].stringValue ?? "").isEmpty else {
            throw PluginError.notSupported("volumes cannot be made from the \(kind) \"\(name)\" that the claim names")
        }
        guard (reference["namespace"].stringValue ?? claim.namespace) == claim.namespace else {
            throw PluginError.notSupported("a claim's data source must be in the claim's own namespace")
        }
        let volume = cluster.volumeClaims.get(claim.namespace, name).flatMap {
            cluster.volumes.get("", $0["spec"]["volumeName"].stringValue ?? "")
        }
        guard let volume, volume["spec"]["csi"]["driver"].stringValue == driver else {
            throw PluginError.unavailable("the claim \"\(name)\" to copy has no volume of driver \(driver) yet")
        }
        return ["volumeID": volume["spec"]["csi"]["volumeHandle"]]
    }

    private func parameters(ofAttributesClass name: String, _ driver: String) throws -> JSON {
        guard let found = try cluster.store.object("volumeattributesclasses.storage.k8s.io//\(name)") else {
            throw PluginError.unavailable("volumeattributesclass.storage.k8s.io \"\(name)\" not found")
        }
        guard found["driverName"].stringValue == driver else {
            throw PluginError.invalid(
                "VolumeAttributesClass \"\(name)\" is of driver \(found["driverName"].stringValue ?? ""), not \(driver)"
            )
        }
        return found["parameters"].exists ? found["parameters"] : [:]
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
    func reschedule(_ claim: JSON, _ reason: String) throws {
        cluster.host.log.info("a claim's node is chosen anew: \(reason)", ["claim": .string(objectKey(claim))])
        try cluster.writer.patch(
            .volumeClaims, claim, ["metadata": ["annotations": .object([PodVolumes.selectedNode: .null])]])
    }
}
