import Objects

/// Owners that an object names more than once. Kubernetes leaves out those that are there already, and says so.
enum OwnerReferences {
    /// Leaves out what is there already. Complexity: O(owners), more only for those of the same UID.
    ///
    /// - Parameter isAdmitted: whether admission has changed the object already.
    /// - Returns: the warning for the client; none when there was nothing to leave out.
    static func deduplicate(_ object: inout JSON, isAdmitted: Bool) -> [String] {
        let references = object.metadata["ownerReferences"].arrayValue
        guard references.count > 1 else { return [] }
        var kept: [JSON] = []
        var repeated: [String] = []
        var seen: Set<String> = []
        for reference in references {
            let uid = reference["uid"].stringValue ?? ""
            if seen.insert(uid).inserted || !kept.contains(reference) {
                kept.append(reference)
            } else {
                repeated.append(uid)
            }
        }
        guard !repeated.isEmpty else { return [] }
        object["metadata"]["ownerReferences"] = .array(kept)
        let stage = isAdmitted ? " after mutating admission happens" : ""
        return [
            ".metadata.ownerReferences contains duplicate entries\(stage); API server dedups owner references in 1.20+, "
                + "and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: "
                + repeated.joined(separator: ", ")
        ]
    }
}
