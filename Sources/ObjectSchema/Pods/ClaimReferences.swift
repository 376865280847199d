import Objects

/// Rules of a pod's resource claims and of what its containers take of them.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/.
enum ClaimReferences {
    static func claims(_ claims: [JSON], _ errors: inout [FieldError]) {
        var names: Set<String> = []
        for (index, claim) in claims.enumerated() {
            func own(_ field: String) -> String { "resourceClaims[\(index)].\(field)" }
            let name = claim["name"].stringValue ?? ""
            if name.isEmpty {
                errors.append(.required(own("name")))
            } else if !names.insert(name).inserted {
                errors.append(.duplicate(own("name"), .string(name)))
            } else {
                errors += NameChecks.dns1123Label(name).map { .invalid(own("name"), .string(name), $0) }
            }
            let sources = ["resourceClaimName", "resourceClaimTemplateName"].filter { claim[$0].exists }
            if sources.count > 1 {
                errors.append(
                    .invalid(
                        "resourceClaims[\(index)]", claim,
                        "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"))
            } else if sources.isEmpty {
                errors.append(
                    .invalid(
                        "resourceClaims[\(index)]", claim,
                        "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"))
            }
            for source in sources {
                errors += NameChecks.dns1123Subdomain(claim[source].stringValue ?? "").map {
                    .invalid(own(source), claim[source], $0)
                }
            }
        }
    }

    /// A container takes a claim as a whole or requests of it, each once.
    static func uses(
        _ uses: [JSON], of claims: Set<String>, at place: @autoclosure () -> String, _ errors: inout [FieldError]
    ) {
        var seen: Set<String> = []
        for (index, use) in uses.enumerated() {
            let (name, request) = (use["name"].stringValue ?? "", use["request"].stringValue ?? "")
            guard !name.isEmpty else {
                errors.append(.required("\(place())[\(index)]"))
                continue
            }
            if seen.contains(name) {
                errors.append(.duplicate("\(place())[\(index)]", .string(name)))
            } else {
                if !request.isEmpty {
                    errors += NameChecks.dns1123Label(request).map {
                        .invalid("\(place())[\(index)].request", .string(request), $0)
                    }
                }
                let key = request.isEmpty ? name : "\(name)/\(request)"
                if seen.contains(key) || request.isEmpty && seen.contains(where: { $0.hasPrefix("\(name)/") }) {
                    errors.append(.duplicate("\(place())[\(index)]", .string(key)))
                }
                seen.insert(key)
            }
            if !claims.contains(name) {
                let known = claims.isEmpty ? " which is empty" : ": " + claims.sorted().joined(separator: ", ")
                errors.append(
                    FieldError(
                        .notFound, "\(place())[\(index)]", value: .string(name),
                        "must be one of the names in pod.spec.resourceClaims" + known))
            }
        }
    }
}
