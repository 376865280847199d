import Objects

/// On which nodes a claim that is bound with its first consumer can have a volume: there is one, or one can be made.
enum ClaimReach: Equatable {
    case everywhere
    /// Node selector terms, of which one must hold.
    case nodes([JSON])
    case nowhere

    /// - Parameters:
    ///   - volumes: all there are.
    ///   - driver: the terms that the class's driver makes volumes for; empty when it serves all nodes, or only its provisioner
    ///     can tell.
    /// - Throws: the error of a selector that does not parse.
    init(_ claim: JSON, storageClass: JSON, volumes: [JSON], driver: [JSON]) throws {
        var terms: [JSON] = []
        for volume in try VolumeMatch.candidates(for: claim, among: volumes) {
            let required = volume["spec"]["nodeAffinity"]["required"]
            guard required.exists else {
                self = .everywhere
                return
            }
            terms += required["nodeSelectorTerms"].arrayValue
            if volume["spec"]["claimRef"].exists {
                self = .nodes(terms)
                return
            }
        }
        if storageClass["provisioner"].stringValue == "kubernetes.io/no-provisioner" {
            self = terms.isEmpty ? .nowhere : .nodes(terms)
            return
        }
        let allowed = NodeSelector.terms(ofTopologies: storageClass["allowedTopologies"])
        if allowed.isEmpty && driver.isEmpty {
            self = .everywhere
        } else if allowed.isEmpty || driver.isEmpty {
            self = .nodes(terms + allowed + driver)
        } else {
            self = .nodes(terms + allowed.flatMap { first in driver.map { PodVolumes.joined(first, $0) } })
        }
    }
}
