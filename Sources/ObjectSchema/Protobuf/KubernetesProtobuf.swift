import Objects

/// Kubernetes' protobuf encoding of objects, as JSON values (Kubernetes API concepts, "Kubernetes Protobuf encoding").
public enum KubernetesProtobuf {
    public static let contentType = "application/vnd.kubernetes.protobuf"
    static let magic: [UInt8] = [0x6b, 0x38, 0x73, 0]
    static let deepest = 64

    /// Decodes one object with its apiVersion and kind.
    /// - Throws: when the bytes are malformed or the kind is unknown. Unknown fields are skipped.
    public static func decode(_ body: UnsafeRawBufferPointer) throws(ProtobufError) -> JSON {
        guard body.starts(with: magic) else {
            throw ProtobufError(description: "the body does not begin with the magic number of \(contentType)")
        }
        var apiVersion = ""
        var kind = ""
        var raw = body[0..<0]
        var reader = ProtobufReader(body[magic.count...])
        while let (number, value) = try reader.next() {
            switch (number, value) {
            case (1, .bytes(let bytes)):
                var type = ProtobufReader(bytes)
                while let (number, value) = try type.next() {
                    guard case .bytes(let text) = value else { continue }
                    if number == 1 { apiVersion = String(decoding: text, as: UTF8.self) }
                    if number == 2 { kind = String(decoding: text, as: UTF8.self) }
                }
            case (2, .bytes(let bytes)): raw = bytes
            default: break
            }
        }
        guard let message = messageName(apiVersion: apiVersion, kind: kind) else {
            throw ProtobufError(description: "no protobuf encoding is known for kind \"\(kind)\" of \"\(apiVersion)\"")
        }
        var object = JSONObject(minimumCapacity: 8)
        object["apiVersion"] = .string(apiVersion)
        object["kind"] = .string(kind)
        try decode(raw, as: message, into: &object, depth: 0)
        return .object(object)
    }

    /// "apps/v1" Deployment → "apps.v1.Deployment". Options that every group has live in meta/v1.
    static func messageName(apiVersion: String, kind: String) -> String? {
        let parts = apiVersion.split(separator: "/")
        let version = parts.last.map(String.init) ?? ""
        let group = parts.count == 2 ? String(parts[0].prefix { $0 != "." }) : "core"
        return ["\(group).\(version).\(kind)", "meta.v1.\(kind)"].first { ProtobufTable.shared.knows($0) }
    }

    static func decode(
        _ bytes: Slice<UnsafeRawBufferPointer>, as message: String, into object: inout JSONObject, depth: Int
    ) throws(ProtobufError) {
        guard let fields = ProtobufTable.shared.message(message)?.byNumber else {
            throw ProtobufError(description: "message \(message) is unknown")
        }
        guard depth < deepest else { throw ProtobufError(description: "messages are nested deeper than \(deepest)") }
        var reader = ProtobufReader(bytes)
        while let (number, wire) = try reader.next() {
            guard let field = fields[number] else { continue }
            if field.isInlined, case .message(let type) = field.kind, case .bytes(let inner) = wire {
                try decode(inner, as: type, into: &object, depth: depth + 1)
            } else if let type = field.entry {
                try decodeEntry(wire, of: type, into: &object, field: field.name, depth: depth)
            } else {
                let value = try value(wire, of: field, depth: depth)
                try add(value, to: &object, field: field)
            }
        }
    }

    private static func add(_ value: JSON, to object: inout JSONObject, field: ProtobufTable.Field)
        throws(ProtobufError)
    {
        if field.isRepeated {
            var list = object[field.name] ?? .array([])
            list.append(value)
            object[field.name] = list
        } else if value.exists, field.keepsZero || !ZeroValues.isDropped(value, field: field.name) {
            object[field.name] = value
        }
    }

    /// One entry of a map: key 1, value 2.
    private static func decodeEntry(
        _ wire: ProtobufReader.Value, of type: String, into object: inout JSONObject, field: String, depth: Int
    ) throws(ProtobufError) {
        guard case .bytes(let bytes) = wire, let fields = ProtobufTable.shared.message(type)?.byNumber else { return }
        var key = ""
        var content: JSON = .string("")
        var reader = ProtobufReader(bytes)
        while let (number, wire) = try reader.next() {
            guard let part = fields[number] else { continue }
            if number == 1, case .bytes(let text) = wire { key = String(decoding: text, as: UTF8.self) }
            if number == 2 { content = try value(wire, of: part, depth: depth) }
        }
        var map = object[field] ?? .object([:])
        map[key] = content
        object[field] = map
    }

