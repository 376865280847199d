/// Whether a pod's toleration covers a node's taint (Kubernetes core/v1 Toleration), straight from the objects.
public enum TolerationMatch {
    /// An empty key with operator Exists covers every taint; an empty effect covers every effect.
    public static func covers(_ toleration: JSON, _ taint: JSON) -> Bool {
        let effect = toleration["effect"].stringValue ?? ""
        if !effect.isEmpty && effect != taint["effect"].stringValue { return false }
        let isAny = toleration["operator"].stringValue == "Exists"
        let key = toleration["key"].stringValue ?? ""
        if key.isEmpty { return isAny }
        return key == taint["key"].stringValue
            && (isAny || (toleration["value"].stringValue ?? "") == (taint["value"].stringValue ?? ""))
    }
}
