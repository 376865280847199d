import CEL
import Objects

/// What policies' and match conditions' expressions may use.
/// See https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#validation-expression.
enum PolicyDeclarations {
    /// - Parameters:
    ///   - hasAuthorizer: Whether they may ask who may what.
    ///   - variables: Those that a policy has declared so far, in order.
    ///   - object: What is known of the objects; nothing when writes are judged, as they may be of any kind.
    static func environment(
        hasParams: Bool = false, hasAuthorizer: Bool = true, isMutation: Bool = false,
        variables: [(name: String, type: CELType)] = [],
        object: CELSchema = .dyn, params: CELSchema = .dyn
    ) -> CELEnvironment {
        var declared: [CELEnvironment.Variable] = [
            .init("object", object), .init("oldObject", object), .init("request", request),
            .init("namespaceObject", namespace),
        ]
        if hasAuthorizer {
            declared.append(.init("authorizer", .authorizer))
            declared.append(.init("authorizer.requestResource", .resourceCheck))
        }
        if hasParams { declared.append(.init("params", params)) }
        let fields = variables.map {
            ($0.name, CELObjectType.Field(jsonName: $0.name, schema: CELSchema(.value($0.type))))
        }
        let type = CELObjectType(
            name: "kubernetes.variables", fields: Dictionary(fields, uniquingKeysWith: { first, _ in first }))
        declared.append(.init("variables", CELSchema(.object(type))))
        guard isMutation else { return CELEnvironment(variables: declared) }
        return CELEnvironment(variables: declared, libraries: CELLibrary.kubernetes + [.patches]) { name in
            MutationTypes.named(name)
        }
    }

    private static func schema(_ name: String, _ properties: JSON) -> CELSchema {
        guard let schema = CELSchema(openAPI: ["type": "object", "properties": properties], typeName: name) else {
            preconditionFailure("a declaration that is none: \(name)")
        }
        return schema
    }

    private static let text: JSON = ["type": "string", "nullable": true]
    private static let texts: JSON = ["type": "array", "items": text]

    private static func group(_ last: String) -> JSON {
        var properties: JSON = ["group": text, "version": text]
        properties[last] = text
        return ["type": "object", "properties": properties]
    }

    private static let userProperties: JSON = [
        "username": text, "uid": text, "groups": texts, "extra": ["type": "object", "additionalProperties": texts],
    ]

    /// A user, as TokenReviews have it.
    static let user = schema("kubernetes.UserInfo", userProperties)

    static let request: CELSchema = {
        let base = schema(
            "kubernetes.AdmissionRequest",
            [
                "kind": group("kind"), "resource": group("resource"), "subResource": text,
                "requestKind": group("kind"), "requestResource": group("resource"), "requestSubResource": text,
                "name": text, "namespace": text, "operation": text, "dryRun": ["type": "boolean"],
                "userInfo": ["type": "object", "properties": userProperties],
            ])
        guard case .object(let type) = base.shape else { return base }
        var fields = type.fields
        fields["options"] = .init(jsonName: "options", schema: .dyn)
        return CELSchema(.object(CELObjectType(name: type.name, fields: fields)))
    }()

    static let namespace = schema(
        "kubernetes.Namespace",
        [
            "metadata": [
                "type": "object",
                "properties": [
                    "name": text, "generateName": text, "namespace": text, "uid": text, "resourceVersion": text,
                    "generation": ["type": "integer"], "creationTimestamp": ["type": "string", "format": "date-time"],
                    "deletionTimestamp": ["type": "string", "format": "date-time"],
                    "deletionGracePeriodSeconds": ["type": "integer"],
                    "labels": ["type": "object", "additionalProperties": ["type": "string"]],
                    "annotations": ["type": "object", "additionalProperties": ["type": "string"]],
                    "finalizers": texts,
                ],
            ],
            "spec": ["type": "object", "properties": ["finalizers": texts]],
            "status": [
                "type": "object",
                "properties": [
                    "phase": text,
                    "conditions": [
                        "type": "array",
                        "items": [
                            "type": "object",
                            "properties": [
                                "type": text, "status": text, "reason": text, "message": text,
                                "lastTransitionTime": ["type": "string", "format": "date-time"],
                            ],
                        ],
                    ],
                ],
            ],
        ])
}
