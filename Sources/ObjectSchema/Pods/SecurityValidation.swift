import Objects

/// Rules of the security contexts of pods and containers.
/// See https://kubernetes.io/docs/tasks/configure-pod-container/security-context/.
enum SecurityValidation {
    /// What a user's or group's number may be.
    private static let lastIdentity = Int64(Int32.max)

    static func container(
        _ context: JSON, _ pod: ContainerValidation.Surroundings, at place: @autoclosure () -> String,
        _ errors: inout [FieldError]
    ) {
        identity(context, "runAsUser", at: place(), &errors)
        identity(context, "runAsGroup", at: place(), &errors)
        if let mount = context["procMount"].stringValue {
            if mount != "Default", mount != "Unmasked" {
                errors.append(.notSupported("\(place()).procMount", .string(mount), ["Default", "Unmasked"]))
            }
            if mount == "Unmasked", pod.sharesUsers {
                errors.append(
                    .invalid("\(place()).procMount", .string(mount), "`hostUsers` must be false to use `Unmasked`"))
            }
        }
        if context["allowPrivilegeEscalation"].boolValue == false {
            if context["privileged"].boolValue == true {
                errors.append(
                    .invalid(
                        place(), context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
            }
            if context["capabilities"]["add"].arrayValue.contains("CAP_SYS_ADMIN") {
                errors.append(
                    .invalid(
                        place(), context,
                        "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"))
            }
        }
        profiles(context, at: place(), &errors)
    }

    /// - Parameter place: Of the pod's spec.
    static func pod(_ spec: JSON, _ errors: inout [FieldError]) {
        let context = spec["securityContext"]
        if spec["shareProcessNamespace"].boolValue == true, spec["hostPID"].boolValue == true {
            errors.append(
                .invalid(
                    "securityContext.shareProcessNamespace", true,
                    "ShareProcessNamespace and HostPID cannot both be enabled"))
        }
        guard !context.isEmpty else { return }
        for field in ["fsGroup", "runAsUser", "runAsGroup"] {
            identity(context, field, at: "securityContext", &errors)
        }
        for (index, group) in context["supplementalGroups"].arrayValue.enumerated() {
            check(group, at: "securityContext.supplementalGroups[\(index)]", &errors)
        }
        for (field, words) in [
            ("fsGroupChangePolicy", ["Always", "OnRootMismatch"]), ("supplementalGroupsPolicy", ["Merge", "Strict"]),
            ("seLinuxChangePolicy", ["MountOption", "Recursive"]),
        ] {
            guard let word = context[field].stringValue, !words.contains(word) else { continue }
            errors.append(.notSupported("securityContext.\(field)", .string(word), words))
        }
        sysctls(spec, &errors)
        profiles(context, at: "securityContext", &errors)
    }

    private static func identity(
        _ context: JSON, _ field: String, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        if context[field].exists { check(context[field], at: "\(place()).\(field)", &errors) }
    }

    private static func check(
        _ number: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        guard let value = number.integerValue, !(0...lastIdentity).contains(value) else { return }
        errors.append(.invalid(place(), number, "must be between 0 and \(lastIdentity), inclusive"))
    }

    // MARK: - Profiles

    private static func profiles(
        _ context: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        if context["seccompProfile"].exists {
            seccomp(context["seccompProfile"], at: "\(place()).seccompProfile", &errors)
        }
        if context["appArmorProfile"].exists {
            appArmor(context["appArmorProfile"], at: "\(place()).appArmorProfile", &errors)
        }
        if context["windowsOptions"].exists {
            WindowsValidation.options(context["windowsOptions"], at: "\(place()).windowsOptions", &errors)
        }
    }

    private static let profileTypes = ["Localhost", "RuntimeDefault", "Unconfined"]

    private static func seccomp(
        _ profile: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        let type = profile["type"].stringValue ?? ""
        if type.isEmpty {
            errors.append(.required("\(place()).type", "type is required when seccompProfile is set"))
        } else if !profileTypes.contains(type) {
            errors.append(.notSupported("\(place()).type", .string(type), profileTypes))
        }
        let name = profile["localhostProfile"].stringValue
        if type == "Localhost" {
            if let name {
                PathChecks.descending(name, at: "\(place()).localhostProfile", &errors)
            } else {
                errors.append(
                    .required("\(place()).localhostProfile", "must be set when seccomp type is Localhost"))
            }
        } else if name != nil {
            errors.append(
                .invalid(
                    "\(place()).localhostProfile", profile, "can only be set when seccomp type is Localhost"))
        }
    }

    private static let longestProfile = 4095

    private static func appArmor(
        _ profile: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        let type = profile["type"].stringValue ?? ""
        let name = profile["localhostProfile"]
        switch type {
        case "Localhost":
            let text = name.stringValue ?? ""
            if text.first?.isWhitespace == true || text.last?.isWhitespace == true {
                errors.append(.invalid("\(place()).localhostProfile", name, "must not be padded with whitespace"))
            } else if text.isEmpty {
                errors.append(
                    .required("\(place()).localhostProfile", "must be set when AppArmor type is Localhost"))
            }
            if text.utf8.count > longestProfile {
                errors.append(.tooLong("\(place()).localhostProfile", limit: longestProfile))
            }
        case "RuntimeDefault", "Unconfined":
            if name.exists {
                errors.append(
                    .invalid(
                        "\(place()).localhostProfile", name, "can only be set when AppArmor type is Localhost"))
            }
        case "": errors.append(.required("\(place()).type", "type is required when appArmorProfile is set"))
        default: errors.append(.notSupported("\(place()).type", .string(type), profileTypes))
        }
    }

    // MARK: - Kernel parameters

    private static let longestSysctl = 253
    private static let sysctlRule =
        #"must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"#

    private static func sysctls(_ spec: JSON, _ errors: inout [FieldError]) {
        var names: Set<String> = []
        for (index, sysctl) in spec["securityContext"]["sysctls"].arrayValue.enumerated() {
            let name = sysctl["name"].stringValue ?? ""
            func refuse(_ detail: String) {
                errors.append(.invalid("securityContext.sysctls[\(index)].name", .string(name), detail))
            }
            if name.isEmpty {
                errors.append(.required("securityContext.sysctls[\(index)].name"))
            } else if !isSysctl(name) {
                refuse(sysctlRule)
            } else if names.contains(name) {
                errors.append(.duplicate("securityContext.sysctls[\(index)].name", .string(name)))
            }
            let dotted = dotted(name)
            if spec["hostNetwork"].boolValue == true, dotted.hasPrefix("net.") {
                refuse("may not be specified when 'hostNetwork' is true")
            } else if spec["hostIPC"].boolValue == true, isInterprocess(dotted) {
                refuse("may not be specified when 'hostIPC' is true")
            }
            names.insert(name)
        }
    }

    private static func isSysctl(_ name: String) -> Bool {
        func isWord(_ byte: UInt8) -> Bool {
            byte &- UInt8(ascii: "a") < 26 || byte &- UInt8(ascii: "0") < 10
        }
        return name.utf8.count <= longestSysctl
            && name.utf8.split(
                omittingEmptySubsequences: false,
                whereSeparator: { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "/") }
            ).allSatisfy { part in
                guard let first = part.first, let last = part.last else { return false }
                return isWord(first) && isWord(last)
                    && part.allSatisfy { isWord($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
            }
    }

    /// With the separator that stands first as the one between all parts: "net/ipv4/conf" is "net.ipv4.conf".
    private static func dotted(_ name: String) -> String {
        guard let first = name.first(where: { $0 == "." || $0 == "/" }), first == "/" else { return name }
        return String(name.map { $0 == "/" ? "." : $0 == "." ? "/" : $0 })
    }

    private static func isInterprocess(_ name: String) -> Bool {
        ["kernel.shm", "kernel.msg", "fs.mqueue."].contains { name.hasPrefix($0) } || name == "kernel.sem"
    }
}
