import ObjectSchema
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
    /// The same in the protobuf encoding, version v1.
    case protobufMetadata
    /// All groups and resources in one document, apidiscovery.k8s.io.
    case aggregatedDiscovery(version: String)

    /// Chooses the first of the client's types, in its order of preference, that this server has.
    /// - Parameters:
    ///   - protobuf: Whether what is asked for has a protobuf encoding.
    ///   - isWhole: Whether it has no other form than its own: an answer, such as a review, is no row of a table.
    ///   - hasTables: Whether it can be shown as a table.
    /// - Throws: 406 when there is none.
    static func choose(
        _ accept: String?, protobuf: @autoclosure () -> Bool = false, isWhole: Bool = false, hasTables: Bool = true
    ) throws(APIStatus) -> ResponseForm {
        guard let accept, !accept.isEmpty, accept != "*/*", accept != "application/json" else { return .object }
        let protobuf = protobuf()
        for range in MediaRange.parse(accept) {
            guard let form = form(range, protobuf), hasTables || !form.isTable else { continue }
            if !isWhole || form == .object || form == .protobuf { return form }
        }
        throw .notAcceptable(
            "application/json" + (protobuf ? ", \(KubernetesProtobuf.contentType)" : ""))
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

    private var isTable: Bool { if case .table = self { true } else { false } }

    var isProtobuf: Bool { self == .protobuf || self == .protobufMetadata }

    /// The version of PartialObjectMetadata.
    var metadataVersion: String {
        if case .metadata(let version) = self { version } else { "v1" }
    }

    private static func form(_ range: MediaRange, _ protobuf: Bool) -> ResponseForm? {
        let isProtobuf = range.type == KubernetesProtobuf.contentType
        guard isProtobuf || ["application/json", "application/*", "*/*"].contains(range.type) else { return nil }
        guard let shape = range.parameters["as"] else { return !isProtobuf ? .object : protobuf ? .protobuf : nil }
        let version = String(range.parameters["v"] ?? "v1")
        switch (shape, range.parameters["g"]) {
        case ("Table", "meta.k8s.io") where version == "v1" || version == "v1beta1":
            return isProtobuf ? nil : .table(version: version)
        case ("PartialObjectMetadata", "meta.k8s.io"), ("PartialObjectMetadataList", "meta.k8s.io"):
            if isProtobuf { return version == "v1" ? .protobufMetadata : nil }
            return version == "v1" || version == "v1beta1" ? .metadata(version: version) : nil
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
            let form = try ResponseForm.choose(
                request.accept,
                protobuf: resource.custom == nil
                    && KubernetesProtobuf.knows(apiVersion: resource.apiVersion, kind: resource.kind),
                // A list that comes as the events of a watch is no table.
                isWhole: resource.isVirtual, hasTables: !request.query.flag("sendInitialEvents"))
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
