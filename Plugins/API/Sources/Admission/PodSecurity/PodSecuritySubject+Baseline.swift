import Objects

/// The rules of level baseline: what is known to lead out of a container.
extension PodSecuritySubject {
    typealias Violation = PodSecurityChecks.Violation

    func appArmorProfile() -> Violation? {
        let prefix = "container.apparmor.security.beta.kubernetes.io/"
        var notes: [String] = []
        for (key, value) in annotations.objectValue ?? [:] where key.hasPrefix(prefix) {
            let profile = value.stringValue ?? ""
            let isAllowed = profile.isEmpty || profile == "runtime/default" || profile.hasPrefix("localhost/")
            if !isAllowed { notes.append("\(key)=\"\(profile)\"") }
        }
        func isBad(_ context: JSON) -> Bool {
            context["appArmorProfile"]["type"].stringValue.map { !["RuntimeDefault", "Localhost"].contains($0) }
                ?? false
        }
        let bad = names { isBad($0["securityContext"]) }
        var details = notes.sorted()
        if isBad(context) || !bad.isEmpty {
            let types = values(of: ["appArmorProfile", "type"]) { !["RuntimeDefault", "Localhost"].contains($0) }
            details.append(
                "\(Self.setters(pod: isBad(context), bad)) must not set AppArmor profile type to \(Self.quoted(types))")
        }
        guard !details.isEmpty else { return nil }
        return Violation(
            reason: Self.plural("forbidden AppArmor profile", details.count), detail: details.joined(separator: ", "))
    }

    /// The distinct texts at a path of the security contexts of pod and containers that are bad, in order.
    func values(of path: [String], where isBad: (String) -> Bool) -> [String] {
        let contexts = [context] + containers.map { $0["securityContext"] }
        return Set(contexts.compactMap { $0[path: path].stringValue }.filter(isBad)).sorted()
    }

    private static let defaultCapabilities: Set = [
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    ]

    func addedCapabilities() -> Violation? {
        addedCapabilities(beyond: Self.defaultCapabilities).map {
            Violation(reason: "non-default capabilities", detail: $0)
        }
    }

    func addedCapabilities(beyond allowed: Set<String>) -> String? {
        var added: Set<String> = []
        let bad = names { container in
            let names = container["securityContext"]["capabilities"]["add"].arrayValue.compactMap(\.stringValue)
            let forbidden = names.filter { !allowed.contains($0) }
            added.formUnion(forbidden)
            return !forbidden.isEmpty
        }
        guard !bad.isEmpty else { return nil }
        return "\(Self.counted("container", bad)) must not include \(Self.quoted(added.sorted())) in "
            + "securityContext.capabilities.add"
    }

    func hostNamespaces() -> Violation? {
        let used = ["hostNetwork", "hostPID", "hostIPC"].filter { spec[$0].boolValue == true }
        guard !used.isEmpty else { return nil }
        return Violation(reason: "host namespaces", detail: used.map { "\($0)=true" }.joined(separator: ", "))
    }

    func hostPathVolumes() -> Violation? {
        let bad = spec["volumes"].arrayValue.filter { $0["hostPath"].exists }.map { $0["name"].stringValue ?? "" }
        return bad.isEmpty ? nil : Violation(reason: "hostPath volumes", detail: Self.counted("volume", bad))
    }

    func hostPorts() -> Violation? {
        var ports: Set<String> = []
        let bad = names { container in
            let used = container["ports"].arrayValue.compactMap { $0["hostPort"].integerValue }.filter { $0 != 0 }
            ports.formUnion(used.map { String($0) })
            return !used.isEmpty
        }
        guard !bad.isEmpty else { return nil }
        return Violation(
            reason: "hostPort",
            detail: "\(Self.counted("container", bad)) \(bad.count == 1 ? "uses" : "use") "
                + "\(Self.plural("hostPort", ports.count)) \(ports.sorted().joined(separator: ", "))")
    }

    func probeHosts() -> Violation? {
        var hosts: Set<String> = []
        let bad = names { container in
            let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map { container[$0] }
            let hooks = ["postStart", "preStop"].map { container["lifecycle"][$0] }
            let named = (probes + hooks).flatMap { [$0["httpGet"], $0["tcpSocket"]] }
                .compactMap { $0["host"].stringValue }.filter { !$0.isEmpty }
            hosts.formUnion(named)
            return !named.isEmpty
        }
        guard !bad.isEmpty else { return nil }
        return Violation(
            reason: "probe or lifecycle host",
            detail: "\(Self.counted("container", Set(bad).sorted())) \(bad.count == 1 ? "uses" : "use") "
                + Self.counted("probe or lifecycle host", hosts.sorted()))
    }

    func privileged() -> Violation? {
        let bad = names { $0["securityContext"]["privileged"].boolValue == true }
        guard !bad.isEmpty else { return nil }
        return Violation(
            reason: "privileged",
            detail: "\(Self.counted("container", bad)) must not set securityContext.privileged=true")
    }

