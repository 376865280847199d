import Objects
import PluginKit
import Synchronization

/// One version of a group that another server answers for: an APIService object with a service.
/// See https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/.
final class AggregatedAPI: Sendable {
    let name: String
    let group: String
    let version: String
    let service: Service
    let priority: APIPriority
    /// Counts the changes of the object, status aside.
    let generation: Int64
    let uid: String
    private let trust: TLSClientContext.Trust
    private let credential: Credential
    /// Made when it is first needed.
    private let context = Mutex<TLSClientContext?>(nil)

    struct Service: Sendable, Hashable {
        var namespace: String
        var name: String
        var port: Int64

        /// The name that the server's certificate must be for.
        var serverName: String { "\(name).\(namespace).svc" }
    }

    /// Nil for a group version of this server's own.
    /// - Parameter credential: by which this server shows that it may speak for its clients.
    init?(_ object: JSON, credential: Credential) {
        let spec = object["spec"]
        guard let name = spec["service"]["name"].stringValue, let namespace = spec["service"]["namespace"].stringValue
        else { return nil }
        self.name = object.name
        uid = object.uid
        generation = object.generation
        group = spec["group"].stringValue ?? ""
        version = spec["version"].stringValue ?? ""
        service = Service(namespace: namespace, name: name, port: spec["service"]["port"].integerValue ?? 443)
        priority = APIPriority(
            group: spec["groupPriorityMinimum"].integerValue ?? 0, version: spec["versionPriority"].integerValue ?? 0)
        self.credential = credential
        if spec["insecureSkipTLSVerify"].boolValue == true {
            trust = .anyone
        } else if let text = spec["caBundle"].stringValue, !text.isEmpty {
            // What is no base 64 trusts nobody, and the first connection says so.
            trust = .authorities(Base64.decode(text) ?? [])
        } else {
            trust = .system
        }
    }

    var apiVersion: String { "\(group)/\(version)" }

    /// Whether two states of the object lead to the same server in the same way.
    func isSame(as other: AggregatedAPI) -> Bool {
        uid == other.uid && group == other.group && version == other.version && service == other.service
            && priority == other.priority && trust == other.trust
    }

    func security() throws(UpstreamError) -> UpstreamSecurity {
        let known = context.withLock { $0 }
        let made = if let known { known } else { try TLSClientContext(trust: trust, credential: credential) }
        context.withLock { $0 = made }
        return .context(made, serverName: service.serverName)
    }

    /// An endpoint of its service that is ready. [blocking]
    func address(_ store: StoreClient) throws(AggregationFailure) -> UpstreamAddress {
        let place = "service/\(service.name) in \"\(service.namespace)\""
        do {
            guard let object = try store.object("services/\(service.namespace)/\(service.name)") else {
                throw AggregationFailure("ServiceNotFound", "\(place) is not present")
            }
            if object["spec"]["type"] == "ExternalName", let host = object["spec"]["externalName"].stringValue {
                guard let port = UInt16(exactly: service.port) else {
                    throw AggregationFailure("ServicePortError", "\(place) is not listening on port \(service.port)")
                }
                return UpstreamAddress(host: host, port: port)
            }
            guard
                let port = object["spec"]["ports"].arrayValue.first(where: { $0["port"].integerValue == service.port })
            else { throw AggregationFailure("ServicePortError", "\(place) is not listening on port \(service.port)") }
            let portName = port["name"].stringValue ?? ""
            let ready = try ServiceEndpoints.ready(
                namespace: service.namespace, name: service.name, portName: portName, store)
            guard let address = ready.randomElement() else { throw try noAddress(place, portName, store) }
            guard address.pod != nil || UpstreamAddress.isProxyable(address.host) else {
                throw AggregationFailure("MissingEndpoints", "address not allowed: \(address.host)")
            }
            return address
        } catch let failure as AggregationFailure {
            throw failure
        } catch {
            throw AggregationFailure("ServiceAccessError", "\(place) cannot be accessed due to: \(error)")
        }
    }

    private func noAddress(
        _ place: String, _ portName: String, _ store: StoreClient
    ) throws(PluginError) -> AggregationFailure {
        let slices = try store.list(
            prefix: "endpointslices.discovery.k8s.io/\(service.namespace)/",
            selector: "kubernetes.io/service-name=\(service.name)", limit: 1)
        return slices.records.isEmpty
            ? AggregationFailure("EndpointsNotFound", "cannot find endpointslices for \(place)")
            : AggregationFailure(
                "MissingEndpoints", "endpointslices for \(place) have no addresses with port name \"\(portName)\"")
    }
}

/// Why an aggregated API is not available: reason and message of its condition.
struct AggregationFailure: Error, Sendable, Equatable {
    var reason: String
    var message: String

    init(_ reason: String, _ message: String) {
        self.reason = reason
        self.message = message
    }
}
