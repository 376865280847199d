import Objects

/// What of priority levels the schema does not see: fields that limit each other.
struct FlowChecks: AdmissionPlugin {
    /// In Kubernetes the validation of this kind sees to it; the name is ours.
    let name = "FlowControlChecks"
    static let resources: Set<String>? = ["prioritylevelconfigurations.\(FlowObjects.group)"]

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.resource.qualified == "prioritylevelconfigurations.\(FlowObjects.group)",
            request.operation != .delete, request.subresource.isEmpty
        else { return }
        let queuing = request.object["spec"]["limited"]["limitResponse"]["queuing"]
        guard let queues = queuing["queues"].integerValue, let hand = queuing["handSize"].integerValue, hand > queues
        else { return }
        let place = "spec.limited.limitResponse.queuing.handSize"
        throw .invalid(
            request.resource, request.name,
            [.invalid(place, queuing["handSize"], "should not be greater than queues (\(queues))")])
    }
}
