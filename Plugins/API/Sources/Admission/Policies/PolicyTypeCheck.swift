import CEL
import ObjectSchema
import Objects

/// What a validating policy's expressions do that the objects which it names cannot bear out: `status.typeChecking`. It is told
/// and not refused, for a policy may name kinds that come later.
/// See https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#type-checking.
struct PolicyTypeCheck {
    let resources: ResourceTable
    let documents: OpenAPIDocuments

    /// Kinds of one policy that are looked at.
    static let mostKinds = 10

    /// `status.typeChecking` of a policy; takes some milliseconds for each kind.
    func status(_ policy: JSON) -> JSON {
        let spec = policy["spec"]
        let params = self.params(spec["paramKind"])
        let kinds = self.kinds(spec["matchConstraints"]).compactMap { resource in
            documents.schema(of: resource).flatMap { CELSchema(openAPI: $0, typeName: resource.kind) }.map {
                Typed(resource: resource, schema: $0, params: params, variables: spec["variables"].arrayValue)
            }
        }
        var warnings: [JSON] = []
        for (index, validation) in spec["validations"].arrayValue.enumerated() {
            for field in ["expression", "messageExpression"] {
                guard let source = validation[field].stringValue, !source.isEmpty else { continue }
                let texts = kinds.compactMap { $0.warning(source) }
                guard !texts.isEmpty else { continue }
                warnings.append([
                    "fieldRef": .string("spec.validations[\(index)].\(field)"), "warning": .string(texts.joined()),
                ])
            }
        }
        return warnings.isEmpty ? [:] : ["expressionWarnings": .array(warnings)]
    }

    /// The kinds that rules name one by one; those of a rule that says «all» of something are not looked at.
    private func kinds(_ constraints: JSON) -> [Resource] {
        var found: [String: Resource] = [:]
        for rule in constraints["resourceRules"].arrayValue.map(MatchResources.Rule.init) {
            guard !rule.groups.contains("*"), !rule.versions.contains("*") else { continue }
            for group in rule.groups {
                for version in rule.versions {
                    for name in rule.resources where !name.contains("*") && !name.contains("/") {
                        guard let resource = resources.find(group: group, version: version, resource: name) else {
                            continue
                        }
                        found[resource.kindText] = resource
                    }
                }
            }
        }
        return found.sorted { $0.key.precedesByBytes($1.key) }.prefix(Self.mostKinds).map(\.value)
    }

    private func params(_ kind: JSON) -> CELSchema? {
        guard kind.exists else { return nil }
        let resource = resources.all.first {
            $0.apiVersion == kind["apiVersion"].stringValue && $0.kind == kind["kind"].stringValue
        }
        return resource.flatMap { documents.schema(of: $0) }.flatMap { CELSchema(openAPI: $0, typeName: "params") }
            ?? .dyn
    }

    /// A policy's expressions with the objects of one kind.
    private struct Typed {
        let resource: Resource
        private let environment: CELEnvironment

        init(resource: Resource, schema: CELSchema, params: CELSchema?, variables: [JSON]) {
            self.resource = resource
            var declared: [(name: String, type: CELType)] = []
            func environment() -> CELEnvironment {
                PolicyDeclarations.environment(
                    hasParams: params != nil, variables: declared, object: schema, params: params ?? .dyn)
            }
            for variable in variables {
                let expression = PolicyExpression(variable["expression"].stringValue ?? "", environment())
                declared.append((variable["name"].stringValue ?? "", expression.resultType))
            }
            self.environment = environment()
        }

        /// A line for the kind, and the mistakes; nil without any.
        func warning(_ source: String) -> String? {
            PolicyExpression(source, environment).issues.map { "\(resource.kindText): \($0)\n" }
        }
    }
}

extension Resource {
    /// "apps/v1, Kind=Deployment".
    fileprivate var kindText: String {
        GroupVersionKind(group: group, version: version, kind: kind).description
    }
}