    private static func value(
        _ wire: ProtobufReader.Value, of field: ProtobufTable.Field, depth: Int
    ) throws(ProtobufError) -> JSON {
        switch (field.kind, wire) {
        case (.integer, .number(let number)): return .integer(Int64(bitPattern: number))
        case (.double, .bytes(let bytes)): return try double(bytes, field)
        case (.boolean, .number(let number)): return .bool(number != 0)
        case (.string, .bytes(let bytes)): return .string(String(decoding: bytes, as: UTF8.self))
        case (.bytes, .bytes(let bytes)): return .string(Base64.encode(Array(bytes)))
        case (.message(let type), .bytes(let bytes)): return try message(bytes, as: type, depth: depth)
        default: throw ProtobufError(description: "field \(field.name) has the wrong wire type")
        }
    }

    /// Messages whose JSON is not an object of their fields are told apart here.
    private static func message(
        _ bytes: Slice<UnsafeRawBufferPointer>, as type: String, depth: Int
    ) throws(ProtobufError) -> JSON {
        var object = JSONObject()
        try decode(bytes, as: type, into: &object, depth: depth + 1)
        if let alternative = SchemaAlternative(type) { return try alternative.json(of: object) }
        switch type {
        case "api.resource.Quantity": return object["string"] ?? "0"
        case "meta.v1.Time", "meta.v1.MicroTime":
            guard let seconds = object["seconds"]?.integerValue else { return .null }
            let time = Timestamp(
                seconds: seconds, nanoseconds: Int32(truncatingIfNeeded: object["nanos"]?.integerValue ?? 0))
            return .string(time.formatted(fraction: type == "meta.v1.Time" ? .none : .micro))
        case "util.intstr.IntOrString":
            return object["type"]?.integerValue == 1 ? object["strVal"] ?? "" : object["intVal"] ?? 0
        case "runtime.RawExtension", "meta.v1.FieldsV1":
            return try embedded(object["raw"] ?? object["Raw"])
        case "meta.v1.Verbs", "authentication.v1.ExtraValue", "authorization.v1.ExtraValue",
            "certificates.v1.ExtraValue":
            return object["items"] ?? .array([])
        case "meta.v1.Duration":
            return .string("\(Double(object["duration"]?.integerValue ?? 0) / 1e9)s")
        default: return .object(object)
        }
    }

    /// A number of eight bytes; whole ones are integers, as JSON writes them.
    private static func double(
        _ bytes: Slice<UnsafeRawBufferPointer>, _ field: ProtobufTable.Field
    ) throws(ProtobufError) -> JSON {
        guard bytes.count == 8 else { throw ProtobufError(description: "field \(field.name) has the wrong wire type") }
        let number = Double(bitPattern: bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) })
        guard number.isFinite else { throw ProtobufError(description: "field \(field.name) must be a finite number") }
        return Int64(exactly: number).map { .integer($0) } ?? .number(number)
    }

    static func embedded(_ base64: JSON?) throws(ProtobufError) -> JSON {
        guard let text = base64?.stringValue, let bytes = Base64.decode(text) else { return .null }
        do {
            return try JSON(parsing: bytes)
        } catch {
            throw ProtobufError(description: "an embedded object is not JSON: \(error)")
        }
    }
}

/// Which zero values of the encoding mean something.
enum ZeroValues {
    /// Fields that are pointers in Kubernetes' types: a zero that is written was set.
    private static let kept: Set<String> = [
        "replicas", "revisionHistoryLimit", "progressDeadlineSeconds", "terminationGracePeriodSeconds",
        "activeDeadlineSeconds", "runAsUser", "runAsGroup", "fsGroup", "priority", "defaultMode", "mode", "parallelism",
        "completions", "backoffLimit", "ttlSecondsAfterFinished", "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit",
        "startingDeadlineSeconds", "partition", "minReplicas", "timeoutSeconds", "expirationSeconds",
        "gracePeriodSeconds",
        "deletionGracePeriodSeconds", "tolerationSeconds", "leaseDurationSeconds", "leaseTransitions", "limit",
        "automountServiceAccountToken", "enableServiceLinks", "runAsNonRoot", "privileged", "readOnlyRootFilesystem",
        "allowPrivilegeEscalation", "optional", "controller", "blockOwnerDeletion", "suspend", "immutable", "hostUsers",
        "shareProcessNamespace", "setHostnameAsFQDN", "allocateLoadBalancerNodePorts", "ready", "serving",
        "terminating",
        "orphanDependents", "allowVolumeExpansion", "attachRequired", "podInfoOnMount", "storageCapacity",
        "storageClassName", "ingressClassName", "volumeAttributesClassName", "intVal", "strVal", "seconds",
        "string", "type", "value", "required",
    ]

    static func isDropped(_ value: JSON, field: String) -> Bool {
        switch value {
        case .integer(0), .bool(false), .string(""):
            !kept.contains(field) || (field == "type" || field == "value") && value == ""
        default: false
        }
    }
}
