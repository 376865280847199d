import Objects
import PluginKit

/// What an autoscaler scales, through its subresource scale: custom resources as well as those of the API itself.
struct ScaleTarget {
    /// The path of the subresource.
    let path: String
    let scale: JSON

    enum Failure: Error, CustomStringConvertible {
        case unknownKind(apiVersion: String, kind: String)
        case noScale(kind: String)

        var description: String {
            switch self {
            case .unknownKind(let apiVersion, let kind): "no matches for kind \"\(kind)\" in version \"\(apiVersion)\""
            case .noScale(let kind): "\(kind) has no subresource scale"
            }
        }
    }

    /// - Throws: an APIError, or a `Failure`.
    init(of autoscaler: JSON, _ api: APIClient) throws {
        let reference = autoscaler["spec"]["scaleTargetRef"]
        let apiVersion = reference["apiVersion"].stringValue ?? "v1"
        let kind = reference["kind"].stringValue ?? ""
        let served: [JSON]
        do {
            served = try api.request("GET", APIPath.version(apiVersion))["resources"].arrayValue
        } catch let error as APIError where error.isNotFound {
            throw Failure.unknownKind(apiVersion: apiVersion, kind: kind)
        }
        let names = served.filter { $0["kind"].stringValue == kind }.compactMap { $0["name"].stringValue }
        guard let plural = names.first(where: { !$0.contains("/") }) else {
            throw Failure.unknownKind(apiVersion: apiVersion, kind: kind)
        }
        guard served.contains(where: { $0["name"].stringValue == "\(plural)/scale" }) else {
            throw Failure.noScale(kind: kind)
        }
        path = APIPath.object(
            apiVersion, plural, autoscaler.namespace, reference["name"].stringValue ?? "", "scale")
        scale = try api.request("GET", path)
    }

    /// The size that it is to have.
    var replicas: Int64 { scale["spec"]["replicas"].integerValue ?? 0 }
    /// How many pods it has.
    var present: Int64 { scale["status"]["replicas"].integerValue ?? 0 }
    /// Of its pods; empty when the target tells none.
    var selector: String { scale["status"]["selector"].stringValue ?? "" }

    func resize(to replicas: Int64, _ api: APIClient) throws {
        var scale = scale
        scale["spec"]["replicas"] = .integer(replicas)
        _ = try api.request("PUT", path, body: scale)
    }
}
