import Objects

/// An image that must be on the node before a container can be made: its own, or one that it mounts as a volume.
struct WantedImage: Sendable, Equatable {
    /// What it is remembered by while it is pulled, among all of its pod.
    let key: String
    let reference: String
    /// Always, IfNotPresent or Never.
    let policy: String

    private init(key: String, reference: String, policy: String?) {
        self.key = key
        self.reference = reference
        self.policy = policy ?? Self.defaultPolicy(reference)
    }

    /// The container's own image, then those of its volumes.
    static func all(of container: PodContainer, in pod: Pod) -> [WantedImage] {
        let own = WantedImage(
            key: container.name, reference: container.image, policy: container.object["imagePullPolicy"].stringValue)
        let mounted = Set(container.object["volumeMounts"].arrayValue.compactMap { $0["name"].stringValue })
        return [own]
            + pod.specification["volumes"].arrayValue.compactMap { volume in
                guard let name = volume["name"].stringValue, mounted.contains(name),
                    let reference = volume["image"]["reference"].stringValue
                else { return nil }
                // No container's name holds a slash.
                return WantedImage(
                    key: "\(container.name)/\(name)", reference: reference,
                    policy: volume["image"]["pullPolicy"].stringValue)
            }
    }

    /// The API fills the policy in; this is for objects that were stored without.
    static func defaultPolicy(_ image: String) -> String {
        let name = image.split(separator: "/").last ?? ""
        if name.contains("@") { return "IfNotPresent" }
        return name.hasSuffix(":latest") || !name.contains(":") ? "Always" : "IfNotPresent"
    }
}
