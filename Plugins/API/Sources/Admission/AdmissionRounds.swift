import Objects

/// What is kept of one write while it is admitted: once a mutating policy or webhook has changed the object, all plugins look at
/// it a second time, and of the policies and webhooks those that ask for it and that a later change concerns.
/// See https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#reinvocation-policy.
final class AdmissionRounds: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): it belongs to one write, which one thread at a time admits.

    /// What is kept of policies, or of webhooks.
    struct Memory {
        /// Those that have been asked and want to see later changes, since the last change.
        private var asked: Set<String> = []
        /// Those that are to look again.
        private var due: Set<String> = []
        /// The object as they left it.
        var outcome: JSON = .null

        func isDue(_ key: String) -> Bool { due.contains(key) }

        mutating func wasAsked(_ key: String) { asked.insert(key) }

        /// Has all who were asked before look again.
        mutating func changed() {
            due.formUnion(asked)
            asked = []
        }
    }

    var policies = Memory()
    var webhooks = Memory()
    private(set) var isSecond = false
    /// Whether the object was changed by a policy or a webhook.
    private(set) var isChanged = false

    /// Begins the second round, if there is to be one.
    func startSecond() -> Bool {
        guard isChanged, !isSecond else { return false }
        isSecond = true
        return true
    }

    /// A policy's or webhook's turn in this round has come.
    /// - Parameter object: As it is now: in the second round the other plugins may have changed it.
    func start(_ memory: ReferenceWritableKeyPath<AdmissionRounds, Memory>, _ object: JSON) {
        if isSecond, self[keyPath: memory].outcome != object { self[keyPath: memory].changed() }
    }

    /// One of them has changed the object.
    func changed(_ memory: ReferenceWritableKeyPath<AdmissionRounds, Memory>) {
        self[keyPath: memory].changed()
        isChanged = true
    }
}
