import Objects

/// The names of operations, and the tags that they are grouped by: what generated clients call methods and classes.
struct OpenAPINames {
    /// "core_v1", "rbacAuthorization_v1".
    let tag: String
    /// "CoreV1", "RbacAuthorizationV1".
    private let title: String

    /// - Parameter version: empty for the group as such.
    init(group: String, version: String) {
        let group = group.isEmpty ? "core" : group.hasSuffix(".k8s.io") ? String(group.dropLast(7)) : group
        tag = Self.joined(group, isCapitalized: false) + (version.isEmpty ? "" : "_" + version)
        title = Self.joined(group, isCapitalized: true) + Self.capitalized(version)
    }

    /// "read" and "NamespacedPod" are "readCoreV1NamespacedPod".
    func operation(_ verb: String, _ rest: String) -> String { verb + title + rest }

    static func capitalized(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() }

    /// Without what cannot be in a name; what follows such is capitalized.
    private static func joined(_ text: String, isCapitalized: Bool) -> String {
        var result = ""
        var isNext = isCapitalized
        for character in text {
            let isUsable = character.isLetter || character == "_" || (character.isNumber && !result.isEmpty)
            if isUsable { result += isNext ? character.uppercased() : String(character) }
            isNext = !isUsable
        }
        return result
    }
}
