import Objects
import PluginKit

/// Where a webhook is: the `clientConfig` of a webhook configuration or a conversion.
/// See https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#contacting-the-webhook.
struct WebhookTarget: Sendable {
    enum Place: Sendable {
        /// A host's name or address, and a port.
        case host(String, UInt16)
        /// The port is the service's.
        case service(namespace: String, name: String, port: Int64)
    }

    let place: Place
    /// With its query.
    private(set) var path: String
    /// The certificates that sign the server's, in PEM; empty: those of the system.
    let authorities: [UInt8]

    /// Nil when it names neither a service nor an address that can be read.
    init?(_ config: JSON) {
        authorities = config["caBundle"].stringValue.flatMap { Base64.decode($0) } ?? []
        let service = config["service"]
        if service.exists {
            guard let name = service["name"].stringValue, let namespace = service["namespace"].stringValue else {
                return nil
            }
            place = .service(namespace: namespace, name: name, port: service["port"].integerValue ?? 443)
            let path = service["path"].stringValue ?? ""
            self.path = path.hasPrefix("/") ? path : "/" + path
            return
        }
        guard let url = config["url"].stringValue, url.hasPrefix("https://") else { return nil }
        let rest = url.dropFirst("https://".count)
        let slash = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let authority = rest[..<slash]
        path = slash == rest.endIndex ? "/" : rest[slash] == "?" ? "/" + rest[slash...] : String(rest[slash...])
        var host = authority
        var port: UInt16 = 443
        if let colon = authority.lastIndex(of: ":"), !authority.hasSuffix("]") {
            guard let number = UInt16(authority[authority.index(after: colon)...]) else { return nil }
            port = number
            host = authority[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { return nil }
        place = .host(String(host), port)
    }

    /// The place of an https URL; nil for every other text.
    /// - Parameter authorities: In PEM; empty: those of the system.
    init?(url: String, authorities: [UInt8]) {
        self.init(["url": .string(url), "caBundle": .string(Base64.encode(authorities))])
    }

    /// The same place, which is told how long it may take.
    func told(timeoutSeconds: Int64) -> WebhookTarget {
        var target = self
        target.path += (path.contains("?") ? "&" : "?") + "timeout=\(timeoutSeconds)s"
        return target
    }

    /// The name that the server's certificate must be for.
    var serverName: String {
        switch place {
        case .host(let host, _): host
        case .service(let namespace, let name, _): "\(name).\(namespace).svc"
        }
    }

    /// As messages name it.
    var url: String {
        switch place {
        case .host(let host, let port): "https://\(host):\(port)\(path)"
        case .service(_, _, let port): "https://\(serverName):\(port)\(path)"
        }
    }

    /// Where to connect to: of a service, an endpoint that is ready.
    func address(_ store: StoreClient) throws(UpstreamError) -> UpstreamAddress {
        switch place {
        case .host(let host, let port): return UpstreamAddress(host: host, port: port)
        case .service(let namespace, let name, let port):
            do {
                guard let service = try store.object("services/\(namespace)/\(name)") else {
                    throw UpstreamError("service \"\(name)\" not found")
                }
                guard let entry = service["spec"]["ports"].arrayValue.first(where: { $0["port"].integerValue == port })
                else { throw UpstreamError("no service port \(port) found for service \"\(name)\"") }
                let ready = try ServiceEndpoints.ready(
                    namespace: namespace, name: name, portName: entry["name"].stringValue ?? "", store)
                guard let address = ready.first else {
                    throw UpstreamError("no endpoints available for service \"\(name)\"")
                }
                return address
            } catch let error as UpstreamError {
                throw error
            } catch {
                throw UpstreamError("\(error)")
            }
        }
    }
}
