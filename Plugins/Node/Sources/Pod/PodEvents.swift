import Objects
import PluginKit

/// Where events about pods go; a protocol, so that tests see what was reported.
protocol PodEvents: Sendable {
    func record(_ pod: Pod, warning: Bool, reason: String, message: String, container: PodContainer?)
}

extension PodEvents {
    func normal(_ pod: Pod, _ reason: String, _ message: String, container: PodContainer? = nil) {
        record(pod, warning: false, reason: reason, message: message, container: container)
    }
    func warning(_ pod: Pod, _ reason: String, _ message: String, container: PodContainer? = nil) {
        record(pod, warning: true, reason: reason, message: message, container: container)
    }
}

/// Reports through the API, in the background.
struct RecordedPodEvents: PodEvents {
    let recorder: EventRecorder

    func record(_ pod: Pod, warning: Bool, reason: String, message: String, container: PodContainer?) {
        var object: JSON = ["apiVersion": "v1", "kind": "Pod"]
        object["metadata"] = [
            "name": .string(pod.name), "namespace": .string(pod.namespace), "uid": .string(pod.uid),
            "resourceVersion": pod.object["metadata"]["resourceVersion"],
        ]
        var path = ""
        if let container {
            let list =
                container.kind == .regular
                ? "containers" : container.kind == .ephemeral ? "ephemeralContainers" : "initContainers"
            path = "spec.\(list){\(container.name)}"
        }
        recorder.record(object, warning ? .warning : .normal, reason: reason, message: message, fieldPath: path)
    }
}
