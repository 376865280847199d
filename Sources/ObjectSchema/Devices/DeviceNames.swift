import Objects

/// The names and texts that the API of dynamic resource allocation is made of.
/// See https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/resource-slice-v1/.
enum DeviceNames {
    /// A driver's name, which is a domain.
    static func driver(_ value: JSON, _ place: String) -> [FieldError] {
        let name = value.stringValue ?? ""
        guard !name.isEmpty else { return [.required(place)] }
        return (name.utf8.count > 63 ? [.tooLong(place, limit: 63)] : [])
            + NameChecks.dns1123Subdomain(name.lowercased()).map { .invalid(place, .string(name), $0) }
    }

    /// Domains with slashes between them.
    static func pool(_ value: JSON, _ place: String) -> [FieldError] {
        let name = value.stringValue ?? ""
        guard !name.isEmpty else { return [.required(place)] }
        let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        return (name.utf8.count > 253 ? [.tooLong(place, limit: 253)] : [])
            + parts.flatMap { part in
                NameChecks.dns1123Subdomain(part).map { FieldError.invalid(place, .string(part), $0) }
            }
    }

    /// Of a device, a request, a set of counters or a counter.
    static func label(_ value: JSON, _ place: String) -> [FieldError] {
        let name = value.stringValue ?? ""
        return NameChecks.dns1123Label(name).map { .invalid(place, .string(name), $0) }
    }

    static func subdomain(_ value: JSON, _ place: String) -> [FieldError] {
        NameChecks.dns1123Subdomain(value.stringValue ?? "").map { .invalid(place, value, $0) }
    }

    /// The key of a taint or toleration, and the type of a condition.
    static func labelName(_ value: JSON, _ place: String) -> [FieldError] {
        let name = value.stringValue ?? ""
        return NameChecks.qualifiedName(name).map { .invalid(place, .string(name), $0) }
    }

    static func labelValue(_ value: JSON, _ place: String) -> [FieldError] {
        NameChecks.labelValue(value.stringValue ?? "").map { .invalid(place, value, $0) }
    }

    /// Of an attribute or a capacity: an identifier, with a domain in front of it or without.
    /// - Parameter isFull: Whether it must have a domain.
    static func qualified(_ name: String, _ place: String, isFull: Bool = false) -> [FieldError] {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        var errors: [FieldError] = []
        switch parts.count {
        case 1: errors += identifier(parts[0], place)
        case 2:
            errors +=
                parts[0].isEmpty
                ? [.invalid(place, "", "the domain must not be empty")] : driver(.string(parts[0]), place)
            errors +=
                parts[1].isEmpty ? [.invalid(place, "", "the name must not be empty")] : identifier(parts[1], place)
        default: errors.append(.invalid(place, .string(name), "must not contain more than one slash"))
        }
        if isFull, parts.count == 1 {
            errors.append(
                .invalid(
                    place, .string(name),
                    "a fully qualified name must be a domain and a name separated by a slash"))
        }
        return errors
    }

    /// The longest name of an attribute or a capacity, in bytes: a domain, a slash and an identifier.
    private static let longestName = 63 + 1 + 32

    /// A name as a place shows it: one that is too long to be one lacks its middle.
    static func shortened(_ name: String) -> String {
        let bytes = Array(name.utf8)
        guard bytes.count > longestName else { return name }
        let left = longestName - 3
        return String(decoding: bytes.prefix((left + 1) / 2), as: UTF8.self) + "..."
            + String(decoding: bytes.suffix(left / 2), as: UTF8.self)
    }

    private static func identifier(_ name: String, _ place: String) -> [FieldError] {
        func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 || byte == 0x5F }
        let isFine =
            name.utf8.first.map(isLetter) == true && name.utf8.allSatisfy { isLetter($0) || $0 &- 0x30 < 10 }
        var errors: [FieldError] = name.utf8.count > 32 ? [.tooLong(place, limit: 32)] : []
        if !isFine {
            errors.append(
                .invalid(
                    place, .string(name),
                    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')"
                ))
        }
        return errors
    }

    /// Parameters of a driver: an object of at most 10 KiB.
    static func parameters(_ value: JSON, _ place: String) -> [FieldError] {
        if value.isNull { return [.required(place)] }
        if value.serialized().count > 10_240 { return [.tooLong(place, limit: 10_240)] }
        return value.objectValue == nil ? [.invalid(place, "<value omitted>", "must be a valid JSON object")] : []
    }

    /// A version as semver.org has it, of at most 64 bytes.
    static func version(_ value: JSON, _ place: String) -> [FieldError] {
        let text = value.stringValue ?? ""
        var errors: [FieldError] = []
        if !isVersion(text) {
            errors.append(
                .invalid(place, value, "must be a string compatible with semver.org spec 2.0.0"))
        }
        if text.utf8.count > 64 { errors.append(.tooLong(place, limit: 64)) }
        return errors
    }

    private static func isVersion(_ text: String) -> Bool {
        let main = text.prefix { $0 != "+" }
        let build = text.dropFirst(main.count)
        let core = main.prefix { $0 != "-" }
        let before = main.dropFirst(core.count)
        func parts(_ text: Substring) -> [Substring] { text.split(separator: ".", omittingEmptySubsequences: false) }
        func isNumber(_ part: Substring) -> Bool {
            !part.isEmpty && part.utf8.allSatisfy { $0 &- 0x30 < 10 } && (part == "0" || !part.hasPrefix("0"))
        }
        func isWord(_ part: Substring) -> Bool {
            !part.isEmpty && part.utf8.allSatisfy { $0 &- 0x30 < 10 || ($0 | 0x20) &- 0x61 < 26 || $0 == 0x2D }
        }
        func isDigits(_ part: Substring) -> Bool { part.utf8.allSatisfy { $0 &- 0x30 < 10 } }
        let numbers = parts(core)
        guard numbers.count == 3, numbers.allSatisfy(isNumber) else { return false }
        if !before.isEmpty, !parts(before.dropFirst()).allSatisfy({ isWord($0) && (!isDigits($0) || isNumber($0)) }) {
            return false
        }
        return build.isEmpty || parts(build.dropFirst()).allSatisfy(isWord)
    }
}
