import Objects

/// The paths of discovery, as OpenAPI documents list them: what groups and versions there are, and which server this is.
struct OpenAPIServerPaths {
    let version: OpenAPISchemaText.Version

    private struct Entry {
        var path: String
        var name: String
        var tag: String
        var text: String
        var produces: [String]?
        /// The name of the schema of the answer; empty for a text.
        var answer: String
    }

    private static let meta = "io.k8s.apimachinery.pkg.apis.meta.v1."

    private static let known = [
        Entry(
            path: "/.well-known/openid-configuration/", name: "getServiceAccountIssuerOpenIDConfiguration",
            tag: "WellKnown", text: "How tokens of service accounts are checked.", produces: ["application/json"],
            answer: ""),
        Entry(
            path: "/api/", name: "getCoreAPIVersions", tag: "core", text: "The versions of the core group.",
            answer: meta + "APIVersions"),
        Entry(
            path: "/apis/", name: "getAPIVersions", tag: "apis", text: "The groups of the API.",
            answer: meta + "APIGroupList"),
        Entry(
            path: "/openid/v1/jwks/", name: "getServiceAccountIssuerOpenIDKeyset", tag: "openid",
            text: "The keys that tokens of service accounts are checked with.", produces: ["application/jwk-set+json"],
            answer: ""),
        Entry(
            path: "/version/", name: "getCodeVersion", tag: "version", text: "The version of the server.",
            produces: ["application/json"], answer: "io.k8s.apimachinery.pkg.version.Info"),
    ]

    /// The paths that are there whatever the groups.
    static var paths: [String] { known.map(\.path) }

    /// The names of the schemas that descriptions of these paths refer to.
    static let schemas =
        ["APIVersions", "APIGroupList", "APIGroup", "APIResourceList"].map { meta + $0 } + [
            "io.k8s.apimachinery.pkg.version.Info"
        ]

    /// The description of one of the paths; nil for any other.
    func describe(_ path: String) -> JSON? { Self.known.first { $0.path == path }.map(describe) }

    /// Path and description of a group's versions: nil for the core group, whose are at `/api/`.
    func group(_ group: String) -> (path: String, description: JSON)? {
        guard !group.isEmpty else { return nil }
        let names = OpenAPINames(group: group, version: "")
        let path = "/apis/\(group)/"
        let entry = Entry(
            path: path, name: names.operation("get", "APIGroup"), tag: names.tag, text: "The versions of the group.",
            answer: Self.meta + "APIGroup")
        return (path, describe(entry))
    }

    /// Path and description of what resources a group's version has.
    func resources(group: String, version: String) -> (path: String, description: JSON) {
        let names = OpenAPINames(group: group, version: version)
        let path = OpenAPIPaths.root(group: group, version: version) + "/"
        let entry = Entry(
            path: path, name: names.operation("get", "APIResources"), tag: names.tag,
            text: "The resources of this version.", answer: Self.meta + "APIResourceList")
        return (path, describe(entry))
    }

    private func describe(_ entry: Entry) -> JSON {
        var operation = OpenAPIOperation(method: "get", name: entry.name, tag: entry.tag, text: entry.text)
        if let produces = entry.produces { operation.produces = produces }
        operation.consumes = entry.answer.isEmpty ? [] : operation.produces
        operation.answer =
            entry.answer.isEmpty
            ? ["type": "string"]
            : Schema.shared.definition(named: entry.answer).map(OpenAPISchemaText(version: version).reference)
        return [operation.method: operation.json(version, hoisted: [])]
    }
}
