import Objects
import PluginKit

/// Why the scale of a budget's pods is not known.
enum ScaleError: Error, CustomStringConvertible {
    case noController(pod: String)
    case noScale(resource: String)
    case unknownKind(apiVersion: String, kind: String)

    var description: String {
        switch self {
        case .noController(let pod): "found no controller for pod \"\(pod)\""
        case .noScale(let resource): "\(resource) does not implement the scale subresource"
        case .unknownKind(let apiVersion, let kind): "no resource of kind \(kind) is served in \(apiVersion)"
        }
    }
}

/// How many pods the controllers of some pods are to run: what `spec.replicas` or the scale subresource of each says.
struct OwnerScales: Sendable {
    /// A controller and how many pods it is to run.
    struct Scale: Equatable {
        var uid: String
        var replicas: Int64
    }

    struct Total: Equatable {
        var replicas: Int64 = 0
        /// Pods that no controller has: they do not count.
        var unmanaged: [String] = []
    }

    /// Each controller counts once.
    /// - Parameter lookup: the controller that scales the owner's pods; nil when it is gone.
    static func total(
        of pods: [JSON], lookup: (_ namespace: String, _ owner: ControllerReference) throws -> Scale?
    ) throws -> Total {
        var total = Total()
        var owners: [String: String] = [:]
        var counted: Set<String> = []
        for pod in pods {
            guard let owner = ControllerReference(controlling: pod) else {
                total.unmanaged.append(pod.name)
                continue
            }
            if owners[owner.uid] != nil { continue }
            guard let scale = try lookup(pod.namespace, owner) else { throw ScaleError.noController(pod: pod.name) }
            owners[owner.uid] = scale.uid
            if counted.insert(scale.uid).inserted { total.replicas += scale.replicas }
        }
        total.unmanaged.sort()
        return total
    }

    let replicaSets: @Sendable (_ namespace: String, _ name: String) -> JSON?
    let deployments: @Sendable (_ namespace: String, _ name: String) -> JSON?
    let statefulSets: @Sendable (_ namespace: String, _ name: String) -> JSON?
    let get: @Sendable (_ path: String) throws -> JSON

    func scale(in namespace: String, of owner: ControllerReference) throws -> Scale? {
        let isApps = owner.apiVersion.hasPrefix("apps/")
        switch owner.kind {
        case "ReplicaSet" where isApps:
            guard let set = replicaSets(namespace, owner.name), set.uid == owner.uid else { return nil }
            guard let above = ControllerReference(controlling: set), above.kind == "Deployment",
                above.apiVersion.hasPrefix("apps/")
            else { return Self.scale(set) }
            return Self.scale(deployments(namespace, above.name), uid: above.uid)
        case "StatefulSet" where isApps: return Self.scale(statefulSets(namespace, owner.name), uid: owner.uid)
        default: return try subresource(namespace, owner)
        }
    }

    private static func scale(_ object: JSON?, uid: String) -> Scale? {
        guard let object, object.uid == uid else { return nil }
        return scale(object)
    }

    private static func scale(_ object: JSON) -> Scale {
        Scale(uid: object.uid, replicas: object["spec"]["replicas"].integerValue ?? 1)
    }

    /// Asks the API, which knows custom resources too.
    private func subresource(_ namespace: String, _ owner: ControllerReference) throws -> Scale? {
        let served: [JSON]
        do {
            served = try get(APIPath.version(owner.apiVersion))["resources"].arrayValue
        } catch let error as APIError where error.isNotFound {
            throw ScaleError.unknownKind(apiVersion: owner.apiVersion, kind: owner.kind)
        }
        let names = served.filter { $0["kind"].stringValue == owner.kind }.compactMap { $0["name"].stringValue }
        guard let plural = names.first(where: { !$0.contains("/") }) else {
            throw ScaleError.unknownKind(apiVersion: owner.apiVersion, kind: owner.kind)
        }
        guard served.contains(where: { $0["name"].stringValue == "\(plural)/scale" }) else {
            let group = owner.apiVersion.split(separator: "/").dropLast().first.map { ".\($0)" } ?? ""
            throw ScaleError.noScale(resource: plural + group)
        }
        do {
            let scale = try get(APIPath.object(owner.apiVersion, plural, namespace, owner.name, "scale"))
            guard scale.uid == owner.uid else { return nil }
            return Scale(uid: scale.uid, replicas: scale["spec"]["replicas"].integerValue ?? 0)
        } catch let error as APIError where error.isNotFound {
            return nil
        }
    }
}
