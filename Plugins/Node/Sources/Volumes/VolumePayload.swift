import Objects

/// One file of a volume that is made from API objects.
struct PayloadFile: Sendable, Equatable {
    var data: [UInt8]
    /// Permission bits.
    var mode: UInt32
    /// Who owns it; nil for root.
    var user: UInt32?
}

/// A volume that cannot be set up now; the message is what the FailedMount event shows.
struct VolumeError: Error, Equatable, CustomStringConvertible {
    var message: String
    var description: String { message }
}

/// Builds the files of configMap, secret, downwardAPI and projected volumes. Pure but for the two look-ups.
struct VolumePayloadBuilder {
    let pod: Pod
    let facts: PodRuntimeFacts
    let allocatable: ResourceFieldReference.NodeAllocatable
    /// The present ConfigMap or Secret ("configmaps" or "secrets", name); nil when it is absent.
    let object: (_ resource: String, _ name: String) throws -> JSON?
    /// A bound token for the pod's service account ("" = the API's own audience).
    let token: (_ audience: String, _ expirationSeconds: Int64) throws -> String

    static let defaultMode: Int64 = 0o644

    /// Whether the volume is one that this builds.
    static func handles(_ volume: JSON) -> Bool {
        ["configMap", "secret", "downwardAPI", "projected"].contains { volume[$0].exists }
    }

    /// Files by relative path.
    func build(_ volume: JSON) throws -> [String: PayloadFile] {
        if volume["configMap"].exists {
            let source = volume["configMap"]
            return try keyed(
                "configmaps", source["name"].stringValue ?? "", source, mode: source["defaultMode"].integerValue)
        }
        if volume["secret"].exists {
            let source = volume["secret"]
            return try keyed(
                "secrets", source["secretName"].stringValue ?? "", source, mode: source["defaultMode"].integerValue)
        }
        if volume["downwardAPI"].exists {
            let source = volume["downwardAPI"]
            return try downward(source["items"], mode: source["defaultMode"].integerValue)
        }
        return try projected(volume["projected"])
    }

    private func projected(_ volume: JSON) throws -> [String: PayloadFile] {
        let mode = volume["defaultMode"].integerValue
        var result: [String: PayloadFile] = [:]
        for source in volume["sources"].arrayValue {
            let files: [String: PayloadFile]
            if source["configMap"].exists {
                files = try keyed(
                    "configmaps", source["configMap"]["name"].stringValue ?? "", source["configMap"], mode: mode)
            } else if source["secret"].exists {
                files = try keyed("secrets", source["secret"]["name"].stringValue ?? "", source["secret"], mode: mode)
            } else if source["downwardAPI"].exists {
                files = try downward(source["downwardAPI"]["items"], mode: mode)
            } else if source["serviceAccountToken"].exists {
                let wanted = source["serviceAccountToken"]
                let text = try token(
                    wanted["audience"].stringValue ?? "", wanted["expirationSeconds"].integerValue ?? 3600)
                files = [try checked(wanted["path"]): tokenFile(text, mode: mode)]
            } else {
                let name = source.objectValue?.keys.first ?? "unknown"
                throw VolumeError(message: "projected source \"\(name)\" is not supported by this node")
            }
            result.merge(files) { _, later in later }
        }
        return result
    }

    /// A token is nobody else's to read where it is known whose it is.
    private func tokenFile(_ text: String, mode: Int64?) -> PayloadFile {
        let user = SecurityTranslation.commonUser(of: pod)
        let isOwned = user != nil || pod.specification["securityContext"]["fsGroup"].exists
        return PayloadFile(
            data: Array(text.utf8), mode: isOwned ? 0o600 : UInt32(mode ?? Self.defaultMode), user: user)
    }

    private func keyed(_ resource: String, _ name: String, _ source: JSON, mode: Int64?) throws -> [String: PayloadFile]
    {
        let optional = source["optional"].boolValue == true
        guard let found = try object(resource, name) else {
            if optional { return [:] }
            let kind = resource == "configmaps" ? "configmap" : "secret"
            throw VolumeError(message: "\(kind) \"\(name)\" not found")
        }
        let values = try contents(found, isSecret: resource == "secrets")
        let defaultMode = UInt32(mode ?? Self.defaultMode)
        guard source["items"].exists, !source["items"].isEmpty else {
            return values.mapValues { PayloadFile(data: $0, mode: defaultMode) }
        }
        var result: [String: PayloadFile] = [:]
        for item in source["items"].arrayValue {
            let key = item["key"].stringValue ?? ""
            guard let data = values[key] else {
                if optional { continue }
                throw VolumeError(
                    message: "references non-existent \(resource == "secrets" ? "secret" : "config") key: \(key)")
            }
            let mode = item["mode"].integerValue.map { UInt32($0) } ?? defaultMode
            result[try checked(item["path"])] = PayloadFile(data: data, mode: mode)
        }
        return result
    }

    private func contents(_ object: JSON, isSecret: Bool) throws -> [String: [UInt8]] {
        var result: [String: [UInt8]] = [:]
        for (member, encoded) in [("data", isSecret), ("binaryData", true)] {
            for entry in object[member].objectValue ?? [:] {
                let text = entry.value.stringValue ?? ""
                guard encoded else {
                    result[entry.key] = Array(text.utf8)
                    continue
                }
                guard let data = Base64.decode(text) else {
                    throw VolumeError(
                        message: "key \(entry.key) of \(object["metadata"]["name"].stringValue ?? "") is not base64")
                }
                result[entry.key] = data
            }
        }
        return result
    }

    private func downward(_ items: JSON, mode: Int64?) throws -> [String: PayloadFile] {
        var result: [String: PayloadFile] = [:]
        for item in items.arrayValue {
            let text: String
            if item["fieldRef"].exists {
                let path = item["fieldRef"]["fieldPath"].stringValue ?? ""
                guard let value = FieldReference.resolve(path, pod: pod, facts: facts) else {
                    throw VolumeError(message: "unsupported fieldPath: \(path)")
                }
                text = value
            } else {
                let reference = item["resourceFieldRef"]
                let name = reference["containerName"].stringValue ?? ""
                guard let container = pod.container(named: name),
                    let value = ResourceFieldReference.resolve(
                        reference, container: container, allocatable: allocatable)
                else { throw VolumeError(message: "cannot resolve resourceFieldRef of container \"\(name)\"") }
                text = value
            }
            let mode = item["mode"].integerValue ?? mode ?? Self.defaultMode
            result[try checked(item["path"])] = PayloadFile(data: Array(text.utf8), mode: UInt32(mode))
        }
        return result
    }

    /// A path that stays inside the volume and does not meet the files that swap its content.
    private func checked(_ json: JSON) throws -> String {
        let path = json.stringValue ?? ""
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard !path.isEmpty, !path.hasPrefix("/"), !path.hasPrefix(".."), path.utf8.count < 4096,
            parts.allSatisfy({ !$0.isEmpty && $0 != ".." && $0 != "." && $0.utf8.count <= 255 })
        else { throw VolumeError(message: "path \"\(path)\" must be relative and may not contain \"..\"") }
        return path
    }
}
