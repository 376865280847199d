import Objects

/// One mount of a container, resolved to a host path, or an image.
struct ContainerMount: Sendable, Equatable {
    var containerPath: String
    /// Empty for an image.
    var hostPath: String
    var image: String?
    /// What of the image; empty for all.
    var imagePath = ""
    var readOnly = false
    /// What is mounted below it is read-only too.
    var recursiveReadOnly = false
    /// "private", "hostToContainer" or "bidirectional".
    var propagation = "private"

    var json: JSON {
        if let image {
            return [
                "containerPath": .string(containerPath), "image": .string(image), "imagePath": .string(imagePath),
                "readOnly": true,
            ]
        }
        var json: JSON = [
            "containerPath": .string(containerPath), "hostPath": .string(hostPath), "readOnly": .bool(readOnly),
            "propagation": .string(propagation),
        ]
        if recursiveReadOnly { json["recursiveReadOnly"] = true }
        return json
    }

    /// Translates a volumeMount's mountPropagation.
    static func propagation(_ value: JSON) -> String {
        switch value.stringValue {
        case "HostToContainer": return "hostToContainer"
        case "Bidirectional": return "bidirectional"
        default: return "private"
        }
    }
}

/// Assembles the runtime's ContainerConfig from parts that are all known.
struct ContainerConfiguration {
    let pod: Pod
    let container: PodContainer
    let attempt: Int64
    /// The image's id when it is known, else the reference.
    let image: String
    let environment: [(name: String, value: String)]
    let mounts: [ContainerMount]
    /// CDI edits of allocated devices.
    let edits: [JSON]
    let nodeMemoryBytes: Int64
    let seccompDirectory: String
    /// The id of the container whose processes this one, which was added to debug it, is to see.
    var target: String?

    func build() throws -> JSON {
        let object = container.object
        var values: [String: String] = [:]
        for variable in environment { values[variable.name] = variable.value }
        func expanded(_ list: JSON) -> JSON {
            JSON(list.arrayValue.map { VariableExpansion.expand($0.stringValue ?? "") { values[$0] } })
        }
        let quality =
            pod.status["qosClass"].stringValue.flatMap(QualityOfService.init(rawValue:))
            ?? QualityOfService.classify(pod.specification)
        var config: JSONObject = [
            "name": .string(container.name), "attempt": .integer(attempt), "image": .string(image),
            "environment": .array(environment.map { ["name": .string($0.name), "value": .string($0.value)] }),
            "mounts": .array(mounts.map(\.json)),
            "logPath": .string("\(container.name)/\(attempt).log"),
            "labels": labels, "annotations": [ObservedContainer.imageAnnotation: .string(container.image)],
            "resources": ResourceTranslation.container(
                container, quality: quality, nodeMemoryBytes: nodeMemoryBytes),
            "security": try SecurityTranslation.build(container, pod: pod, seccompDirectory: seccompDirectory),
        ]
        if !object["command"].isEmpty { config["command"] = expanded(object["command"]) }
        if !object["args"].isEmpty { config["args"] = expanded(object["args"]) }
        if let directory = object["workingDir"].stringValue, !directory.isEmpty {
            config["workingDirectory"] = .string(directory)
        }
        for name in ["stdin", "stdinOnce", "tty"] where object[name].boolValue == true { config[name] = true }
        if let signal = object["lifecycle"]["stopSignal"].stringValue { config["stopSignal"] = .string(signal) }
        if let target { config["targetContainerID"] = .string(target) }
        if !edits.isEmpty { config["edits"] = .array(edits) }
        return .object(config)
    }

    private var labels: JSON {
        [
            "io.kubernetes.pod.name": .string(pod.name), "io.kubernetes.pod.namespace": .string(pod.namespace),
            "io.kubernetes.pod.uid": .string(pod.uid), "io.kubernetes.container.name": .string(container.name),
        ]
    }
}

/// Assembles the runtime's SandboxConfig.
enum SandboxConfiguration {
    static func build(_ pod: Pod, attempt: Int64, logDirectory: String, clusterDomain: String) -> JSON {
        let specification = pod.specification
        var config: JSONObject = [
            "podUID": .string(pod.uid), "name": .string(pod.name), "namespace": .string(pod.namespace),
            "attempt": .integer(attempt), "logDirectory": .string(logDirectory),
            "labels": pod.object["metadata"]["labels"].exists ? pod.object["metadata"]["labels"] : [:],
            "annotations": [:], "resources": ResourceTranslation.pod(pod),
        ]
        if !pod.hostNetwork { config["hostname"] = .string(hostname(pod, clusterDomain: clusterDomain)) }
        for name in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"]
        where specification[name].boolValue == true {
            config[name] = true
        }
        var sysctls = JSONObject()
        for entry in specification["securityContext"]["sysctls"].arrayValue {
            if let name = entry["name"].stringValue { sysctls[name] = entry["value"] }
        }
        if !sysctls.isEmpty { config["sysctls"] = .object(sysctls) }
        return .object(config)
    }

    /// The kernel's host name: the short one, or the full one with setHostnameAsFQDN.
    static func hostname(_ pod: Pod, clusterDomain: String) -> String {
        guard pod.hostnameOverride == nil, pod.specification["setHostnameAsFQDN"].boolValue == true,
            let full = fullyQualifiedName(pod, clusterDomain: clusterDomain)
        else { return pod.hostname }
        return full
    }

    /// "web-0.web.default.svc.cluster.local"; nil without a subdomain.
    static func fullyQualifiedName(_ pod: Pod, clusterDomain: String) -> String? {
        guard let subdomain = pod.specification["subdomain"].stringValue, !subdomain.isEmpty,
            pod.hostnameOverride == nil
        else { return nil }
        return "\(pod.hostname).\(subdomain).\(pod.namespace).svc.\(clusterDomain)"
    }
}
