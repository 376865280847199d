import Objects

/// Rules of namespaces.
enum NamespaceValidation {
    static func finalizer(
        _ name: JSON, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        let text = name.stringValue ?? ""
        errors += NameChecks.qualifiedName(text).map { .invalid(place(), name, $0) }
        MetadataValidation.checkFinalizer(text, at: place(), &errors)
    }

    /// A namespace is active until it is deleted, and then no more.
    static func status(_ namespace: JSON) -> [FieldError] {
        let phase = namespace["status"]["phase"].stringValue ?? ""
        let (expected, state) =
            namespace.deletionTimestamp == nil ? ("Active", "empty") : ("Terminating", "not empty")
        if phase == expected { return [] }
        return [
            .invalid(
                "status.Phase", .string(phase), "may only be '\(expected)' if `deletionTimestamp` is \(state)")
        ]
    }

    static func finalizers(_ namespace: JSON) -> [FieldError] {
        var errors: [FieldError] = []
        for (index, name) in namespace["spec"]["finalizers"].arrayValue.enumerated() {
            finalizer(name, at: "spec.finalizers[\(index)]", &errors)
        }
        return errors
    }
}
