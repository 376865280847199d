import Objects
import PluginKit

/// The APIs that other servers answer for. Their objects are not in the store, so nobody hears of them: what they hold is asked
/// for through the API front, which carries the questions on.
struct AggregatedAPIs: Sendable {
    /// One resource of an API, as its discovery lists it.
    struct Resource: Sendable, Equatable {
        var type: ResourceType
        var verbs: Set<String>
    }

    /// An object of such an API that another object names as its owner.
    struct Reference: Sendable, Hashable {
        var apiVersion: String
        var kind: String
        var namespace: String
        var name: String
        var uid: String

        /// - Parameters:
        ///   - owner: an entry of `metadata.ownerReferences`.
        ///   - namespace: of the object that has it.
        init(_ owner: JSON, namespace: String) {
            apiVersion = owner["apiVersion"].stringValue ?? ""
            kind = owner["kind"].stringValue ?? ""
            name = owner["name"].stringValue ?? ""
            uid = owner["uid"].stringValue ?? ""
            self.namespace = namespace
        }
    }

    /// Objects that are asked for at once.
    private static let page = 250

    let api: APIClient
    /// "things.example.com/v1", in order.
    let versions: [String]

    /// - Parameter services: the APIService objects; those without a service are this server's own.
    init(_ api: APIClient, services: [JSON]) {
        self.api = api
        versions = services.filter { $0["spec"]["service"].exists }.map {
            "\($0["spec"]["group"].stringValue ?? "")/\($0["spec"]["version"].stringValue ?? "")"
        }.sorted()
    }

    func contains(_ apiVersion: String) -> Bool { versions.contains(apiVersion) }

    /// The resources of an API version, subresources left out, by its discovery.
    static func resources(of apiVersion: String, _ api: APIClient) throws -> [Resource] {
        try api.request("GET", APIPath.version(apiVersion))["resources"].arrayValue.compactMap { entry in
            guard let plural = entry["name"].stringValue, !plural.contains("/") else { return nil }
            return Resource(
                type: ResourceType(
                    apiVersion: apiVersion, plural: plural, kind: entry["kind"].stringValue ?? "",
                    isNamespaced: entry["namespaced"].boolValue ?? false),
                verbs: Set(entry["verbs"].arrayValue.compactMap(\.stringValue)))
        }
    }

    /// All objects of a resource, in a namespace or in all (""); none where the server has no such resource any more.
    func objects(of type: ResourceType, namespace: String = "") throws -> [JSON] {
        let path = APIPath.collection(type.apiVersion, type.plural, namespace: namespace)
        var found: [JSON] = []
        var more = ""
        repeat {
            let list: JSON
            do {
                list = try api.request("GET", "\(path)?limit=\(Self.page)\(more)")
            } catch let error as APIError where error.isNotFound {
                return []
            }
            found += list["items"].arrayValue
            let token = list["metadata"]["continue"].stringValue ?? ""
            more = token.isEmpty ? "" : "&continue=\(APIPath.escaped(token))"
        } while !more.isEmpty
        return found
    }

    /// Deletes this very object; one that is gone, or whose name is another's by now, is no error.
    func delete(_ type: ResourceType, _ object: JSON) throws {
        do {
            try api.delete(
                type.apiVersion, type.plural, namespace: object.namespace, name: object.name, uid: object.uid,
                propagation: "Background")
        } catch let error as APIError where error.isNotFound || error.isConflict {
            // It is as wanted.
        }
    }

    /// Whether an owner is there, as its server says.
    /// - Throws: when that cannot be told, for example because the server does not answer.
    func isPresent(_ owner: Reference) throws -> Bool {
        guard
            let resource = try Self.resources(of: owner.apiVersion, api).first(where: { $0.type.kind == owner.kind })
        else { return false }
        do {
            let namespace = resource.type.isNamespaced ? owner.namespace : ""
            let object = try api.get(owner.apiVersion, resource.type.plural, namespace: namespace, name: owner.name)
            return object.uid == owner.uid
        } catch let error as APIError where error.isNotFound {
            return false
        }
    }
}
