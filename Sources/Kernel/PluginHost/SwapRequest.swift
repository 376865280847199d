import Objects
import PluginAPI

/// What the control socket or hostd.plugins/1 asks for, checked as far as it can be without looking at the plugins.
public struct SwapRequest: Sendable {
    public enum Action: String, Sendable, CaseIterable { case swap, rollback }

    public var action: Action
    /// A role whose selected provider is meant, or the name of a plugin.
    public var subject: String
    /// The path or the name of a library, or the name of another plugin of the configuration; nil = as it is.
    public var library: String?
    /// The settings that are to differ: library, options, isolation, grants, limits, callTimeout. Without options the
    /// plugin's own are kept, unless the library is another plugin.
    public var changes: JSON
    public var discardsState = false
    /// Nanoseconds for calls to leave the old generation.
    public var drainLimit = PluginHost.drainLimit
    public var trigger: SwapRecord.Trigger

    private static let keys = [
        "action", "role", "plugin", "library", "options", "discardState", "timeoutMilliseconds", "trigger",
    ]
    private static let settingKeys = ["library", "options"] + IsolationSettings.keys

    /// The role, when the request names one.
    var role: String? { subject.contains("/") ? subject : nil }

    /// Request of draft/plugins.h.
    init(_ json: JSON) throws(PluginFailure) {
        for key in json.objectValue?.keys ?? [] where !(Self.keys + IsolationSettings.keys).contains(key) {
            throw Self.failure("unknown member \"\(key)\"\(suggestion(for: key, among: Self.keys))")
        }
        guard let action = Action(rawValue: json["action"].stringValue ?? "swap") else {
            throw Self.failure("\"action\" is swap or rollback")
        }
        guard let subject = json["plugin"].stringValue ?? json["role"].stringValue, !subject.isEmpty else {
            throw Self.failure("name a \"role\" or a \"plugin\"")
        }
        let word = json["trigger"].stringValue ?? (action == .rollback ? "rollback" : "object")
        guard let trigger = SwapRecord.Trigger(rawValue: word) else {
            throw Self.failure("\"trigger\" is \(list(SwapRecord.Trigger.allCases.map(\.rawValue)))")
        }
        guard json["options"].isNull || json["options"].objectValue != nil else {
            throw Self.failure("\"options\" is not an object")
        }
        self.action = action
        self.subject = subject
        self.trigger = action == .rollback ? .rollback : trigger
        library = json["library"].stringValue
        changes = [:]
        for key in Self.settingKeys where json[key].exists && json[key] != .null { changes[key] = json[key] }
        discardsState = json["discardState"].boolValue ?? false
        if let milliseconds = json["timeoutMilliseconds"].integerValue {
            guard (1...3_600_000).contains(milliseconds) else { throw Self.failure("the timeout is 1 ms to 1 hour") }
            drainLimit = UInt64(milliseconds) * 1_000_000
        }
    }

    private static func failure(_ message: String) -> PluginFailure {
        PluginFailure(.request, code: HOSTD_ERROR_INVALID_ARGUMENT, message)
    }
}
