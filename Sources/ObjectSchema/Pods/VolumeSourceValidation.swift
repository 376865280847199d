import Objects

/// Rules of kinds of volumes that pods and PersistentVolumes have in common and that relate several fields.
enum VolumeSourceValidation {
    private static let hostPathTypes = [
        "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
    ]

    /// - Parameter holder: The volume or the specification of one, whose members are kinds.
    static func common(_ holder: JSON, name: String, _ errors: inout [FieldError]) {
        guard let members = holder.objectValue else { return }
        for (kind, source) in members {
            switch kind {
            case "hostPath":
                if let type = source["type"].stringValue, !hostPathTypes.contains(type), !source["path"].isEmpty {
                    errors.append(.notSupported("hostPath.type", .string(type), hostPathTypes))
                }
            case "gcePersistentDisk":
                // Kubernetes calls it by another name.
                if source["pdName"].isEmpty { errors.append(.required("persistentDisk.pdName")) }
                if let number = source["partition"].integerValue, !(0...255).contains(number) {
                    errors.append(
                        .invalid(
                            "persistentDisk.partition", source["partition"], "must be between 1 and 255, inclusive"))
                }
            case "iscsi": iscsi(source, name, &errors)
            case "flocker": flocker(source, &errors)
            case "fc":
                if !source["targetWWNs"].isEmpty, !source["wwids"].isEmpty {
                    errors.append(
                        .invalid(
                            "fc.targetWWNs", source["targetWWNs"],
                            "targetWWNs and wwids can not be specified simultaneously"))
                }
            case "flexVolume": flex(source, &errors)
            case "azureDisk": azureDisk(source, &errors)
            default: break
            }
        }
    }

    private static func flex(_ source: JSON, _ errors: inout [FieldError]) {
        for (key, _) in source["options"].objectValue ?? [:] {
            let domain = "." + key.prefix { $0 != "/" }.lowercased()
            if domain.hasSuffix(".kubernetes.io") || domain.hasSuffix(".k8s.io") {
                errors.append(
                    .invalid(
                        "flexVolume.options[\(key)]", .string(key),
                        "kubernetes.io and k8s.io namespaces are reserved"))
            }
        }
    }

    private static func flocker(_ source: JSON, _ errors: inout [FieldError]) {
        let (name, identity) = (source["datasetName"].stringValue ?? "", source["datasetUUID"].stringValue ?? "")
        if name.isEmpty, identity.isEmpty {
            errors.append(.required("flocker", "one of datasetName and datasetUUID is required"))
        }
        if !name.isEmpty, !identity.isEmpty {
            errors.append(
                .invalid("flocker", "resource", "datasetName and datasetUUID can not be specified simultaneously"))
        }
        if name.contains("/") {
            errors.append(.invalid("flocker.datasetName", .string(name), "must not contain '/'"))
        }
    }

    private static func azureDisk(_ source: JSON, _ errors: inout [FieldError]) {
        guard let kind = source["kind"].stringValue else { return }
        let (start, form) =
            kind == "Managed"
            ? (
                "/subscriptions/",
                "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
            )
            : ("https://", "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd")
        let address = source["diskURI"].stringValue ?? ""
        if !address.hasPrefix(start) {
            errors.append(.notSupported("azureDisk.diskURI", .string(address), [form]))
        }
    }

    // MARK: - iSCSI

    private static let longestInitiator = 64

    private static func iscsi(_ source: JSON, _ name: String, _ errors: inout [FieldError]) {
        if let qualified = source["iqn"].stringValue, !qualified.isEmpty {
            if !isKnown(qualified) {
                errors.append(
                    .invalid(
                        "iscsi.iqn", .string(qualified), "must be valid format starting with iqn, eui, or naa"))
            } else if !isWellFormed(qualified) {
                errors.append(.invalid("iscsi.iqn", .string(qualified), "must be valid format"))
            }
        }
        if source["chapAuthDiscovery"].boolValue == true || source["chapAuthSession"].boolValue == true,
            source["secretRef"].isNull
        {
            errors.append(.required("iscsi.secretRef"))
        }
        guard let initiator = source["initiatorName"].stringValue else { return }
        if !isKnown(initiator) {
            errors.append(
                .invalid(
                    "iscsi.initiatorname", .string(initiator),
                    "must be valid format starting with iqn, eui, or naa"))
        } else if !isWellFormed(initiator) {
            errors.append(.invalid("iscsi.initiatorname", .string(initiator), "must be valid format"))
        }
        if isTooLong(name, source) { errors.append(.invalid("name", .string(name), lengthRule)) }
    }

    private static let lengthRule =
        "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."

    private static func isTooLong(_ name: String, _ source: JSON) -> Bool {
        "\(name):\(source["targetPortal"].stringValue ?? "")".utf8.count > longestInitiator
    }

    /// A PersistentVolume whose name is too long to stand beside where it is found.
    static func longName(_ volume: JSON, _ errors: inout [FieldError]) {
        let source = volume["spec"]["iscsi"]
        guard source["initiatorName"].exists, isTooLong(volume.name, source) else { return }
        errors.append(.invalid("spec.iscsi.targetportal", source["targetPortal"], lengthRule))
    }

    private static func isKnown(_ name: String) -> Bool {
        ["iqn", "eui", "naa"].contains { name.hasPrefix($0) }
    }

    /// iqn.YEAR-MONTH.AUTHORITY:NAME, eui. and 16 digits, or naa. and 32.
    private static func isWellFormed(_ name: String) -> Bool {
        func isWord(_ text: Substring, _ count: Int) -> Bool {
            text.utf8.count == count && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
        }
        if name.hasPrefix("eui") { return isWord(name.dropFirst(4), 16) }
        if name.hasPrefix("naa") { return isWord(name.dropFirst(4), 32) }
        let bytes = Array(name.utf8)
        func isDigit(_ index: Int) -> Bool { bytes[index] &- UInt8(ascii: "0") < 10 }
        guard bytes.count > 12, name.hasPrefix("iqn."), (4..<8).allSatisfy(isDigit), bytes[8] == UInt8(ascii: "-"),
            isDigit(9), isDigit(10), bytes[11] == UInt8(ascii: "."), let colon = name.firstIndex(of: ":")
        else { return false }
        let (authority, own) = (name[..<colon].dropFirst(12), name[colon...].dropFirst())
        return !authority.isEmpty
            && authority.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == ".") }
            && !own.isEmpty && !own.contains { ",;*&$|".contains($0) || $0.isWhitespace }
    }
}
