import Objects

/// What is to be done so that a Plugin object and the plugin that it stands for agree. Pure.
///
/// The specification is what somebody wants; it starts as what is. Whoever changes it asks for a swap, once for each
/// change: a swap that failed leaves the wish and the reason to be read, and is not tried again by itself. When the
/// plugin was changed by other means (the command line, the configuration), the specification follows.
enum PluginPlan: Equatable {
    case create(JSON)
    /// Ask the host for this, then write the status, which remembers that this generation was tried.
    case swap(request: JSON, status: JSON)
    /// The specification follows the plugin.
    case follow(specification: JSON)
    case updateStatus(JSON)
    case delete
    case none

    /// Names the generation that the specification got when it followed the plugin, which is nobody's wish, whoever looks
    /// at it and however the plugin has changed meanwhile.
    static let followedAnnotation = "plugins.hostd.dev/followed-generation"

    /// The parts of a plugin that a specification names.
    private static let specified = ["library", "isolation", "grants", "limits", "options"]

    /// - Parameters:
    ///   - object: the Plugin object, nil when there is none.
    ///   - plugin: as hostd.plugins/1 describes it, nil when the host has no plugin of that name.
    ///   - countsCalls: whether counters that changed alone are worth a write now.
    static func of(_ object: JSON?, _ plugin: JSON?, countsCalls: Bool) -> PluginPlan {
        guard let plugin else { return forgotten(object) }
        let present = specification(of: plugin)
        guard let object else {
            return .create([
                "apiVersion": "hostd.dev/v1", "kind": "Plugin",
                "metadata": ["name": .string(plugin["name"].stringValue ?? "")], "spec": present,
            ])
        }
        let wanted = normalized(object["spec"])
        let generation = object.metadata["generation"].integerValue ?? 0
        var status = self.status(of: plugin, applied: present)
        status["observedGeneration"] = JSON(generation)
        if wanted != present {
            let isFollowed = object.metadata["annotations"][followedAnnotation].stringValue == String(generation)
            if object["status"]["observedGeneration"].integerValue != generation, object["status"].exists, !isFollowed {
                return .swap(request: request(plugin, present, wanted), status: status)
            }
            // Nobody has touched the specification since: either the plugin was changed, or the wish was tried in vain.
            let isWaiting = object["status"]["observedGeneration"].integerValue != generation
            if normalized(object["status"]["applied"]) != present || !object["status"].exists || isWaiting {
                return .follow(specification: present)
            }
        }
        let before = object["status"]
        if before == status { return .none }
        if !countsCalls, withoutCounters(before) == withoutCounters(status) { return .none }
        return .updateStatus(status)
    }

    /// An object without a plugin: one that the host had once goes; one that somebody made is told what it lacks.
    private static func forgotten(_ object: JSON?) -> PluginPlan {
        guard let object else { return .none }
        if object["status"]["applied"].exists { return .delete }
        let status: JSON = [
            "observedGeneration": object.metadata["generation"], "state": "unknown",
            "reason": .string(
                "the configuration has no plugin named \(object.name): add it there under plugins, then run hostd reload"
            ),
        ]
        return object["status"] == status ? .none : .updateStatus(status)
    }

    static func specification(of plugin: JSON) -> JSON {
        var specification = JSONObject()
        for key in specified where plugin[key].exists { specification[key] = plugin[key] }
        return normalized(.object(specification))
    }

    /// Empty parts are as good as absent ones; `shared` is the default.
    private static func normalized(_ specification: JSON) -> JSON {
        var result = JSONObject()
        for key in specified {
            let value = specification[key]
            switch value {
            case .null: continue
            case .object(let members) where members.isEmpty: continue
            case .array(let elements) where elements.isEmpty: continue
            case .string(""): continue
            default: result[key] = value
            }
        }
        if result["isolation"] == nil { result["isolation"] = "shared" }
        return .object(result)
    }

    private static func request(_ plugin: JSON, _ present: JSON, _ wanted: JSON) -> JSON {
        var request: JSONObject = ["action": "swap", "plugin": plugin["name"], "trigger": "object"]
        for key in specified where wanted[key] != present[key] {
            let empty: JSON = key == "grants" ? .array([]) : key == "limits" || key == "options" ? .object([:]) : ""
            request[key] = wanted[key].exists ? wanted[key] : empty
        }
        return .object(request)
    }

    private static let reported = [
        "state", "version", "path", "reason", "description", "generation", "restarts", "lastSwap",
    ]

    private static func status(of plugin: JSON, applied: JSON) -> JSON {
        var status = JSONObject()
        for key in reported {
            let value = plugin[key]
            if value.exists, value != .string("") { status[key] = value }
        }
        status["roles"] = .array(
            plugin["roles"].arrayValue.map { role in
                var copy = JSONObject()
                for key in counters + ["id", "selected"] where role[key].exists { copy[key] = role[key] }
                return .object(copy)
            })
        status["applied"] = applied
        return .object(status)
    }

    private static let counters = ["calls", "errors", "violations", "p50Nanoseconds", "p99Nanoseconds"]

    private static func withoutCounters(_ status: JSON) -> JSON {
        var copy = status
        copy["roles"] = .array(
            status["roles"].arrayValue.map { role in
                var role = role
                for key in counters { role.removeValue(forKey: key) }
                return role
            })
        return copy
    }
}
