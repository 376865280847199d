/// How a client wants objects shown, by its Accept header.
enum ResponseForm: Sendable, Hashable {
    case object
    /// Rows and columns, meta.k8s.io/v1 Table.
    case table(version: String)
    /// Only metadata: PartialObjectMetadata, and for lists PartialObjectMetadataList.
    case metadata(version: String)
    /// All groups and resources in one document, apidiscovery.k8s.io.
    case aggregatedDiscovery(version: String)

    static let supported = "application/json"

    /// Chooses the first of the client's types, in its order of preference, that this server has.
    /// - Throws: 406 when there is none.
    static func choose(_ accept: String?) throws(APIStatus) -> ResponseForm {
        guard let accept, !accept.isEmpty, accept != "*/*", accept != "application/json" else { return .object }
        for range in accept.split(separator: ",") {
            let parts = range.split(separator: ";").map { trimmed($0) }
            guard let type = parts.first else { continue }
            guard type == "application/json" || type == "*/*" || type == "application/*" else { continue }
            var parameters: [Substring: Substring] = [:]
            for part in parts.dropFirst() {
                guard let equals = part.firstIndex(of: "=") else { continue }
                parameters[part[..<equals]] = part[part.index(after: equals)...]
            }
            if let form = form(parameters) { return form }
        }
        throw .notAcceptable(supported)
    }

    private static func form(_ parameters: [Substring: Substring]) -> ResponseForm? {
        guard let shape = parameters["as"] else { return .object }
        let version = String(parameters["v"] ?? "v1")
        switch (shape, parameters["g"]) {
        case ("Table", "meta.k8s.io") where version == "v1" || version == "v1beta1": return .table(version: version)
        case ("PartialObjectMetadata", "meta.k8s.io"), ("PartialObjectMetadataList", "meta.k8s.io"):
            return version == "v1" || version == "v1beta1" ? .metadata(version: version) : nil
        case ("APIGroupDiscoveryList", "apidiscovery.k8s.io") where version == "v2" || version == "v2beta1":
            return .aggregatedDiscovery(version: version)
        default: return nil
        }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }
}
