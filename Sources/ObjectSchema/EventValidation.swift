import Objects

/// Rules of events. One with an `eventTime` is of the newer form, which says who did what; an older one is only held to be in
/// the namespace of its object.
/// See https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/.
enum EventValidation {
    private static let longestName = 128
    private static let longestMessage = 1024

    static func check(_ event: JSON, _ errors: inout [FieldError]) {
        let namespace = event["involvedObject"]["namespace"].stringValue ?? ""
        let isNewer = event["eventTime"].exists
        // What is in no namespace has its events in the default one.
        let isInPlace =
            namespace.isEmpty
            ? ["", "default"].contains(event.namespace) || isNewer && event.namespace == "kube-system"
            : isNewer || namespace == event.namespace
        if !isInPlace {
            errors.append(
                .invalid("involvedObject.namespace", .string(namespace), "does not match event.namespace"))
        }
        guard isNewer else { return }
        let controller = event["reportingComponent"].stringValue ?? ""
        if controller.isEmpty {
            errors.append(.required("reportingController"))
        } else {
            errors += NameChecks.qualifiedName(controller).map {
                .invalid("reportingController", .string(controller), $0)
            }
        }
        for field in ["reportingInstance", "action", "reason"] {
            let text = event[field].stringValue ?? ""
            if text.isEmpty { errors.append(.required(field)) }
            checkLength(text, field, longestName, &errors)
        }
        checkLength(event["message"].stringValue ?? "", "message", longestMessage, &errors)
    }

    private static func checkLength(_ text: String, _ field: String, _ limit: Int, _ errors: inout [FieldError]) {
        guard text.utf8.count > limit else { return }
        errors.append(.invalid(field, "", "can have at most \(limit) characters"))
    }
}
