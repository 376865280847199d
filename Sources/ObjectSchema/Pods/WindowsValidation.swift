import Objects

/// Rules of pods for one operating system alone, and of what only Windows has.
enum WindowsValidation {
    /// The pod's `os`: who names it leaves out what only the others have.
    static func system(_ spec: JSON, _ errors: inout [FieldError]) {
        guard spec["os"].exists else { return }
        switch spec["os"]["name"].stringValue ?? "" {
        case "": errors.append(.required("os.name", "cannot be empty"))
        case "linux": linux(spec, &errors)
        case "windows": windows(spec, &errors)
        case let name: errors.append(.notSupported("os", .string(name), ["linux", "windows"]))
        }
    }

    private static let lists = ["initContainers", "containers", "ephemeralContainers"]

    private static func forEachContext(_ spec: JSON, _ body: (_ context: JSON, _ place: String) -> Void) {
        for list in lists {
            for (index, container) in spec[list].arrayValue.enumerated() where container["securityContext"].exists {
                body(container["securityContext"], "\(list)[\(index)].securityContext")
            }
        }
    }

    private static func linux(_ spec: JSON, _ errors: inout [FieldError]) {
        let detail = "windows options cannot be set for a linux pod"
        if spec["securityContext"]["windowsOptions"].exists {
            errors.append(.forbidden("securityContext.windowsOptions", detail))
        }
        forEachContext(spec) { context, place in
            if context["windowsOptions"].exists { errors.append(.forbidden("\(place).windowsOptions", detail)) }
        }
    }

    private static let podFields = [
        "appArmorProfile", "seLinuxOptions", "seccompProfile", "fsGroup", "fsGroupChangePolicy", "sysctls", "runAsUser",
        "runAsGroup", "supplementalGroups", "supplementalGroupsPolicy", "seLinuxChangePolicy",
    ]
    private static let containerFields = [
        "appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged",
        "allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup",
    ]

    private static func windows(_ spec: JSON, _ errors: inout [FieldError]) {
        let detail = "cannot be set for a windows pod"
        for field in podFields where spec["securityContext"][field].exists {
            errors.append(.forbidden("securityContext.\(field)", detail))
        }
        for field in ["hostUsers", "shareProcessNamespace"] where spec[field].exists {
            errors.append(.forbidden(field, detail))
        }
        for field in ["hostPID", "hostIPC"] where spec[field].boolValue == true {
            errors.append(.forbidden(field, detail))
        }
        forEachContext(spec) { context, place in
            for field in containerFields where context[field].exists {
                errors.append(.forbidden("\(place).\(field)", detail))
            }
        }
    }

    /// Containers that are processes of the host are so all together, in the host's network.
    static func hostProcess(_ spec: JSON, _ errors: inout [FieldError]) {
        let ofPod = spec["securityContext"]["windowsOptions"]["hostProcess"].boolValue
        var (count, processes) = (0, 0)
        for list in lists {
            for (index, container) in spec[list].arrayValue.enumerated() {
                count += 1
                let own = container["securityContext"]["windowsOptions"]["hostProcess"].boolValue
                if let ofPod, let own, ofPod != own {
                    errors.append(
                        .invalid(
                            "\(list)[\(index)].securityContext.windowsOptions.hostProcess", .bool(own),
                            "pod hostProcess value must be identical if both are specified, was \(ofPod)"))
                }
                if own ?? ofPod == true { processes += 1 }
            }
        }
        guard processes > 0 else { return }
        if processes != count {
            errors.append(
                .invalid(
                    "", "",
                    "If pod contains any hostProcess containers then all containers must be HostProcess containers"
                ))
        }
        if spec["hostNetwork"].boolValue != true {
            errors.append(
                .invalid("hostNetwork", false, "hostNetwork must be true if pod contains any hostProcess containers"))
        }
    }

    // MARK: - Options

    private static let longestCredential = 64 * 1024
    private static let longestDomain = 256
    private static let longestUser = 104

    static func options(_ options: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]) {
        if let name = options["gmsaCredentialSpecName"].stringValue {
            errors += NameChecks.dns1123Subdomain(name).map {
                .invalid("\(place()).gmsaCredentialSpecName", .string(name), $0)
            }
        }
        if let credential = options["gmsaCredentialSpec"].stringValue {
            if credential.isEmpty {
                errors.append(
                    .invalid("\(place()).gmsaCredentialSpec", "", "gmsaCredentialSpec cannot be an empty string"))
            } else if credential.utf8.count > longestCredential {
                errors.append(
                    .invalid(
                        "\(place()).gmsaCredentialSpec", .string(credential),
                        "gmsaCredentialSpec size must be under 64 KiB"))
            }
        }
        guard let name = options["runAsUserName"].stringValue else { return }
        for complaint in userName(name) {
            errors.append(.invalid("\(place()).runAsUserName", .string(name), complaint))
        }
    }

    /// USER, or DOMAIN\USER.
    private static func userName(_ name: String) -> [String] {
        if name.isEmpty { return ["runAsUserName cannot be an empty string"] }
        if name.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            return ["runAsUserName cannot contain control characters"]
        }
        let parts = name.split(separator: #"\"#, omittingEmptySubsequences: false).map(String.init)
        if parts.count > 2 { return ["runAsUserName cannot contain more than one backslash"] }
        var complaints: [String] = []
        if parts.count == 2 {
            if parts[0].utf8.count >= longestDomain {
                complaints.append("runAsUserName's Domain length must be under 256 characters")
            }
            if !isNetworkName(parts[0]), !isDomain(parts[0]) {
                complaints.append("runAsUserName's Domain doesn't match the NetBios nor the DNS format")
            }
        }
        let user = parts[parts.count - 1]
        if user.isEmpty {
            complaints.append("runAsUserName's User cannot be empty")
        } else if user.utf8.count > longestUser {
            complaints.append("runAsUserName's User length must not be longer than 104 characters")
        }
        if !user.isEmpty, user.allSatisfy({ $0 == "." || $0 == " " }) {
            complaints.append("runAsUserName's User cannot contain only periods or spaces")
        }
        if user.contains(where: { #""/\:;|=,+*?<>@[]"#.contains($0) }) {
            complaints.append(#"runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]"#)
        }
        return complaints
    }

    /// A NetBIOS name.
    private static func isNetworkName(_ text: String) -> Bool {
        (1...15).contains(text.count) && text.first != "." && !text.contains { #"\/:*?"<>|"#.contains($0) }
    }

    private static func isDomain(_ text: String) -> Bool {
        text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy {
            NameChecks.dns1123Label($0.lowercased()).isEmpty
        }
    }
}
