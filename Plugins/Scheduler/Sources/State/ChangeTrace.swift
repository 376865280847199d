/// What has changed in a placement since it was last handed out, by name. It grows with the nodes and pods that change until
/// it is asked for or given up.
public struct ChangeTrace: Sendable {
    /// What one call of the role changes.
    public enum Subject: Sendable {
        case node(String)
        /// By uid.
        case pod(String)
    }

    private(set) var nodes: Set<String> = []
    private(set) var pods: Set<String> = []
    /// Everything was forgotten since.
    private(set) var isReset = false

    public init() {}

    public mutating func note(_ subject: Subject) {
        // After a reset the whole placement is handed out.
        if isReset { return }
        switch subject {
        case .node(let name): nodes.insert(name)
        case .pod(let uid): pods.insert(uid)
        }
    }

    public mutating func noteReset() {
        self = ChangeTrace()
        isReset = true
    }
}
