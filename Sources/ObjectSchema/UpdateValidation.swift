import Objects

/// The rules about changes that are more than "this field is immutable", by kind.
enum UpdateValidation {
    static func errors(from old: JSON, to new: JSON, type: String) -> [FieldError] {
        switch type {
        case "io.k8s.api.core.v1.Pod": pod(old, new)
        case "io.k8s.api.core.v1.ConfigMap", "io.k8s.api.core.v1.Secret": data(old, new)
        case "io.k8s.api.core.v1.PersistentVolumeClaim": VolumeValidation.claimUpdate(old, new)
        case "io.k8s.api.core.v1.PersistentVolume": VolumeValidation.volumeUpdate(old, new)
        case "io.k8s.api.core.v1.ResourceQuota": quota(old, new)
        case "io.k8s.api.core.v1.Node": NodeValidation.update(from: old, to: new)
        case "io.k8s.api.apps.v1.StatefulSet": statefulSet(old, new)
        case "io.k8s.api.core.v1.Service": ServiceValidation.update(from: old, to: new)
        case "io.k8s.api.batch.v1.Job": JobUpdateValidation.errors(from: old, to: new)
        case "io.k8s.api.storage.v1.CSIDriver": StorageKindsValidation.driverUpdate(from: old, to: new)
        case "io.k8s.api.storage.v1.CSINode": StorageKindsValidation.nodeUpdate(from: old, to: new)
        case "io.k8s.api.networking.v1.ServiceCIDR": ServiceRangeValidation.update(from: old, to: new)
        case CustomResourceDefinitionValidation.typeName: CustomResourceDefinitionValidation.update(from: old, to: new)
        default: []
        }
    }

    /// Takes back what is wrong with a changed object, was so before, and may stay.
    static func review(from old: JSON, to new: JSON, type: String, _ errors: inout [FieldError]) {
        guard !errors.isEmpty else { return }
        switch type {
        case "io.k8s.api.batch.v1.CronJob": CronJobValidation.review(from: old, to: new, &errors)
        case "io.k8s.api.networking.v1.NetworkPolicy":
            NetworkPolicyValidation.review(from: old, to: new, &errors)
        case "io.k8s.api.networking.v1.Ingress": IngressValidation.review(from: old, to: new, &errors)
        case "io.k8s.api.apps.v1.StatefulSet": errors.removeAll { $0.path == "spec.serviceName" }
        // What cannot change is not looked at again.
        case "io.k8s.api.resource.v1.ResourceClaim", "io.k8s.api.resource.v1.ResourceClaimTemplate":
            errors.removeAll { $0.path.hasPrefix("spec.") }
        case "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
            "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler":
            guard AutoscalerValidation.complaint(about: old["spec"]["scaleTargetRef"]) != nil else { return }
            errors.removeAll { $0.path == "spec.scaleTargetRef.apiVersion" }
        default: break
        }
    }

    /// A pod's containers may get other images; little else of a running pod can change.
    private static func pod(_ old: JSON, _ new: JSON) -> [FieldError] {
        var errors = PodAnnotationValidation.update(from: old, to: new)
        var adapted = new["spec"]
        for list in ["containers", "initContainers"] {
            let before = old["spec"][list].arrayValue
            let after = new["spec"][list].arrayValue
            if before.count != after.count {
                return errors + [.forbidden("spec.\(list)", "pod updates may not add or remove containers")]
            }
            guard !after.isEmpty else { continue }
            adapted[list].updateElements { index, container in container["image"] = before[index]["image"] }
        }
        let deadline = new["spec"]["activeDeadlineSeconds"]
        if let after = deadline.integerValue {
            if !(0...Int64(Int32.max)).contains(after) {
                return errors + [
                    .invalid("spec.activeDeadlineSeconds", deadline, "must be between 0 and 2147483647, inclusive")
                ]
            }
            if let before = old["spec"]["activeDeadlineSeconds"].integerValue, after > before {
                return errors + [
                    .invalid("spec.activeDeadlineSeconds", deadline, "must be less than or equal to previous value")
                ]
            }
        } else if old["spec"]["activeDeadlineSeconds"].exists {
            errors.append(
                .invalid(
                    "spec.activeDeadlineSeconds", deadline, "must not update from a positive integer to nil value"))
        }
        tolerations(old["spec"], new["spec"], &errors)
        let gates = old["spec"]["schedulingGates"].arrayValue
        for (index, gate) in new["spec"]["schedulingGates"].arrayValue.enumerated() where !gates.contains(gate) {
            errors.append(
                .forbidden(
                    "spec.schedulingGates[\(index)].name",
                    "only deletion is allowed, but found new scheduling gate '\(gate["name"].stringValue ?? "")'"))
        }
        for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
            take(field, from: old["spec"], into: &adapted)
        }
        if !gates.isEmpty { GatedPodValidation.check(from: old["spec"], to: new["spec"], &adapted, &errors) }
        if (old["spec"]["terminationGracePeriodSeconds"].integerValue ?? 0) < 0,
            adapted["terminationGracePeriodSeconds"] == 1
        {
            take("terminationGracePeriodSeconds", from: old["spec"], into: &adapted)
        }
        if adapted != old["spec"] {
            errors.append(
                .forbidden(
                    "spec",
                    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
                ))
        }
        return errors
    }

    /// Those that are there stay, but for how long they hold.
    private static func tolerations(_ old: JSON, _ new: JSON, _ errors: inout [FieldError]) {
        func timeless(_ toleration: JSON) -> JSON {
            var toleration = toleration
            toleration.removeValue(forKey: "tolerationSeconds")
            return toleration
        }
        if old["tolerations"] == new["tolerations"] { return }
        let kept = Set(new["tolerations"].arrayValue.map(timeless))
        if !old["tolerations"].arrayValue.allSatisfy({ kept.contains(timeless($0)) }) {
            errors.append(
                .forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"))
        }
    }

    private static func take(_ field: String, from source: JSON, into target: inout JSON) {
        if source[field].exists { target[field] = source[field] } else { target.removeValue(forKey: field) }
    }

    private static func data(_ old: JSON, _ new: JSON) -> [FieldError] {
        guard old["immutable"].boolValue == true else { return [] }
        var errors: [FieldError] = []
        if new["immutable"].boolValue != true {
            errors.append(.forbidden("immutable", "field is immutable when `immutable` is set"))
        }
        for field in ["data", "binaryData"] where old[field] != new[field] {
            errors.append(.forbidden(field, "field is immutable when `immutable` is set"))
        }
        return errors
    }

    private static func quota(_ old: JSON, _ new: JSON) -> [FieldError] {
        func scopes(_ quota: JSON) -> Set<String> { Set(quota["spec"]["scopes"].arrayValue.compactMap(\.stringValue)) }
        if scopes(old) == scopes(new) { return [] }
        return [.invalid("spec.scopes", new["spec"]["scopes"], "field is immutable")]
    }

    private static func statefulSet(_ old: JSON, _ new: JSON) -> [FieldError] {
        var adapted = new["spec"]
        let changeable = [
            "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
        ]
        for field in changeable { take(field, from: old["spec"], into: &adapted) }
        if adapted == old["spec"] { return [] }
        return [
            .forbidden(
                "spec",
                "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
            )
        ]
    }
}