    func procMount(_ level: PodSecurityLevel) -> Violation? {
        if level.level == .baseline, level.isAtLeast(35), hasUserNamespace { return nil }
        var values: Set<String> = []
        let bad = names { container in
            guard let value = container["securityContext"]["procMount"].stringValue, value != "Default" else {
                return false
            }
            values.insert(value)
            return true
        }
        guard !bad.isEmpty else { return nil }
        return Violation(
            reason: "procMount",
            detail: "\(Self.counted("container", bad)) must not set securityContext.procMount to "
                + Self.quoted(values.sorted()))
    }

    func seLinuxOptions(_ level: PodSecurityLevel) -> Violation? {
        var allowed: Set = ["", "container_t", "container_init_t", "container_kvm_t"]
        if level.isAtLeast(31) { allowed.insert("container_engine_t") }
        var types: Set<String> = []
        var (hasUser, hasRole) = (false, false)
        func isBad(_ options: JSON) -> Bool {
            let type = options["type"].stringValue ?? ""
            let (user, role) = (options["user"].stringValue ?? "", options["role"].stringValue ?? "")
            if !allowed.contains(type) { types.insert(type) }
            if !user.isEmpty { hasUser = true }
            if !role.isEmpty { hasRole = true }
            return !allowed.contains(type) || !user.isEmpty || !role.isEmpty
        }
        let isPodBad = isBad(context["seLinuxOptions"])
        let bad = names { isBad($0["securityContext"]["seLinuxOptions"]) }
        guard isPodBad || !bad.isEmpty else { return nil }
        var data = types.isEmpty ? [] : [Self.counted("type", types.sorted())]
        if hasUser { data.append("user may not be set") }
        if hasRole { data.append("role may not be set") }
        return Violation(
            reason: "seLinuxOptions",
            detail: "\(Self.setters(pod: isPodBad, bad)) set forbidden securityContext.seLinuxOptions: "
                + data.joined(separator: "; "))
    }

    func seccompProfile(_ level: PodSecurityLevel) -> Violation? {
        level.isAtLeast(19) ? badSeccompProfile() : seccompAnnotations()
    }

    private func seccompAnnotations() -> Violation? {
        let pod = "seccomp.security.alpha.kubernetes.io/pod"
        let keys = [pod] + names { _ in true }.map { "container.seccomp.security.alpha.kubernetes.io/\($0)" }
        let bad = keys.compactMap { key -> String? in
            guard let value = annotations[key].stringValue else { return nil }
            let isAllowed = ["runtime/default", "docker/default"].contains(value) || value.hasPrefix("localhost/")
            return isAllowed ? nil : "\(key)=\"\(value)\""
        }
        guard !bad.isEmpty else { return nil }
        return Violation(
            reason: "seccompProfile",
            detail: "forbidden \(Self.plural("annotation", bad.count)) \(bad.sorted().joined(separator: ", "))")
    }

    static let seccompTypes: Set = ["RuntimeDefault", "Localhost"]

    /// Who sets a profile that is not allowed; not setting one is.
    func badSeccompProfile() -> Violation? {
        func isBad(_ context: JSON) -> Bool {
            guard context["seccompProfile"].exists else { return false }
            return !Self.seccompTypes.contains(context["seccompProfile"]["type"].stringValue ?? "")
        }
        let bad = names { isBad($0["securityContext"]) }
        guard isBad(context) || !bad.isEmpty else { return nil }
        let types = values(of: ["seccompProfile", "type"]) { !Self.seccompTypes.contains($0) }
        return Violation(
            reason: "seccompProfile",
            detail: "\(Self.setters(pod: isBad(context), bad)) must not set securityContext.seccompProfile.type to "
                + Self.quoted(types))
    }

    func sysctls(_ level: PodSecurityLevel) -> Violation? {
        var allowed: Set = [
            "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
            "net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start",
        ]
        if level.isAtLeast(27) { allowed.insert("net.ipv4.ip_local_reserved_ports") }
        if level.isAtLeast(29) {
            allowed.formUnion(
                ["time", "intvl", "probes"].map { "net.ipv4.tcp_keepalive_\($0)" } + ["net.ipv4.tcp_fin_timeout"])
        }
        if level.isAtLeast(32) { allowed.formUnion(["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"]) }
        let bad = context["sysctls"].arrayValue.compactMap { $0["name"].stringValue }.filter { !allowed.contains($0) }
        return bad.isEmpty ? nil : Violation(reason: "forbidden sysctls", detail: bad.joined(separator: ", "))
    }

    func hostProcess() -> Violation? {
        func isBad(_ context: JSON) -> Bool { context["windowsOptions"]["hostProcess"].boolValue == true }
        let bad = names { isBad($0["securityContext"]) }
        guard isBad(context) || !bad.isEmpty else { return nil }
        return Violation(
            reason: "hostProcess",
            detail: "\(Self.setters(pod: isBad(context), bad)) must not set "
                + "securityContext.windowsOptions.hostProcess=true")
    }
}
