import Objects

/// What a Deployment's status says, and how its rollout goes on.
extension DeploymentPlan {
    func makeStatus() -> JSON {
        let existing = allSets.reduce(0) { $0 + $1.existing }
        let available = allSets.reduce(0) { $0 + $1.available }
        let old = spec.object["status"]
        var status: JSON = ["observedGeneration": .integer(spec.object.generation)]
        let counts: [(String, Int64)] = [
            ("replicas", existing), ("updatedReplicas", newSet?.existing ?? 0),
            ("readyReplicas", allSets.reduce(0) { $0 + $1.ready }), ("availableReplicas", available),
            ("unavailableReplicas", max(0, total(allSets) - available)),
        ]
        for (name, count) in counts where count != 0 { status[name] = .integer(count) }
        let terminating = allSets.compactMap { $0.object["status"]["terminatingReplicas"].integerValue }
        if terminating.count == allSets.count {
            status["terminatingReplicas"] = .integer(terminating.reduce(0, +))
        }
        if old["collisionCount"].exists { status["collisionCount"] = old["collisionCount"] }
        var list = conditions
        if available >= spec.replicas - spec.maximumUnavailable {
            set(&list, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            set(
                &list, "Available", "False", "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.")
        }
        status["conditions"] = list
        return status
    }

    private func set(_ list: inout JSON, _ type: String, _ status: JSON, _ reason: JSON, _ message: JSON) {
        let old = list.condition(type)
        if old["status"] == status && old["reason"] == reason { return }
        let time = JSON.string(now.formatted(fraction: .none))
        list.setCondition([
            "type": .string(type), "status": status, "lastUpdateTime": time, "lastTransitionTime": time,
            "reason": reason, "message": message,
        ])
    }

    mutating func setProgressing(_ status: JSON, _ reason: JSON, _ message: String) {
        set(&conditions, "Progressing", status, reason, .string(message))
    }

    mutating func notePause() {
        guard spec.progressDeadline != nil else { return }
        let reason = conditions.condition("Progressing")["reason"].stringValue
        if reason == "ProgressDeadlineExceeded" { return }
        if spec.isPaused && reason != "DeploymentPaused" {
            setProgressing("Unknown", "DeploymentPaused", "Deployment is paused")
        } else if !spec.isPaused && reason == "DeploymentPaused" {
            setProgressing("Unknown", "DeploymentResumed", "Deployment is resumed")
        }
    }

    private func count(_ status: JSON, _ name: String) -> Int64 { status[name].integerValue ?? 0 }

    func isComplete(_ status: JSON) -> Bool {
        count(status, "updatedReplicas") == spec.replicas && count(status, "replicas") == spec.replicas
            && count(status, "availableReplicas") == spec.replicas
            && count(status, "observedGeneration") >= spec.object.generation
    }

    private func isProgressing(_ status: JSON) -> Bool {
        let old = spec.object["status"]
        func outdated(_ status: JSON) -> Int64 { count(status, "replicas") - count(status, "updatedReplicas") }
        return count(status, "updatedReplicas") > count(old, "updatedReplicas") || outdated(status) < outdated(old)
            || count(status, "readyReplicas") > count(old, "readyReplicas")
            || count(status, "availableReplicas") > count(old, "availableReplicas")
    }

    /// Judges the rollout's progress: complete, going on, or past its deadline; and whether replicas fail to be made.
    mutating func noteProgress() {
        var list = status["conditions"]
        defer { status["conditions"] = list }
        noteFailure(&list)
        guard let deadline = spec.progressDeadline else {
            list.removeCondition("Progressing")
            return
        }
        let current = list.condition("Progressing")
        let reason = current["reason"].stringValue
        // That an earlier template was rolled out says nothing of the present one.
        let wasAvailable = reason == "NewReplicaSetAvailable"
        if wasAvailable, newSet != nil, count(status, "replicas") == count(status, "updatedReplicas") { return }
        let subject = newSet.map { "ReplicaSet \"\($0.name)\"" } ?? "Deployment \"\(spec.object.name)\""
        let updated = current["lastUpdateTime"].timestamp ?? now
        let isLate =
            reason == "ProgressDeadlineExceeded"
            || (current.exists && !wasAvailable && updated.seconds + deadline < now.seconds)
        if isComplete(status) {
            set(
                &list, "Progressing", "True", "NewReplicaSetAvailable",
                .string("\(subject) has successfully progressed."))
        } else if isProgressing(status) {
            // The time of the last update must move even when status and reason stay.
            let time = JSON.string(now.formatted(fraction: .none))
            list.setCondition([
                "type": "Progressing", "status": "True", "lastUpdateTime": time, "lastTransitionTime": time,
                "reason": "ReplicaSetUpdated", "message": .string("\(subject) is progressing."),
            ])
        } else if wasAvailable {
            let (found, words) =
                newSet.map { ("FoundNewReplicaSet", "Found new replica set \"\($0.name)\"") }
                ?? ("ReplicaSetUpdated", "\(subject) is progressing.")
            set(&list, "Progressing", "True", .string(found), .string(words))
        } else if isLate {
            set(
                &list, "Progressing", "False", "ProgressDeadlineExceeded",
                .string("\(subject) has timed out progressing."))
        }
        let after = list.condition("Progressing")
        if !isComplete(status), after["reason"].stringValue != "ProgressDeadlineExceeded",
            let from = after["lastUpdateTime"].timestamp
        {
            recheckAfter = max(1, from.seconds + deadline - now.seconds + 1)
        }
    }

    private func noteFailure(_ list: inout JSON) {
        let failing = (newSet.map { [$0] } ?? []) + oldSets
        let failure = failing.lazy.map { $0.object["status"]["conditions"].condition("ReplicaFailure") }
            .first { $0["status"].stringValue == "True" }
        guard let failure else {
            list.removeCondition("ReplicaFailure")
            return
        }
        set(&list, "ReplicaFailure", "True", failure["reason"], failure["message"])
    }
}
