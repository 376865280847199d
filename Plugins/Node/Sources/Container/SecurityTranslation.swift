import Objects

/// Merges the security contexts of pod and container into the runtime's Security object.
enum SecurityTranslation {
    /// Paths of /proc and /sys that containers do not see, unless procMount is Unmasked or they are privileged.
    static let maskedPaths = [
        "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
        "/sys/devices/virtual/powercap",
    ]
    static let readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

    /// - Parameter seccompDirectory: where profiles that pods name as theirs are looked for.
    static func build(_ container: PodContainer, pod: Pod, seccompDirectory: String) throws -> JSON {
        let own = container.object["securityContext"]
        let shared = pod.specification["securityContext"]
        func either(_ name: String) -> JSON { own[name].exists ? own[name] : shared[name] }
        var security = JSONObject()
        let privileged = own["privileged"].boolValue == true
        security["privileged"] = .bool(privileged)
        for name in ["runAsUser", "runAsGroup", "runAsNonRoot"] where either(name).exists {
            security[name] = either(name)
        }
        if either("runAsNonRoot").boolValue == true, either("runAsUser").integerValue == 0 {
            throw ContainerConfigurationError(
                message: "container's runAsUser breaks non-root policy (pod: \"\(pod.fullName)\", "
                    + "container: \(container.name))")
        }
        var groups = shared["supplementalGroups"].arrayValue
        if shared["fsGroup"].exists { groups.append(shared["fsGroup"]) }
        if !groups.isEmpty { security["supplementalGroups"] = .array(groups) }
        // Then the image's /etc/group gives its user no further ones.
        if shared["supplementalGroupsPolicy"].stringValue == "Strict" { security["onlyListedGroups"] = true }
        security["readOnlyRootFilesystem"] = .bool(own["readOnlyRootFilesystem"].boolValue ?? false)
        let mayEscalate = own["allowPrivilegeEscalation"].boolValue ?? true
        security["noNewPrivileges"] = .bool(!mayEscalate && !privileged)
        if own["capabilities"].exists { security["capabilities"] = capabilities(own["capabilities"]) }
        security["seccomp"] = try seccomp(
            either("seccompProfile"), privileged: privileged, directory: seccompDirectory)
        let unmasked = own["procMount"].stringValue == "Unmasked" || privileged
        security["maskedPaths"] = JSON(unmasked ? [String]() : maskedPaths)
        security["readonlyPaths"] = JSON(unmasked ? [String]() : readonlyPaths)
        return .object(security)
    }

    /// The user that all containers of a pod are to run as; nil when one leaves it to its image, or two differ.
    static func commonUser(of pod: Pod) -> UInt32? {
        let shared = pod.specification["securityContext"]["runAsUser"]
        let users = pod.containers.filter { $0.kind != .ephemeral }.map { container in
            let own = container.object["securityContext"]["runAsUser"]
            return (own.exists ? own : shared).integerValue
        }
        guard let first = users.first, let user = first, users.allSatisfy({ $0 == user }) else { return nil }
        return UInt32(exactly: user)
    }

    private static func capabilities(_ json: JSON) -> JSON {
        func names(_ list: JSON) -> JSON {
            JSON(
                list.arrayValue.compactMap { entry in
                    entry.stringValue.map { $0.hasPrefix("CAP_") ? String($0.dropFirst(4)) : $0 }
                })
        }
        return ["add": names(json["add"]), "drop": names(json["drop"])]
    }

    private static func seccomp(_ profile: JSON, privileged: Bool, directory: String) throws -> JSON {
        // Without a wish the default profile applies: safer than Kubernetes' historic default, which is none.
        let type = privileged ? "Unconfined" : profile["type"].stringValue ?? "RuntimeDefault"
        guard type == "Localhost" else { return ["type": .string(type)] }
        let name = profile["localhostProfile"].stringValue ?? ""
        guard !name.isEmpty, !name.hasPrefix("/"), !name.split(separator: "/").contains("..") else {
            throw ContainerConfigurationError(
                message: "seccompProfile.localhostProfile \"\(name)\" must be a path below \(directory)")
        }
        return ["type": "Localhost", "path": .string("\(directory)/\(name)")]
    }
}
