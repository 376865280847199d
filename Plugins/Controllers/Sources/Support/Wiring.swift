import Objects
import PluginKit
import Synchronization

/// Breaks the circle between a controller and the queue that calls it: the queue exists before the controller is whole.
final class Unowned<Object: AnyObject & Sendable>: Sendable {
    private struct Weak: Sendable { weak var object: Object? }
    private let state = Mutex(Weak())

    var value: Object? {
        get { state.withLock { $0.object } }
        set { state.withLock { $0.object = newValue } }
    }
}

enum DeleteOptions {
    /// Deletes this very object.
    static func of(_ object: JSON) -> JSON {
        ["apiVersion": "v1", "kind": "DeleteOptions", "preconditions": ["uid": .string(object.uid)]]
    }
}

extension JSON {
    /// A copy that names its type, for events and references.
    func typed(_ type: ResourceType) -> JSON {
        var copy = self
        copy["apiVersion"] = .string(type.apiVersion)
        copy["kind"] = .string(type.kind)
        return copy
    }
}

extension APIError {
    /// Whether the namespace is being deleted and takes nothing new.
    var isNamespaceTerminating: Bool {
        code == 403
            && status["details"]["causes"].arrayValue.contains { $0["reason"].stringValue == "NamespaceTerminating" }
    }
}
