import ObjectSchema
import ObjectYAML
import Objects

/// How a client wants objects shown, by its Accept header.
enum ResponseForm: Sendable, Hashable {
    case object
    /// The object in the protobuf encoding.
    case protobuf
    /// Rows and columns, meta.k8s.io/v1 Table.
    case table(version: String)
    /// Only metadata: PartialObjectMetadata, and for lists PartialObjectMetadataList.
    case metadata(version: String)
    /// The same in the protobuf encoding.
    case protobufMetadata(version: String)
    /// All groups and resources in one document, apidiscovery.k8s.io.
    case aggregatedDiscovery(version: String)

    /// Chooses the first of the client's types, in its order of preference, that this server has.
    /// - Parameters:
    ///   - protobuf: Whether what is asked for has a protobuf encoding.
    ///   - isWhole: Whether it has no other form than its own: an answer, such as a review, is no row of a table.
    ///   - hasTables: Whether it can be shown as a table.
    ///   - isWatch: Whether it comes as a stream of events, for which YAML has no form.
    /// - Throws: 406 when there is none.
    static func choose(
        _ accept: String?, protobuf: @autoclosure () -> Bool = false, isWhole: Bool = false, hasTables: Bool = true,
        isWatch: Bool = false
    ) throws(APIStatus) -> ResponseForm {
        guard let accept, !accept.isEmpty, accept != "*/*", accept != "application/json" else { return .object }
        let protobuf = protobuf()
        let ranges = MediaRange.parse(accept)
        for range in ranges {
            guard !isWatch || !range.isYAML, let form = form(range, protobuf), hasTables || !form.isTable else {
                continue
            }
            if !isWhole || form == .object || form == .protobuf { return form }
        }
        throw refusal(ranges, protobuf: protobuf, isWatch: isWatch)
    }

    /// Says which types there are, in the words of Kubernetes: a table in protobuf is refused only where it is to be made, and
    /// so is a custom object, of which protobuf has nothing but the metadata.
    private static func refusal(_ ranges: [MediaRange], protobuf: Bool, isWatch: Bool) -> APIStatus {
        let isProtobuf = ranges.first.map { $0.type == KubernetesProtobuf.contentType } ?? false
        if isProtobuf, !protobuf, ranges.first?.parameters["as"] == nil {
            return APIStatus(
                code: 406, reason: "NotAcceptable",
                message: "object *unstructured.Unstructured does not implement the protobuf marshalling interface and "
                    + "cannot be encoded to a protobuf message")
        }
        guard isWatch, !(isProtobuf && ranges.first?.parameters["as"] == "Table") else {
            return .notAcceptable("application/json, application/yaml, \(KubernetesProtobuf.contentType)")
        }
        return .notAcceptable("application/json;stream=watch, \(KubernetesProtobuf.contentType);stream=watch")
    }

    /// Whether a client wants protobuf rather than JSON where there is a choice.
    static func prefersProtobuf(_ accept: String?) -> Bool {
        guard let accept, accept.contains("protobuf") else { return false }
        do {
            return try choose(accept, protobuf: true).isProtobuf
        } catch {
            return false
        }
    }

    /// Whether a client wants YAML rather than JSON or protobuf.
    static func prefersYAML(_ accept: String?) -> Bool {
        guard let accept, accept.contains("yaml") else { return false }
        return MediaRange.parse(accept).first { form($0, true) != nil }?.isYAML ?? false
    }

    private var isTable: Bool { if case .table = self { true } else { false } }

    var isProtobuf: Bool {
        if case .protobufMetadata = self { true } else { self == .protobuf }
    }

    /// The version of PartialObjectMetadata.
    var metadataVersion: String {
        switch self {
        case .metadata(let version), .protobufMetadata(let version): version
        case .object, .protobuf, .table, .aggregatedDiscovery: "v1"
        }
    }

    private static func form(_ range: MediaRange, _ protobuf: Bool) -> ResponseForm? {
        let isProtobuf = range.type == KubernetesProtobuf.contentType
        guard isProtobuf || range.isYAML || ["application/json", "application/*", "*/*"].contains(range.type) else {
            return nil
        }
        guard let shape = range.parameters["as"] else {
            // A group or version of nothing is no form.
            guard range.parameters["g"] == nil, range.parameters["v"] == nil else { return nil }
            return !isProtobuf ? .object : protobuf ? .protobuf : nil
        }
        let version = String(range.parameters["v"] ?? "")
        switch (shape, range.parameters["g"]) {
        case ("Table", "meta.k8s.io") where version == "v1" || version == "v1beta1":
            return isProtobuf ? nil : .table(version: version)
        case ("PartialObjectMetadata", "meta.k8s.io"), ("PartialObjectMetadataList", "meta.k8s.io"):
            guard version == "v1" || version == "v1beta1" else { return nil }
            if !isProtobuf { return .metadata(version: version) }
            // The fields of a list have other numbers in v1beta1.
            return version == "v1" || shape == "PartialObjectMetadata" ? .protobufMetadata(version: version) : nil
        case ("APIGroupDiscoveryList", "apidiscovery.k8s.io") where version == "v2" || version == "v2beta1":
            return isProtobuf ? nil : .aggregatedDiscovery(version: version)
        default: return nil
        }
    }
}

extension RequestContext {
    /// How the request's object is to be shown.
    var form: ResponseForm {
        get throws(APIStatus) {
            let isWatch = path.isWatch || (request.method == .get && query.flag("watch"))
            let form = try ResponseForm.choose(
                request.accept,
                protobuf: resource.custom == nil
                    && KubernetesProtobuf.knows(apiVersion: resource.apiVersion, kind: resource.kind),
                // A list that comes as the events of a watch is no table.
                isWhole: resource.isVirtual, hasTables: !request.query.flag("sendInitialEvents"),
                isWatch: isWatch)
            if case .table = form { try TableWriter.check(includeObject: request.query["includeObject"]) }
            return form
        }
    }
}

extension HTTPResponse {
    /// The object of the response in the protobuf encoding, when it has one; otherwise the response as it is.
    func inProtobuf() -> HTTPResponse {
        guard case .bytes(let bytes) = body, contentType.hasPrefix("application/json"), !bytes.isEmpty else {
            return self
        }
        var response = self
        do {
            let object = try JSON(parsing: bytes)
            guard KubernetesProtobuf.knows(apiVersion: object.apiVersion, kind: object.kind) else { return self }
            response.body = .bytes(try KubernetesProtobuf.encode(object))
            response.contentType = KubernetesProtobuf.contentType
            return response
        } catch {
            // Such as a number where Kubernetes has a text: JSON can say it, protobuf cannot.
            return .failure(.internalError("the object cannot be shown in protobuf: \(error)"))
        }
    }
}

extension HTTPResponse {
    /// The object of the response in YAML; otherwise, such as the version of the server, the response as it is.
    func inYAML() -> HTTPResponse {
        guard case .bytes(let bytes) = body, contentType.hasPrefix("application/json"), !bytes.isEmpty else {
            return self
        }
        do {
            let object = try JSON(parsing: bytes)
            guard !object.kind.isEmpty else { return self }
            var response = self
            response.body = .bytes(YAMLWriter.write(object))
            response.contentType = "application/yaml"
            return response
        } catch {
            return .failure(.internalError("the object cannot be shown in YAML: \(error)"))
        }
    }
}
