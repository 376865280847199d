import Objects

/// What is left in a namespace that is being deleted, and the status that tells of it.
struct NamespaceContents {
    /// Counts by resource, such as "pods" or "deployments.apps".
    var remaining: [String: Int] = [:]
    /// How many objects still carry each finalizer.
    var finalizers: [String: Int] = [:]
    /// Errors of deletes, empty when none failed.
    var failures: [String] = []
    /// Errors of discovery.
    var discoveryFailures: [String] = []
    /// Whether something is left that nobody will tell the end of.
    var mustLookAgain = false

    var isEmpty: Bool { remaining.isEmpty && failures.isEmpty && discoveryFailures.isEmpty }

    /// The conditions of the namespace, after Kubernetes'.
    func conditions(_ old: JSON, now: Timestamp) -> JSON {
        var list = old
        func set(_ type: String, _ isTrue: Bool, _ reasons: (String, String), _ messages: (String, String)) {
            let status: JSON = isTrue ? "True" : "False"
            let message = isTrue ? messages.0 : messages.1
            let current = list.condition(type)
            if current["status"] == status && current["message"].stringValue == message { return }
            list.setCondition([
                "type": .string(type), "status": status, "lastTransitionTime": .string(now.formatted(fraction: .none)),
                "reason": .string(isTrue ? reasons.0 : reasons.1), "message": .string(message),
            ])
        }
        set(
            "NamespaceDeletionDiscoveryFailure", !discoveryFailures.isEmpty, ("DiscoveryFailed", "ResourcesDiscovered"),
            (
                "Discovery failed for some groups, \(discoveryFailures.count) failing: \(discoveryFailures.joined(separator: ", "))",
                "All resources successfully discovered"
            ))
        set(
            "NamespaceDeletionGroupVersionParsingFailure", false, ("GroupVersionParsingFailed", "ParsedGroupVersions"),
            ("", "All legacy kube types successfully parsed"))
        set(
            "NamespaceDeletionContentFailure", !failures.isEmpty, ("ContentDeletionFailed", "ContentDeleted"),
            (
                "Failed to delete all resource types, \(failures.count) remaining: \(failures.joined(separator: ", "))",
                "All content successfully deleted, may be waiting on finalization"
            ))
        let left = remaining.sorted { $0.key < $1.key }.map { "\($0.key) has \($0.value) resource instances" }
        set(
            "NamespaceContentRemaining", !remaining.isEmpty, ("SomeResourcesRemain", "ContentRemoved"),
            ("Some resources are remaining: \(left.joined(separator: ", "))", "All content successfully removed"))
        let held = finalizers.sorted { $0.key < $1.key }.map { "\($0.key) in \($0.value) resource instances" }
        set(
            "NamespaceFinalizersRemaining", !finalizers.isEmpty, ("SomeFinalizersRemain", "ContentHasNoFinalizers"),
            (
                "Some content in the namespace has finalizers remaining: \(held.joined(separator: ", "))",
                "All content-preserving finalizers finished"
            ))
        return list
    }
}
