import CEL
import Glibc
import ObjectSchema
import Objects
import PluginKit

/// A file of kind AuthorizationConfiguration: who decides, in which order.
/// See https://kubernetes.io/docs/reference/access-authn-authz/authorization/#using-configuration-file-for-authorization.
struct AuthorizationFile: Sendable {
    private let file: ConfigurationFile

    init(path: String) {
        file = ConfigurationFile(
            path: path, kind: "AuthorizationConfiguration", versions: ["v1", "v1beta1"], shape: Self.shape)
    }

    var path: String { file.path }

    func read() throws(PluginError) -> [UInt8] { try file.read() }

    /// - Throws: all that is wrong with a content, each with its place.
    func steps(_ content: [UInt8]) throws(PluginError) -> [AuthorizationSettings.Step] {
        let json = try file.parse(content)
        var reader = AuthorizerReader()
        let steps = reader.steps(json["authorizers"].arrayValue)
        if let error = file.error(reader.faults) { throw error }
        return steps
    }

    private static let shape = ConfigurationShape.object([
        "apiVersion": .text, "kind": .text,
        "authorizers": .list(
            .object([
                "type": .text, "name": .text,
                "webhook": .object([
                    "authorizedTTL": .text, "cacheAuthorizedRequests": .flag, "unauthorizedTTL": .text,
                    "cacheUnauthorizedRequests": .flag, "timeout": .text, "subjectAccessReviewVersion": .text,
                    "matchConditionSubjectAccessReviewVersion": .text, "failurePolicy": .text,
                    "connectionInfo": .object(["type": .text, "kubeConfigFile": .text]),
                    "matchConditions": .list(.object(["expression": .text])),
                ]),
            ])),
    ])
}

/// Reads the list of authorizers and collects what is wrong with it, in Kubernetes' words.
private struct AuthorizerReader {
    private(set) var faults: [FieldError] = []

    private static let types = ["AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook"]

    mutating func steps(_ entries: [JSON]) -> [AuthorizationSettings.Step] {
        if entries.isEmpty {
            faults.append(.required("authorizers", "at least one authorization mode must be defined"))
        }
        var steps: [AuthorizationSettings.Step] = []
        for (index, entry) in entries.enumerated() {
            let place = "authorizers[\(index)]"
            let type = entry["type"].stringValue ?? ""
            guard !type.isEmpty else {
                faults.append(.required(place + ".type"))
                continue
            }
            guard Self.types.contains(type) else {
                faults.append(.notSupported(place + ".type", .string(type), Self.types))
                continue
            }
            let before = entries[..<index]
            guard type == "Webhook" || !before.contains(where: { $0["type"].stringValue == type }) else {
                faults.append(.duplicate(place + ".type", .string(type)))
                continue
            }
            checkName(entry["name"].stringValue ?? "", place + ".name", before)
            if let step = step(type, entry["webhook"], place + ".webhook", name: entry["name"].stringValue ?? "") {
                steps.append(step)
            }
        }
        return steps
    }

    private mutating func checkName(_ name: String, _ place: String, _ before: ArraySlice<JSON>) {
        let complaints = NameChecks.dns1123Subdomain(name)
        if name.isEmpty {
            faults.append(.required(place))
        } else if before.contains(where: { $0["name"].stringValue == name }) {
            faults.append(.duplicate(place, .string(name)))
        } else if !complaints.isEmpty {
            faults.append(
                .invalid(
                    place, .string(name), "authorizer name is invalid: \(complaints.joined(separator: ", "))"))
        }
    }

    private mutating func step(
        _ type: String, _ webhook: JSON, _ place: String, name: String
    ) -> AuthorizationSettings.Step? {
        if type == "Webhook" {
            guard webhook.exists else {
                faults.append(.required(place, "required when type=Webhook"))
                return nil
            }
            return self.webhook(webhook, place, name).map { .webhook($0) }
        }
        if webhook.exists {
            faults.append(.invalid(place, "non-null", "may only be specified when type=Webhook"))
        }
        switch type {
        case "Node": return .node
        case "RBAC": return .roles
        default: return .uniform(isAllowing: type == "AlwaysAllow")
        }
    }

