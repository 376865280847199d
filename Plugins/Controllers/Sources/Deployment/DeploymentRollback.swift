import Objects

/// A return to an earlier revision, which an annotation of a Deployment asks for: what `kubectl rollout undo` did before
/// clients copied the template themselves. Pure.
struct DeploymentRollback {
    /// As it is to be written: with the template of that revision, if there is one, and without the annotation.
    private(set) var deployment: JSON
    /// For the event.
    let reason: String
    let message: String
    /// Whether the template changes.
    let isDone: Bool

    /// - Parameter replicaSets: those that the Deployment owns.
    /// - Returns: nil when nothing is asked for, or while the Deployment is paused or being deleted.
    init?(_ deployment: JSON, replicaSets: [JSON]) {
        guard let wanted = deployment.annotations[DeploymentNames.rollback].stringValue.flatMap({ Int64($0) }),
            deployment.deletionTimestamp == nil, deployment["spec"]["paused"].boolValue != true
        else { return nil }
        self.deployment = deployment
        self.deployment["metadata"]["annotations"].removeValue(forKey: DeploymentNames.rollback)
        let sets = replicaSets.map(ReplicaSetState.init)
        let template = deployment["spec"]["template"]
        let old = sets.filter { !PodTemplate.areEqual($0.object["spec"]["template"], template) }
        // The present template is the newest revision, whether its ReplicaSet says so yet or not.
        let revision = wanted == 0 ? old.map(\.revision).max() ?? 0 : wanted
        guard revision > 0, let source = sets.first(where: { $0.revision == revision }) else {
            (reason, isDone) = ("DeploymentRollbackRevisionNotFound", false)
            message = wanted == 0 ? "Unable to find last revision." : "Unable to find the revision to rollback to."
            return
        }
        guard old.contains(where: { $0.name == source.name }) else {
            (reason, isDone) = ("DeploymentRollbackTemplateUnchanged", false)
            message = "The rollback revision contains the same template as current deployment \"\(deployment.name)\""
            return
        }
        (reason, isDone) = ("DeploymentRollback", true)
        message = "Rolled back deployment \"\(deployment.name)\" to revision \(revision)"
        take(from: source.object)
    }

    /// The template of a ReplicaSet, and the annotations that it had of the Deployment.
    private mutating func take(from set: JSON) {
        var template = set["spec"]["template"]
        template["metadata"]["labels"].removeValue(forKey: PodTemplate.hashLabel)
        deployment["spec"]["template"] = template
        let kept = deployment.annotations.stringDictionary.filter { DeploymentNames.notInherited.contains($0.key) }
        let inherited = set.annotations.stringDictionary.filter { !DeploymentNames.notInherited.contains($0.key) }
        let all = kept.merging(inherited) { $1 }.sorted { $0.key < $1.key }.map { ($0.key, JSON.string($0.value)) }
        deployment["metadata"]["annotations"] = .object(JSONObject(all))
    }
}
