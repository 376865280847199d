import Objects

/// One operation of an OpenAPI document: what a method does at a path.
struct OpenAPIOperation {
    var method: String
    /// "list", "connect", …; empty for what is no resource.
    var action = ""
    var kind: GroupVersionKind?
    /// "listCoreV1NamespacedPod".
    var name: String
    var tag: String
    var text: String
    var query: [String] = []
    var consumes = ["*/*"]
    var produces = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]
    /// The schema of the body, or nil when there is none.
    var body: JSON?
    /// Options, such as those of a deletion, may be left out.
    var isBodyRequired = true
    /// The statuses of success.
    var statuses = [200]
    /// The schema of the answer.
    var answer: JSON?

    private static let phrases = [200: "OK", 201: "Created", 202: "Accepted"]

    /// - Parameter hoisted: names of parameters of the query that the path states for all of its operations.
    func json(_ version: OpenAPISchemaText.Version, hoisted: Set<String>) -> JSON {
        var operation: JSONObject = [
            "operationId": .string(name), "tags": [.string(tag)], "description": .string(text),
        ]
        var parameters: [JSON] = []
        if version == .two {
            if !consumes.isEmpty { operation["consumes"] = JSON(consumes) }
            operation["produces"] = JSON(produces)
            operation["schemes"] = ["https"]
            if let body { parameters.append(bodyParameter(body)) }
        } else if let body {
            var content: JSON = ["content": .object(JSONObject(consumes.map { ($0, ["schema": body]) }))]
            if isBodyRequired { content["required"] = true }
            operation["requestBody"] = content
        }
        for name in query where !hoisted.contains(name) {
            parameters.append(Self.parameter(OpenAPIParameters.query(name), version))
        }
        if !parameters.isEmpty { operation["parameters"] = .array(parameters) }
        operation["responses"] = responses(version)
        if !action.isEmpty { operation["x-kubernetes-action"] = .string(action) }
        if let kind { operation["x-kubernetes-group-version-kind"] = kind.json }
        return .object(operation)
    }

    private func bodyParameter(_ body: JSON) -> JSON {
        var parameter: JSON = ["name": "body", "in": "body", "schema": body]
        if isBodyRequired { parameter["required"] = true }
        return parameter
    }

    private func responses(_ version: OpenAPISchemaText.Version) -> JSON {
        var responses = JSONObject()
        for status in statuses {
            var response: JSON = ["description": .string(Self.phrases[status] ?? "OK")]
            if let answer {
                if version == .two {
                    response["schema"] = answer
                } else {
                    response["content"] = .object(JSONObject(produces.map { ($0, ["schema": answer]) }))
                }
            }
            responses["\(status)"] = response
        }
        responses["401"] = ["description": "Unauthorized"]
        return .object(responses)
    }

    /// A parameter where it is used: in version 2 a reference, for most.
    static func parameter(_ parameter: OpenAPIParameters.Parameter, _ version: OpenAPISchemaText.Version) -> JSON {
        let isShared = parameter.place == "query" && !OpenAPIParameters.inline.contains(parameter.name)
        if version == .two, isShared { return ["$ref": .string("#/parameters/\(parameter.name)")] }
        return definition(parameter, version)
    }

    /// All of a parameter.
    static func definition(_ parameter: OpenAPIParameters.Parameter, _ version: OpenAPISchemaText.Version) -> JSON {
        var definition: JSON = [
            "name": .string(parameter.name), "in": .string(parameter.place), "description": .string(parameter.text),
        ]
        if parameter.place == "path" { definition["required"] = true }
        if version == .three {
            definition["schema"] = ["type": .string(parameter.type)]
        } else {
            definition["type"] = .string(parameter.type)
        }
        return definition
    }
}