    private mutating func webhook(_ json: JSON, _ place: String, _ name: String) -> AccessWebhook.Parts? {
        let timeout = duration(json["timeout"], place + ".timeout", limit: 30_000_000_000)
        let allowed = duration(json["authorizedTTL"], place + ".authorizedTTL", fallback: "5m")
        let refused = duration(json["unauthorizedTTL"], place + ".unauthorizedTTL", fallback: "30s")
        let version = choice(
            json["subjectAccessReviewVersion"], place + ".subjectAccessReviewVersion", ["v1", "v1beta1"])
        let policy = choice(json["failurePolicy"], place + ".failurePolicy", ["NoOpinion", "Deny"])
        let conditions = json["matchConditions"].arrayValue
        let conditionVersion = json["matchConditionSubjectAccessReviewVersion"]
        let conditionPlace = place + ".matchConditionSubjectAccessReviewVersion"
        if !(conditionVersion.stringValue ?? "").isEmpty {
            _ = choice(conditionVersion, conditionPlace, ["v1"])
        } else if !conditions.isEmpty {
            faults.append(.required(conditionPlace, "required if match conditions are specified"))
        }
        let connection = connection(json["connectionInfo"], place + ".connectionInfo")
        let compiled = self.conditions(conditions, place + ".matchConditions")
        guard let timeout, let allowed, let refused, var connection else { return nil }
        connection.timeout = timeout
        func keep(_ flag: String, _ duration: UInt64) -> UInt64 { json[flag].boolValue == false ? 0 : duration }
        return .init(
            name: name, connection: connection, isBeta: version == "v1beta1",
            allowedKeep: keep("cacheAuthorizedRequests", allowed),
            refusedKeep: keep("cacheUnauthorizedRequests", refused), deniesOnFailure: policy == "Deny",
            conditions: compiled)
    }

    /// Nanoseconds.
    private mutating func duration(
        _ json: JSON, _ place: String, fallback: String = "", limit: Int64 = .max
    ) -> UInt64? {
        let text = json.stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? fallback
        let bounds = limit == .max ? "must be > 0s" : "must be > 0s and <= 30s"
        do throws(GoDuration.ParseError) {
            let nanoseconds = text.isEmpty ? 0 : try GoDuration(parsing: text).nanoseconds
            if nanoseconds == 0 { faults.append(.required(place)) }
            if nanoseconds < 0 || nanoseconds > limit { faults.append(.invalid(place, .string(text), bounds)) }
            return nanoseconds > 0 && nanoseconds <= limit ? UInt64(nanoseconds) : nil
        } catch {
            faults.append(.invalid(place, .string(text), "\(error)"))
            return nil
        }
    }

    private mutating func choice(_ json: JSON, _ place: String, _ allowed: [String]) -> String {
        let text = json.stringValue ?? ""
        if text.isEmpty {
            faults.append(.required(place))
        } else if !allowed.contains(text) {
            faults.append(.notSupported(place, .string(text), allowed))
        }
        return text
    }

    private mutating func connection(_ json: JSON, _ place: String) -> KubeconfigConnection? {
        let type = choice(json["type"], place + ".type", ["InClusterConfig", "KubeConfigFile"])
        let (path, field) = (json["kubeConfigFile"].stringValue ?? "", place + ".kubeConfigFile")
        switch type {
        case "InClusterConfig":
            faults.append(
                .invalid(
                    place + ".type", .string(type),
                    "this server runs in no pod, whose account and address that would be; name a kubeconfig with "
                        + "type KubeConfigFile"))
        case "KubeConfigFile" where path.isEmpty: faults.append(.required(field))
        case "KubeConfigFile" where !path.hasPrefix("/"):
            faults.append(.invalid(field, .string(path), "must be an absolute path"))
        case "KubeConfigFile":
            do throws(PluginError) {
                return try KubeconfigConnection(file: path)
            } catch {
                faults.append(.invalid(field, .string(path), "error loading file: \(error.message)"))
            }
        default: break
        }
        return nil
    }

    private mutating func conditions(_ entries: [JSON], _ place: String) -> [AccessCondition] {
        guard entries.count <= 64 else {
            faults.append(.tooMany(place, entries.count, limit: 64))
            return []
        }
        var conditions: [AccessCondition] = []
        for (index, entry) in entries.enumerated() {
            let field = "\(place)[\(index)].expression"
            let source = entry["expression"].stringValue ?? ""
            if source.trimmingWhitespace().isEmpty {
                faults.append(.required(field))
            } else if entries[..<index].contains(where: { $0["expression"].stringValue == source }) {
                faults.append(.duplicate(field, .string(source)))
            } else {
                do throws(CELIssues) {
                    let compiled = try AccessCondition(source)
                    if compiled.resultType != .bool, compiled.resultType != .dyn {
                        faults.append(.invalid(field, .string(source), "must evaluate to bool"))
                    }
                    conditions.append(compiled)
                } catch {
                    faults.append(.invalid(field, .string(source), "compilation failed: \(error)"))
                }
            }
        }
        return conditions
    }
}
