import Objects

/// A part of a container's configuration that cannot be built now; `reason` is what its status shows.
struct ContainerConfigurationError: Error, Equatable {
    var reason = "CreateContainerConfigError"
    var message: String
}

/// Builds the environment of a container in the order that Kubernetes defines: envFrom, then env, then services.
struct EnvironmentBuilder {
    let pod: Pod
    let container: PodContainer
    let facts: PodRuntimeFacts
    let allocatable: ResourceFieldReference.NodeAllocatable
    /// Services whose variables the container gets.
    let services: [JSON]
    /// The present ConfigMap or Secret ("configmaps" or "secrets", name) of the pod's namespace; nil when it is absent.
    let object: (_ resource: String, _ name: String) throws -> JSON?
    /// The content of a file in a volume of the pod; nil when there is none.
    let file: (_ volume: String, _ path: String) throws -> [UInt8]?

    /// Variables, each name once, in order of first appearance.
    func build() throws -> [(name: String, value: String)] {
        var result = OrderedVariables()
        result.set("HOSTNAME", pod.hostNetwork ? facts.nodeName : pod.hostname)
        for source in container.object["envFrom"].arrayValue { try add(source, to: &result) }
        let serviceVariables = ServiceEnvironment.variables(services)
        let serviceValues = Dictionary(serviceVariables.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
        for entry in container.object["env"].arrayValue {
            guard let name = entry["name"].stringValue else { continue }
            if let value = entry["value"].stringValue, !entry["valueFrom"].exists {
                result.set(name, VariableExpansion.expand(value) { result[$0] ?? serviceValues[$0] })
            } else if entry["valueFrom"].exists {
                if let value = try resolve(entry["valueFrom"]) { result.set(name, value) }
            } else {
                result.set(name, "")
            }
        }
        for variable in serviceVariables where result[variable.name] == nil {
            result.set(variable.name, variable.value)
        }
        return result.list
    }

    private func add(_ source: JSON, to result: inout OrderedVariables) throws {
        let prefix = source["prefix"].stringValue ?? ""
        let (reference, resource) =
            source["configMapRef"].exists ? (source["configMapRef"], "configmaps") : (source["secretRef"], "secrets")
        guard let name = reference["name"].stringValue else { return }
        guard let found = try object(resource, name) else {
            if reference["optional"].boolValue == true { return }
            throw ContainerConfigurationError(message: notFound(resource, name))
        }
        for entry in (found["data"].objectValue ?? [:]) {
            guard let text = text(entry.value, resource) else { continue }
            let name = prefix + entry.key
            if Self.isValidName(name) { result.set(name, text) }
        }
    }

    private func resolve(_ source: JSON) throws -> String? {
        if source["fieldRef"].exists {
            let path = source["fieldRef"]["fieldPath"].stringValue ?? ""
            guard let value = FieldReference.resolve(path, pod: pod, facts: facts) else {
                throw ContainerConfigurationError(message: "unsupported fieldPath: \(path)")
            }
            return value
        }
        if source["resourceFieldRef"].exists {
            let reference = source["resourceFieldRef"]
            let owner = reference["containerName"].stringValue.flatMap(pod.container(named:)) ?? container
            guard let value = ResourceFieldReference.resolve(reference, container: owner, allocatable: allocatable)
            else {
                throw ContainerConfigurationError(
                    message: "unsupported container resource: \(reference["resource"].stringValue ?? "")")
            }
            return value
        }
        if source["fileKeyRef"].exists { return try resolve(fileKey: source["fileKeyRef"]) }
        let (reference, resource) =
            source["configMapKeyRef"].exists
            ? (source["configMapKeyRef"], "configmaps") : (source["secretKeyRef"], "secrets")
        let name = reference["name"].stringValue ?? ""
        let key = reference["key"].stringValue ?? ""
        let optional = reference["optional"].boolValue == true
        guard let found = try object(resource, name) else {
            if optional { return nil }
            throw ContainerConfigurationError(message: notFound(resource, name))
        }
        guard let value = text(found["data"][key], resource) else {
            if optional { return nil }
            let kind = resource == "configmaps" ? "ConfigMap" : "Secret"
            throw ContainerConfigurationError(message: "couldn't find key \(key) in \(kind) \(pod.namespace)/\(name)")
        }
        return value
    }

    private func resolve(fileKey reference: JSON) throws -> String? {
        let path = reference["path"].stringValue ?? ""
        let key = reference["key"].stringValue ?? ""
        let volume = reference["volumeName"].stringValue ?? ""
        let bytes: [UInt8]?
        do {
            bytes = try file(volume, path)
        } catch {
            throw ContainerConfigurationError(
                message: "environment file \"\(path)\" of volume \"\(volume)\" cannot be read: \(error)")
        }
        let value = try bytes.flatMap { try EnvironmentFile.value(of: key, in: $0, path: path) }
        if value != nil || reference["optional"].boolValue == true { return value }
        throw ContainerConfigurationError(
            message: bytes == nil
                ? "environment file \"\(path)\" not found in volume \"\(volume)\""
                : "environment variable key \"\(key)\" not found in file \"\(path)\"")
    }

    private func text(_ value: JSON, _ resource: String) -> String? {
        guard let text = value.stringValue else { return nil }
        guard resource == "secrets" else { return text }
        return Base64.decode(text).map { String(decoding: $0, as: UTF8.self) }
    }

    private func notFound(_ resource: String, _ name: String) -> String {
        "\(resource == "configmaps" ? "configmap" : "secret") \"\(name)\" not found"
    }

    /// Whether a key may become a variable: printable ASCII without "=".
    static func isValidName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "=") }
    }
}

/// Variables by name that remember their order.
private struct OrderedVariables {
    private(set) var list: [(name: String, value: String)] = []
    private var positions: [String: Int] = [:]

    subscript(name: String) -> String? { positions[name].map { list[$0].value } }

    mutating func set(_ name: String, _ value: String) {
        if let position = positions[name] {
            list[position].value = value
        } else {
            positions[name] = list.count
            list.append((name, value))
        }
    }
}
