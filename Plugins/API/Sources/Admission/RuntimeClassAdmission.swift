import Objects
import PluginKit

/// Gives pods the overhead of their runtime class, and the nodes that it runs on.
/// See https://kubernetes.io/docs/concepts/containers/runtime-class/.
struct RuntimeClassAdmission: AdmissionPlugin {
    let name = "RuntimeClass"
    static let resources: Set<String>? = ["pods"]
    /// Overhead and scheduling of the classes.
    let classes: AdmissionCache<JSON>
    private let store: StoreClient
    private static let resource = "runtimeclasses.node.k8s.io"

    init(host: Host, store: StoreClient) {
        self.store = store
        classes = AdmissionCache(host, resource: Self.resource) {
            ["overhead": $0["overhead"], "scheduling": $0["scheduling"]]
        }
    }

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.isWrite(of: "pods", .create) else { return }
        guard let name = request.object["spec"]["runtimeClassName"].stringValue else { return }
        guard let found = try find(name) else {
            throw request.forbidden("pod rejected: RuntimeClass \"\(name)\" not found")
        }
        if let problem = Self.fill(&request.object["spec"], found) { throw request.forbidden(problem) }
    }

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.isWrite(of: "pods", .create), request.object["spec"]["runtimeClassName"].isNull,
            !request.object["spec"]["overhead"].isEmpty
        else { return }
        throw request.forbidden("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
    }

    private func find(_ name: String) throws(APIStatus) -> JSON? {
        if let known = classes.value(named: name) { return known }
        do { return try store.object("\(Self.resource)//\(name)") } catch { throw .unavailable("\(error)") }
    }

    /// The result is what in the pod contradicts its class.
    static func fill(_ spec: inout JSON, _ runtimeClass: JSON) -> String? {
        let overhead = runtimeClass["overhead"]["podFixed"]
        if overhead.isEmpty {
            if !spec["overhead"].isEmpty {
                return "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
            }
        } else if spec["overhead"].isEmpty {
            spec["overhead"] = overhead
        } else if !hasSameAmounts(spec["overhead"], overhead) {
            return "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
        }
        let scheduling = runtimeClass["scheduling"]
        for (key, value) in scheduling["nodeSelector"].objectValue ?? [:] {
            if let own = spec["nodeSelector"][key].stringValue, own != value.stringValue {
                return "conflict: runtimeClass.scheduling.nodeSelector[\(key)] = \(value.stringValue ?? ""); "
                    + "pod.spec.nodeSelector[\(key)] = \(own)"
            }
            spec["nodeSelector"][key] = value
        }
        for toleration in scheduling["tolerations"].arrayValue
        where !spec["tolerations"].arrayValue.contains(toleration) {
            spec["tolerations"].append(toleration)
        }
        return nil
    }

    private static func hasSameAmounts(_ left: JSON, _ right: JSON) -> Bool {
        guard let amounts = left.objectValue, let others = right.objectValue, amounts.count == others.count else {
            return false
        }
        // What is no quantity is not the same as the class's, which was checked when it was written.
        return amounts.allSatisfy { name, amount in
            guard let one = try? Quantity(amount), let other = others[name].flatMap({ try? Quantity($0) }) else {
                return false
            }
            return one == other
        }
    }
}
