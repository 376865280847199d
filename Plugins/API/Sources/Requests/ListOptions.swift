/// What lists and watches may ask for of versions: the rules of Kubernetes' ListOptions.
/// See https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions.
enum ListOptions {
    /// - Throws: 400 for what is no number, 422 with every rule that is broken.
    static func check(_ query: Query, isWatch: Bool) throws(APIStatus) {
        _ = try query.integer("timeoutSeconds")
        let match = query["resourceVersionMatch"] ?? ""
        let sendsInitialEvents = query["sendInitialEvents"] != nil
        guard !match.isEmpty || sendsInitialEvents else { return }
        let causes =
            isWatch
            ? watchCauses(match, query, sendsInitialEvents) : listCauses(match, query, sendsInitialEvents)
        guard causes.isEmpty else { throw .invalidOptions("ListOptions", causes) }
    }

    private static func listCauses(
        _ match: String, _ query: Query, _ sendsInitialEvents: Bool
    ) -> [APIStatus.Cause] {
        var causes: [APIStatus.Cause] = []
        let version = query["resourceVersion"] ?? ""
        if !match.isEmpty {
            if version.isEmpty {
                causes.append(forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided"))
            }
            if query["continue"].map({ !$0.isEmpty }) ?? false { causes.append(forbidden(withContinue)) }
            if match != "Exact", match != "NotOlderThan" {
                causes.append(.notSupported(field, .string(match), ["Exact", "NotOlderThan"]))
            }
            if match == "Exact", version == "0" {
                causes.append(forbidden("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""))
            }
        }
        if sendsInitialEvents {
            causes.append(.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
        }
        return causes
    }

    private static func watchCauses(
        _ match: String, _ query: Query, _ sendsInitialEvents: Bool
    ) -> [APIStatus.Cause] {
        var causes: [APIStatus.Cause] = []
        if sendsInitialEvents, match != "NotOlderThan" {
            causes.append(forbidden("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
        }
        if !match.isEmpty {
            if !sendsInitialEvents {
                causes.append(
                    forbidden("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
            }
            if match != "NotOlderThan" { causes.append(.notSupported(field, .string(match), ["NotOlderThan"])) }
            if query["continue"].map({ !$0.isEmpty }) ?? false { causes.append(forbidden(withContinue)) }
        }
        return causes
    }

    private static let field = "resourceVersionMatch"
    private static let withContinue = "resourceVersionMatch is forbidden when continue is provided"

    private static func forbidden(_ detail: String) -> APIStatus.Cause { .forbidden(field, detail) }
}
