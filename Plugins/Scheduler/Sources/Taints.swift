import Objects

/// A node's taint (Kubernetes core/v1 Taint).
public struct Taint: Sendable, Hashable {
    public enum Effect: String, Sendable {
        case noSchedule = "NoSchedule", preferNoSchedule = "PreferNoSchedule", noExecute = "NoExecute"
    }
    public var key: String
    public var value: String
    public var effect: Effect

    public init(key: String, value: String = "", effect: Effect) {
        self.key = key
        self.value = value
        self.effect = effect
    }

    /// Nil for an effect that this version does not know: such a taint repels nothing.
    init?(_ object: JSON) {
        guard let key = object["key"].stringValue,
            let effect = Effect(rawValue: object["effect"].stringValue ?? "")
        else { return nil }
        self.init(key: key, value: object["value"].stringValue ?? "", effect: effect)
    }

    static let notReady = Taint(key: "node.kubernetes.io/not-ready", effect: .noSchedule)
    static let unschedulable = Taint(key: "node.kubernetes.io/unschedulable", effect: .noSchedule)
}

/// A pod's toleration (Kubernetes core/v1 Toleration).
public struct Toleration: Sendable, Hashable {
    public var key: String
    /// True for operator Exists, false for Equal.
    public var anyValue: Bool
    public var value: String
    /// Nil tolerates every effect.
    public var effect: Taint.Effect?

    public init(key: String, anyValue: Bool, value: String = "", effect: Taint.Effect? = nil) {
        self.key = key
        self.anyValue = anyValue
        self.value = value
        self.effect = effect
    }

    /// Nil for an effect that this version does not know: such a toleration tolerates nothing.
    init?(_ object: JSON) {
        let text = object["effect"].stringValue ?? ""
        let effect = Taint.Effect(rawValue: text)
        if !text.isEmpty && effect == nil { return nil }
        self.init(
            key: object["key"].stringValue ?? "", anyValue: object["operator"].stringValue == "Exists",
            value: object["value"].stringValue ?? "", effect: effect)
    }

    func tolerates(_ taint: Taint) -> Bool {
        if let effect, effect != taint.effect { return false }
        if key.isEmpty { return anyValue }
        return key == taint.key && (anyValue || value == taint.value)
    }
}

extension [Toleration] {
    func tolerate(_ taint: Taint) -> Bool { contains { $0.tolerates(taint) } }
}
