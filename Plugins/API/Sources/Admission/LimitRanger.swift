import Objects
import PluginKit

/// Gives containers the requests and limits that a namespace's LimitRanges say, and holds pods and claims to what they allow.
/// See https://kubernetes.io/docs/concepts/policy/limit-range/.
struct LimitRanger: AdmissionPlugin {
    let name = "LimitRanger"
    static let resources: Set<String>? = ["pods", "persistentvolumeclaims"]
    /// `spec.limits` of each range.
    let ranges: AdmissionCache<[JSON]>

    init(host: Host) {
        ranges = AdmissionCache(host, resource: "limitranges") { $0["spec"]["limits"].arrayValue }
    }

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard request.isWrite(of: "pods", .create), ranges.hasValues(in: request.namespace) else { return }
        for limits in ranges.values(in: request.namespace) { LimitDefaults(limits).fill(&request.object) }
    }

    func validate(_ request: inout AdmissionRequest) throws(APIStatus) {
        guard Self.concerns(request), ranges.hasValues(in: request.namespace) else { return }
        for limits in ranges.values(in: request.namespace) {
            let problems =
                request.resource.qualified == "pods"
                ? LimitCheck.pod(request.object, limits) : LimitCheck.claim(request.object, limits)
            guard problems.isEmpty else { throw request.forbidden(Self.aggregate(problems)) }
        }
    }

    /// What is being deleted may be changed whatever it asks for; containers of a pod change by its resize alone.
    private static func concerns(_ request: AdmissionRequest) -> Bool {
        guard request.operation != .delete, request.old.deletionTimestamp == nil else { return false }
        switch (request.resource.qualified, request.subresource) {
        case ("pods", ""): return request.operation == .create
        case ("pods", "resize"): return true
        case ("persistentvolumeclaims", ""): return true
        default: return false
        }
    }

    /// Several problems as Kubernetes puts them together: each once.
    static func aggregate(_ problems: [String]) -> String {
        var seen: Set<String> = []
        let distinct = problems.filter { seen.insert($0).inserted }
        return distinct.count == 1 ? distinct[0] : "[\(distinct.joined(separator: ", "))]"
    }
}

/// The requests and limits that a LimitRange gives to containers that say none.
struct LimitDefaults {
    private var requests: [(name: String, amount: JSON)] = []
    private var limits: [(name: String, amount: JSON)] = []

    init(_ items: [JSON]) {
        for item in items where item["type"].stringValue == "Container" {
            Self.collect(item["defaultRequest"], into: &requests)
            Self.collect(item["default"], into: &limits)
        }
    }

    private static func collect(_ amounts: JSON, into list: inout [(name: String, amount: JSON)]) {
        for (name, amount) in amounts.objectValue ?? [:] {
            list.removeAll { $0.name == name }
            list.append((name, amount))
        }
        list.sort { $0.name < $1.name }
    }

    /// Fills in what is missing, and says in an annotation what it was.
    func fill(_ pod: inout JSON) {
        guard !requests.isEmpty || !limits.isEmpty else { return }
        var notes: [String] = []
        for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
            pod["spec"][list].updateElements { (_, container: inout JSON) throws(Never) in
                let name = container["name"].stringValue ?? ""
                for (key, amounts, word) in [("requests", requests, "request"), ("limits", limits, "limit")] {
                    let missing = amounts.filter { container["resources"][key][$0.name].isNull }
                    for (name, amount) in missing { container["resources"][key][name] = amount }
                    guard !missing.isEmpty else { continue }
                    notes.append("\(missing.map(\.name).joined(separator: ", ")) \(word) for \(what) \(name)")
                }
            }
        }
        guard !notes.isEmpty else { return }
        pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"] = .string(
            "LimitRanger plugin set: " + notes.joined(separator: "; "))
    }
}
