import Objects
import PluginKit

/// Who may have devices for administration, and who may write which part of a claim's status. In Kubernetes the registries of
/// these kinds see to it, as a part of their validation; so do we before objects are validated, and once more afterwards, since
/// others may change objects in between.
/// See https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#admin-access and
/// https://kubernetes.io/docs/concepts/security/hardening-guide/dynamic-resource-allocation/.
struct DeviceAccess: AdmissionPlugin {
    /// The name is ours.
    let name = "DeviceAccess"
    static let resources: Set<String>? = [claims, templates]
    private static let claims = "resourceclaims.resource.k8s.io"
    private static let templates = "resourceclaimtemplates.resource.k8s.io"
    private static let label = "resource.kubernetes.io/admin-access"
    let store: StoreClient
    let authorizer: Authorizer

    func admit(_ request: inout AdmissionRequest) throws(APIStatus) { try check(request) }
    func validate(_ request: inout AdmissionRequest) throws(APIStatus) { try check(request) }

    private func check(_ request: AdmissionRequest) throws(APIStatus) {
        var faults: [APIStatus.Cause] = []
        switch request.operation {
        case .create where request.subresource.isEmpty:
            let spec = request.object["spec"]
            let claim = request.resource.qualified == Self.templates ? spec["spec"] : spec
            faults += try administration(
                wanted: claim["devices"]["requests"].arrayValue.firstIndex { $0["exactly"]["adminAccess"] == true },
                "spec.devices.requests", request)
        case .update where request.subresource == "status" && request.resource.qualified == Self.claims:
            let (new, old) = (request.object["status"], request.old["status"])
            if Self.granted(old) == nil {
                faults += try administration(
                    wanted: Self.granted(new), "status.allocation.devices.results", request)
            }
            faults += binding(new, old, request) + drivers(new, old, request)
        case .create, .update, .delete, .connect: break
        }
        guard faults.isEmpty else { throw .invalid(request.resource, request.name, faults) }
    }

    // MARK: - Administration

    /// The first device of an allocation that is given for administration.
    private static func granted(_ status: JSON) -> Int? {
        status["allocation"]["devices"]["results"].arrayValue.firstIndex { $0["adminAccess"] == true }
    }

    private func administration(
        wanted index: Int?, _ place: String, _ request: AdmissionRequest
    ) throws(APIStatus) -> [APIStatus.Cause] {
        guard let index else { return [] }
        let record: StoreRecord?
        do { record = try store.get("namespaces//\(request.namespace)") } catch { throw .unavailable("\(error)") }
        if record?.index(Self.label) == "true" { return [] }
        return [
            .forbidden(
                "\(place)[\(index)].adminAccess",
                "admin access to devices requires the `\(Self.label): true` label on the containing namespace")
        ]
    }

    // MARK: - Parts of the status

    /// Who allocates and reserves needs a permission of its own, in all namespaces.
    private func binding(_ new: JSON, _ old: JSON, _ request: AdmissionRequest) -> [APIStatus.Cause] {
        guard Self.differ(new["allocation"], old["allocation"]) || Self.differ(new["reservedFor"], old["reservedFor"])
        else { return [] }
        let verb = request.context.request.verb(at: request.context.path)
        let wanted = attributes(request, verb, subresource: "binding")
        return refusal(wanted, request).map { why in
            [
                .forbidden(
                    "status",
                    "changing status.allocation or status.reservedFor requires resource=\"resourceclaims/binding\", verb=\"\(verb)\" permission: \(why)"
                )
            ]
        } ?? []
    }

    /// Who tells of devices needs a permission for their driver; on the claim's own node a smaller one will do.
    private func drivers(_ new: JSON, _ old: JSON, _ request: AdmissionRequest) -> [APIStatus.Cause] {
        let drivers = Self.changedDrivers(new["devices"], old["devices"])
        if drivers.isEmpty { return [] }
        let verb = request.context.request.verb(at: request.context.path)
        let isOwn = Self.isOnNode(request.user, of: new["allocation"])
        let verbs = (isOwn ? ["associated-node:"] : []) + ["arbitrary-node:"]
        return drivers.sorted().compactMap { driver in
            var first: String?
            for prefix in verbs {
                var wanted = attributes(request, prefix + verb, subresource: "driver")
                (wanted.namespace, wanted.name) = (request.namespace, driver)
                guard let why = refusal(wanted, request) else { return nil }
                first = first ?? why
            }
            let list = verbs.map { $0 + verb }.joined(separator: " ")
            return .forbidden(
                "status.devices",
                "changing status.devices requires resource=\"resourceclaims/driver\", verb=\"[\(list)]\" permission: \(first ?? "")"
            )
        }
    }

    /// Whether there is anything that the other does not say; nothing and an empty list are the same.
    private static func differ(_ one: JSON, _ other: JSON) -> Bool {
        one != other && !(one.isEmpty && other.isEmpty)
    }

    private static func changedDrivers(_ new: JSON, _ old: JSON) -> Set<String> {
        func key(_ device: JSON) -> JSON { .array(["driver", "pool", "device", "shareID"].map { device[$0] }) }
        var before = Dictionary(old.arrayValue.map { (key($0), $0) }, uniquingKeysWith: { first, _ in first })
        var changed: Set<String> = []
        for device in new.arrayValue where before.removeValue(forKey: key(device)) != device {
            changed.insert(device["driver"].stringValue ?? "")
        }
        return changed.union(before.values.map { $0["driver"].stringValue ?? "" })
    }

    /// Whether a user is a service account in a pod of the one node that the devices are for.
    private static func isOnNode(_ user: UserInfo, of allocation: JSON) -> Bool {
        let terms = allocation["nodeSelector"]["nodeSelectorTerms"].arrayValue
        guard terms.count == 1, terms[0]["matchExpressions"].isEmpty, terms[0]["matchFields"].count == 1,
            user.name.hasPrefix("system:serviceaccount:")
        else { return false }
        let field = terms[0]["matchFields"][0]
        guard field["key"] == "metadata.name", field["operator"] == "In", field["values"].count == 1,
            let node = field["values"][0].stringValue
        else { return false }
        return user.extra["authentication.kubernetes.io/node-name"] == [node]
    }

    private func attributes(
        _ request: AdmissionRequest, _ verb: String, subresource: String
    ) -> Authorizer.Attributes {
        .init(
            verb: verb, group: request.resource.group, version: request.context.resource.version,
            resource: request.resource.plural, subresource: subresource)
    }

    /// Why it is not allowed; nil when it is.
    private func refusal(_ wanted: Authorizer.Attributes, _ request: AdmissionRequest) -> String? {
        switch authorizer.decide(request.user, wanted, mayWait: true) {
        case .allowed: nil
        case .denied(let reason), .noOpinion(let reason):
            authorizer.refusal(request.user, wanted, request.resource, reason: reason).message
        case .mustWait: authorizer.refusal(request.user, wanted, request.resource).message
        }
    }
}
