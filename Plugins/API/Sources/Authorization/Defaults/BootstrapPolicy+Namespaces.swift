import Objects

/// Roles that hold in a namespace of the system.
extension BootstrapPolicy {
    private static let system = "kube-system"
    private static let reader = "extension-apiserver-authentication-reader"
    private static let signer = controllerPrefix + "bootstrap-signer"
    private static let leaders = ["kube-controller-manager", "kube-scheduler"]

    static var namespacedRoles: [JSON] {
        let roles = [
            role(reader, namespace: system, [allow(read, "core", "configmaps", names: FrontProxy.configMapName)]),
            role(signer, namespace: system, [allow(read, "core", "secrets")]),
            role(
                controllerPrefix + "cloud-provider", namespace: system,
                [allow("create \(read)", "core", "configmaps")]),
            role(
                controllerPrefix + "token-cleaner", namespace: system,
                [allow("delete \(read)", "core", "secrets"), events]),
            role(
                signer, namespace: "kube-public",
                [
                    allow(read, "core", "configmaps"), allow("update", "core", "configmaps", names: "cluster-info"),
                    events,
                ]),
        ]
        return roles
            + leaders.map { name in
                role(
                    "system::leader-locking-\(name)", namespace: system,
                    [allow("watch", "core", "configmaps"), allow("get update", "core", "configmaps", names: name)])
            }
    }

    static var namespacedBindings: [JSON] {
        let bindings = [
            binding("system::" + reader, to: reader, namespace: system, leaders.map { .user("system:\($0)") }),
            binding(signer, namespace: system, [.account("bootstrap-signer")]),
            binding(controllerPrefix + "cloud-provider", namespace: system, [.account("cloud-provider")]),
            binding(controllerPrefix + "token-cleaner", namespace: system, [.account("token-cleaner")]),
            binding(signer, namespace: "kube-public", [.account("bootstrap-signer")]),
        ]
        return bindings
            + leaders.map { name in
                binding(
                    "system::leader-locking-\(name)", namespace: system, [.user("system:\(name)"), .account(name)])
            }
    }
}
