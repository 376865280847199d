import Objects

/// What stays of a pod's status when its writer leaves it out: its class, which never changes, and which generation was seen, of
/// writers that know of none. Pure.
enum PodStatusMerge {
    static func keep(_ pod: inout JSON, _ present: JSON) {
        let before = present["status"]
        guard pod["status"].exists else { return }
        if pod["status"]["qosClass"].isEmpty, before["qosClass"].exists {
            pod["status"]["qosClass"] = before["qosClass"]
        }
        keepGeneration(&pod["status"], before)
        guard pod["status"]["conditions"].exists else { return }
        // A type may be there more than once: the first goes with the first.
        var known = before["conditions"].arrayValue
        pod["status"]["conditions"].updateElements { _, condition in
            guard let index = known.firstIndex(where: { $0["type"] == condition["type"] }) else { return }
            keepGeneration(&condition, known.remove(at: index))
        }
    }

    private static func keepGeneration(_ value: inout JSON, _ before: JSON) {
        let generation = before["observedGeneration"].integerValue ?? 0
        if generation != 0, value["observedGeneration"].integerValue ?? 0 == 0 {
            value["observedGeneration"] = .integer(generation)
        }
    }
}
