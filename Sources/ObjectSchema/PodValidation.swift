import Objects

/// Rules of pods: of a specification as a whole, and of the parts that have no rules of their own elsewhere.
enum PodValidation {
    /// - Parameter spec: Of a pod, or of the pods of a template. What is found is named from here.
    static func podSpec(_ spec: JSON, _ errors: inout [FieldError]) {
        let pod = ContainerValidation.Surroundings(spec)
        PodVolumeValidation.names(spec["volumes"].arrayValue, &errors)
        ClaimReferences.claims(spec["resourceClaims"].arrayValue, &errors)
        containers(spec, pod, &errors)
        PodLevelResources.check(spec, &errors)
        SecurityValidation.pod(spec, &errors)
        PodNetworkValidation.pod(spec, &errors)
        PlacementValidation.pod(spec, &errors)
        WindowsValidation.hostProcess(spec, &errors)
        ownUsers(spec, &errors)
        if let overhead = spec["overhead"].objectValue {
            ResourceValidation.amounts(overhead, at: "overhead.limits", &errors)
        }
        WindowsValidation.system(spec, &errors)
    }

    private static func containers(
        _ spec: JSON, _ pod: ContainerValidation.Surroundings, _ errors: inout [FieldError]
    ) {
        let claims = Set(spec["resourceClaims"].arrayValue.compactMap { $0["name"].stringValue })
        var names: Set<String> = []
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            for (index, container) in spec[list].arrayValue.enumerated() {
                let name = container["name"].stringValue ?? ""
                ContainerValidation.common(container, pod, at: "\(list)[\(index)]", &errors)
                if !names.insert(name).inserted, !name.isEmpty || list == "containers" {
                    errors.append(.duplicate("\(list)[\(index)].name", .string(name)))
                }
                ClaimReferences.uses(
                    container["resources"]["claims"].arrayValue, of: claims, at: "\(list)[\(index)].resources.claims",
                    &errors)
                for (position, variable) in container["env"].arrayValue.enumerated()
                where variable["valueFrom"]["fileKeyRef"].exists {
                    ProjectionValidation.file(
                        variable["valueFrom"]["fileKeyRef"], "\(list)[\(index)].env[\(position)].valueFrom.fileKeyRef",
                        volumes: spec["volumes"].arrayValue, &errors)
                }
                switch list {
                case "containers":
                    ContainerRestartValidation.check(container, at: "containers[\(index)]", &errors)
                    ContainerValidation.serving(container, pod, at: "containers[\(index)]", &errors)
                case "initContainers":
                    ContainerRestartValidation.check(container, at: "initContainers[\(index)]", &errors)
                    initContainer(container, pod, at: "initContainers[\(index)]", &errors)
                default:
                    EphemeralContainerValidation.container(
                        container, of: spec, at: "ephemeralContainers[\(index)]", &errors)
                }
            }
        }
    }

    /// Only an init container that keeps running may have probes and hooks.
    private static func initContainer(
        _ container: JSON, _ pod: ContainerValidation.Surroundings, at place: @autoclosure () -> String,
        _ errors: inout [FieldError]
    ) {
        if container["restartPolicy"].stringValue == "Always" {
            return ContainerValidation.serving(container, pod, at: place(), &errors)
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] where container[field].exists {
            errors.append(
                .forbidden("\(place()).\(field)", "may not be set for init containers without restartPolicy=Always"))
        }
    }

    /// A pod with users of its own shares nothing of the host with whom it does not share users.
    private static func ownUsers(_ spec: JSON, _ errors: inout [FieldError]) {
        guard spec["hostUsers"].boolValue == false else { return }
        // The fields are spelled as Kubernetes' messages spell them.
        for (field, name) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")]
        where spec[field].boolValue == true {
            errors.append(.forbidden(name, "when `pod.Spec.HostUsers` is false"))
        }
    }

    // MARK: - Pods that are no templates

    static func pod(_ pod: JSON, _ errors: inout [FieldError]) {
        let spec = pod["spec"]
        PodAnnotationValidation.annotations(of: pod, spec, at: "metadata.annotations", &errors)
        for (index, volume) in spec["volumes"].arrayValue.enumerated() {
            PodVolumeValidation.ofPod(volume, pod, at: "spec.volumes[\(index)]", &errors)
        }
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            for (index, container) in spec[list].arrayValue.enumerated() {
                guard let image = container["image"].stringValue,
                    image.first?.isWhitespace == true || image.last?.isWhitespace == true
                else { continue }
                errors.append(
                    .invalid(
                        "spec.\(list)[\(index)].image", container["image"],
                        "must not have leading or trailing whitespace"))
            }
        }
    }

    /// What a new pod may not have.
    static func creation(_ pod: JSON) -> [FieldError] {
        var errors: [FieldError] = []
        if !pod["spec"]["ephemeralContainers"].isEmpty {
            errors.append(.forbidden("spec.ephemeralContainers", "cannot be set on create"))
        }
        GatedPodValidation.place(pod["spec"], &errors)
        PodAnnotationValidation.agreement(pod, at: "spec", &errors)
        return errors
    }

    /// The metadata of a template is told of without the word.
    static func template(_ template: JSON, _ errors: inout [FieldError]) {
        let metadata = template["metadata"]
        for (key, value) in metadata["labels"].objectValue ?? [:] {
            errors += NameChecks.qualifiedName(key).map { .invalid("labels", .string(key), $0) }
            errors += NameChecks.labelValue(value.stringValue ?? "").map { .invalid("labels", value, $0) }
        }
        MetadataValidation.checkAnnotations(metadata["annotations"], at: "annotations", &errors)
        PodAnnotationValidation.annotations(of: template, template["spec"], at: "annotations", &errors)
        PodAnnotationValidation.agreement(template, at: "spec", &errors)
        if !template["spec"]["ephemeralContainers"].isEmpty {
            errors.append(
                .forbidden("spec.ephemeralContainers", "ephemeral containers not allowed in pod template"))
        }
    }
}
