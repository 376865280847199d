import Objects

/// What the query of a write may say: the rules of Kubernetes' CreateOptions, UpdateOptions and PatchOptions.
/// See https://kubernetes.io/docs/reference/using-api/api-concepts/.
enum WriteOptions: String {
    case create = "CreateOptions"
    case update = "UpdateOptions"
    case patch = "PatchOptions"
    case apply

    /// - Throws: 422 with every rule that is broken.
    func check(_ query: Query) throws(APIStatus) {
        // Most writes say nothing, and an apply must name its manager.
        if query.pairs.isEmpty, self != .apply { return }
        var causes: [APIStatus.Cause] = []
        let manager = query["fieldManager"] ?? ""
        switch self {
        case .apply where manager.isEmpty:
            causes.append(.required("fieldManager", "is required for apply patch"))
        case .patch where !(query["force"] ?? "").isEmpty:
            causes.append(.forbidden("force", "may not be specified for non-apply patch"))
        case .create, .update, .patch, .apply: break
        }
        causes += Self.managerFaults(manager)
        let dryRun = query.all("dryRun").filter { !$0.isEmpty }
        if dryRun.contains(where: { $0 != "All" }) {
            causes.append(.notSupported("dryRun", .array(dryRun.map { .string($0) }), ["All"]))
        }
        let validation = query["fieldValidation"] ?? ""
        if !["", "Ignore", "Strict", "Warn"].contains(validation) {
            causes.append(
                .notSupported("fieldValidation", .string(validation), ["", "Ignore", "Strict", "Warn"]))
        }
        guard causes.isEmpty else { throw .invalidOptions(self == .apply ? Self.patch.rawValue : rawValue, causes) }
    }

    private static func managerFaults(_ manager: String) -> [APIStatus.Cause] {
        var causes: [APIStatus.Cause] = []
        if manager.utf8.count > 128 {
            causes.append(
                .init(
                    reason: "FieldValueTooLong", message: "Too long: may not be more than 128 bytes",
                    field: "fieldManager"))
        }
        var position = 0
        for scalar in manager.unicodeScalars {
            if !isPrintable(scalar) {
                causes.append(
                    .invalid(
                        "fieldManager", .string(manager),
                        "invalid character \(name(of: scalar)) (at position \(position))"))
            }
            position += UTF8.width(scalar)
        }
        return causes
    }

    /// As Go's unicode.IsPrint: letters, marks, numbers, punctuation, symbols, and the blank.
    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        case .spaceSeparator: scalar == " "
        default: true
        }
    }

    private static func name(of scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        return "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}

extension APIStatus {
    /// Options of a request that are not as they may be.
    static func invalidOptions(_ kind: String, _ causes: [Cause]) -> APIStatus {
        let texts = causes.map { "\($0.field): \($0.message)" }
        let text = texts.count == 1 ? texts[0] : "[\(texts.joined(separator: ", "))]"
        var status = APIStatus(
            code: 422, reason: "Invalid", message: "\(kind).meta.k8s.io \"\" is invalid: \(text)")
        status.group = "meta.k8s.io"
        status.kind = kind
        status.causes = causes
        return status
    }
}
