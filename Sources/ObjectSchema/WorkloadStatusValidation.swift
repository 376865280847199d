import Objects

/// Rules of the statuses of what makes pods from a template: counts that are not negative and fit each other.
enum WorkloadStatusValidation {
    private struct Rules {
        let counts: [String]
        /// Counts of pods that are all among `replicas`.
        let parts: [String]
        /// What to say when more are available than ready.
        let readiness: String
    }

    private static func rules(_ type: String) -> Rules? {
        let beyond = "cannot be greater than readyReplicas"
        switch type {
        case "io.k8s.api.apps.v1.Deployment":
            return Rules(
                counts: [
                    "observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas",
                    "unavailableReplicas", "terminatingReplicas", "collisionCount",
                ], parts: ["updatedReplicas", "readyReplicas", "availableReplicas"], readiness: beyond)
        case "io.k8s.api.apps.v1.ReplicaSet":
            return Rules(
                counts: [
                    "replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "terminatingReplicas",
                    "observedGeneration",
                ], parts: ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"], readiness: beyond)
        case "io.k8s.api.apps.v1.StatefulSet":
            return Rules(
                counts: [
                    "replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas",
                    "observedGeneration", "collisionCount",
                ], parts: ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"],
                readiness: "cannot be greater than status.readyReplicas")
        case "io.k8s.api.apps.v1.DaemonSet":
            return Rules(
                counts: [
                    "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady",
                    "observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable",
                    "collisionCount",
                ], parts: [], readiness: "")
        default: return nil
        }
    }

    static func errors(from old: JSON, to new: JSON, type: String) -> [FieldError] {
        guard let rules = rules(type) else { return [] }
        let status = new["status"]
        func count(_ field: String) -> Int64 { status[field].integerValue ?? 0 }
        var errors = rules.counts.flatMap { FieldError.negative("status.\($0)", status[$0]) }
        for part in rules.parts where count(part) > count("replicas") {
            errors.append(.invalid("status.\(part)", status[part], "cannot be greater than status.replicas"))
        }
        if !rules.readiness.isEmpty, count("availableReplicas") > count("readyReplicas") {
            errors.append(
                .invalid("status.availableReplicas", status["availableReplicas"], rules.readiness))
        }
        if rules.counts.contains("collisionCount"), let before = old["status"]["collisionCount"].integerValue,
            count("collisionCount") < before
        {
            errors.append(.invalid("status.collisionCount", .integer(count("collisionCount")), "cannot be decremented"))
        }
        return errors
    }
}
