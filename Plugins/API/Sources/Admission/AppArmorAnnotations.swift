import Objects

/// The annotations by which pods named AppArmor profiles before there was a field for them: a new pod's are taken over into
/// `securityContext.appArmorProfile` of the containers that say nothing themselves. Pure.
enum AppArmorAnnotations {
    static let prefix = "container.apparmor.security.beta.kubernetes.io/"
    private static let longestProfile = 4095

    /// - Returns: warnings for the client.
    static func takeOver(into pod: inout JSON) -> [String] {
        guard let annotations = pod.metadata["annotations"].objectValue,
            annotations.contains(where: { $0.key.hasPrefix(prefix) }), pod["spec"]["os"]["name"] != "windows"
        else { return [] }
        let ofPod = pod["spec"]["securityContext"]["appArmorProfile"]
        var warnings: [String] = []
        for list in ["initContainers", "containers"] where pod["spec"][list].exists {
            pod["spec"][list].updateElements { _, container in
                let key = prefix + (container["name"].stringValue ?? "")
                guard let text = annotations[key]?.stringValue,
                    container["securityContext"]["appArmorProfile"].isNull
                else { return }
                let profile = profile(text)
                // What the pod says as a whole need not be said again.
                if let profile, profile == ofPod { return }
                if let profile { container["securityContext"]["appArmorProfile"] = profile }
                warnings.append(
                    "metadata.annotations[\(key)]: deprecated since v1.30; use the \"appArmorProfile\" field instead")
            }
        }
        return warnings
    }

    /// Nil for what names no profile that there can be.
    private static func profile(_ text: String) -> JSON? {
        switch text {
        case "unconfined": return ["type": "Unconfined"]
        case "runtime/default": return ["type": "RuntimeDefault"]
        default: break
        }
        guard text.hasPrefix("localhost/") else { return nil }
        let name = text.dropFirst("localhost/".count)
        guard let first = name.first, let last = name.last, !first.isWhitespace, !last.isWhitespace,
            name.utf8.count <= longestProfile
        else { return nil }
        return ["type": "Localhost", "localhostProfile": .string(String(name))]
    }
}
