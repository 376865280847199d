import Objects

/// The names by which a custom resource is known within its group.
struct AcceptedNames: Sendable, Equatable {
    var plural = ""
    var singular = ""
    var shortNames: [String] = []
    var kind = ""
    var listKind = ""
    var categories: [String] = []

    init() {}

    init(_ names: JSON) {
        plural = names["plural"].stringValue ?? ""
        singular = names["singular"].stringValue ?? ""
        shortNames = names["shortNames"].arrayValue.compactMap(\.stringValue)
        kind = names["kind"].stringValue ?? ""
        listKind = names["listKind"].stringValue ?? ""
        categories = names["categories"].arrayValue.compactMap(\.stringValue)
    }

    /// Names of a resource of the server itself, which nobody else can have.
    init(_ resource: Resource) {
        plural = resource.plural
        singular = resource.singular
        shortNames = resource.shortNames
        kind = resource.kind
        listKind = resource.kind + "List"
    }

    var json: JSON {
        var json: JSONObject = ["plural": .string(plural)]
        if !singular.isEmpty { json["singular"] = .string(singular) }
        if !shortNames.isEmpty { json["shortNames"] = JSON(shortNames) }
        json["kind"] = .string(kind)
        if !listKind.isEmpty { json["listKind"] = .string(listKind) }
        if !categories.isEmpty { json["categories"] = JSON(categories) }
        return .object(json)
    }

    /// Names in paths and on command lines.
    var resourceNames: [String] { [plural, singular].filter { !$0.isEmpty } + shortNames }
    var kinds: [String] { [kind, listKind].filter { !$0.isEmpty } }
}

/// The status of a CustomResourceDefinition: which of its names it may have, and whether it is served. Pure.
/// See https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/ (status).
enum DefinitionStatus {
    /// The status after a definition was created or changed. `others` are the names that other resources of the group have.
    static func updated(_ definition: JSON, others: [AcceptedNames], now: Timestamp) -> JSON {
        var status = definition["status"].objectValue == nil ? [:] : definition["status"]
        let (names, problem) = accept(
            AcceptedNames(definition["spec"]["names"]), present: AcceptedNames(status["acceptedNames"]), others)
        if let (reason, message) = problem {
            set(&status, "NamesAccepted", false, reason, message, now)
        } else {
            set(&status, "NamesAccepted", true, "NoConflicts", "no conflicts found", now)
        }
        if !isTrue("Established", status) {
            if problem == nil {
                set(
                    &status, "Established", true, "InitialNamesAccepted", "the initial names have been accepted", now)
            } else {
                set(&status, "Established", false, "NotAccepted", "not all names are accepted", now)
            }
        }
        noteApproval(&status, definition, now)
        status["acceptedNames"] = names.json
        for version in definition["spec"]["versions"].arrayValue where version["storage"].boolValue == true {
            if !status["storedVersions"].arrayValue.contains(version["name"]) {
                status["storedVersions"].append(version["name"])
            }
        }
        return status
    }

    /// Whether a definition in a group of Kubernetes' own has been approved there; validation has seen to the annotation.
    private static func noteApproval(_ status: inout JSON, _ definition: JSON, _ now: Timestamp) {
        let group = definition["spec"]["group"].stringValue ?? ""
        guard ["k8s.io", "kubernetes.io"].contains(where: { group == $0 || group.hasSuffix("." + $0) }),
            let annotation = definition.annotations["api-approved.kubernetes.io"].stringValue
        else { return }
        let isApproved = !annotation.hasPrefix("unapproved")
        set(
            &status, "KubernetesAPIApprovalPolicyConformant", isApproved,
            isApproved ? "ApprovedAnnotation" : "UnapprovedAPI",
            isApproved ? "approved in \(annotation)" : "not approved: \"\(annotation)\"", now)
    }

    static func isTrue(_ type: String, _ status: JSON) -> Bool {
        status["conditions"].arrayValue.contains { $0["type"].stringValue == type && $0["status"] == "True" }
    }

    /// What of the wanted names can be had; those that cannot stay as they are.
    private static func accept(
        _ wanted: AcceptedNames, present: AcceptedNames, _ others: [AcceptedNames]
    ) -> (AcceptedNames, (reason: String, message: String)?) {
        let resources = Set(others.flatMap(\.resourceNames))
        let kinds = Set(others.flatMap(\.kinds))
        var names = present
        var problems: [(reason: String, message: String)] = []
        func take(_ name: String, _ taken: Set<String>, _ reason: String, _ set: (String) -> Void) {
            if taken.contains(name) {
                problems.append((reason, "\"\(name)\" is already in use"))
            } else {
                set(name)
            }
        }
        take(wanted.plural, resources, "PluralConflict") { names.plural = $0 }
        take(wanted.singular, resources, "SingularConflict") { names.singular = $0 }
        let taken = wanted.shortNames.filter { resources.contains($0) }
        if taken.isEmpty {
            names.shortNames = wanted.shortNames
        } else {
            problems.append(
                ("ShortNamesConflict", taken.map { "\"\($0)\" is already in use" }.joined(separator: ", ")))
        }
        take(wanted.kind, kinds, "KindConflict") { names.kind = $0 }
        take(wanted.listKind, kinds, "ListKindConflict") { names.listKind = $0 }
        names.categories = wanted.categories
        // As in Kubernetes, the last one is told of.
        return (names, problems.last)
    }

    /// Sets a condition; the time of its last transition changes with its status alone.
    static func set(
        _ status: inout JSON, _ type: String, _ isTrue: Bool, _ reason: String, _ message: String, _ now: Timestamp
    ) {
        let text = isTrue ? "True" : "False"
        let present = status["conditions"].arrayValue.first { $0["type"].stringValue == type }
        let time =
            present?["status"].stringValue == text
            ? present?["lastTransitionTime"] ?? .null : .string(now.formatted(fraction: .none))
        let condition: JSON = [
            "type": .string(type), "status": .string(text), "lastTransitionTime": time, "reason": .string(reason),
            "message": .string(message),
        ]
        if let index = status["conditions"].arrayValue.firstIndex(where: { $0["type"].stringValue == type }) {
            status["conditions"][index] = condition
        } else {
            status["conditions"].append(condition)
        }
    }

    /// What becomes of a definition that is to be deleted: its objects go first, which a finalizer waits for.
    static func markTerminating(_ definition: inout JSON, now: Timestamp) {
        if !definition.finalizers.contains(cleanup) { definition["metadata"]["finalizers"].append(.string(cleanup)) }
        set(
            &definition["status"], "Terminating", true, "InstanceDeletionPending",
            "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon", now)
    }

    static let cleanup = "customresourcecleanup.apiextensions.k8s.io"
}
