import CEL
import Objects
import PluginKit

/// The option `authorization`, read: who decides, in which order.
struct AuthorizationSettings: Sendable {
    enum Step: Sendable {
        case node
        case roles
        case webhook(AccessWebhook.Parts)
        /// The same for everybody.
        case uniform(isAllowing: Bool)
    }

    var steps: [Step] = [.node, .roles]
    /// The file that `steps` is from; nil when the options say it.
    var file: AuthorizationFile?

    /// - Throws: what cannot be, with its place.
    init(_ json: JSON) throws(PluginError) {
        if let path = json["configFile"].stringValue, !path.isEmpty {
            guard !json["authorizers"].exists else {
                throw PluginError.invalid(
                    "option authorization: authorizers and configFile must not both be given; put them into \(path)")
            }
            let file = AuthorizationFile(path: path)
            self.file = file
            steps = try file.steps(try file.read())
            return
        }
        guard json["authorizers"].exists else { return }
        steps = []
        var names: Set<String> = []
        for (index, entry) in json["authorizers"].arrayValue.enumerated() {
            let place = "option authorization.authorizers[\(index)]"
            let type = entry["type"].stringValue ?? ""
            let name = entry["name"].stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? type.lowercased()
            guard names.insert(name).inserted else {
                throw PluginError.invalid("\(place): there is an authorizer \"\(name)\" already; give it another name")
            }
            switch type {
            case "Node": steps.append(.node)
            case "RBAC": steps.append(.roles)
            case "Webhook": steps.append(.webhook(try Self.webhook(entry["webhook"], name, at: place + ".webhook")))
            default: throw PluginError.invalid("\(place).type is \"\(type)\": it must be Node, RBAC or Webhook")
            }
        }
    }

    private static func webhook(
        _ json: JSON, _ name: String, at place: String
    ) throws(PluginError) -> AccessWebhook.Parts {
        var conditions: [AccessCondition] = []
        for (index, condition) in json["matchConditions"].arrayValue.enumerated() {
            let field = "\(place).matchConditions[\(index)].expression"
            let compiled: AccessCondition
            do throws(CELIssues) {
                compiled = try AccessCondition(condition["expression"].stringValue ?? "")
            } catch {
                throw PluginError.invalid("\(field): compilation failed: \(error)")
            }
            guard compiled.resultType == .bool || compiled.resultType == .dyn else {
                throw PluginError.invalid("\(field): must evaluate to bool")
            }
            conditions.append(compiled)
        }
        return .init(
            name: name, connection: try WebhookConnectionSettings(json, at: place, timeout: "3s"),
            allowedKeep: try WebhookConnectionSettings.duration(
                json["authorizedTTL"], at: place + ".authorizedTTL", fallback: "5m"),
            refusedKeep: try WebhookConnectionSettings.duration(
                json["unauthorizedTTL"], at: place + ".unauthorizedTTL", fallback: "30s"),
            deniesOnFailure: json["failurePolicy"].stringValue == "Deny", conditions: conditions)
    }
}
