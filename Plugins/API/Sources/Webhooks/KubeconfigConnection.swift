import ObjectYAML
import Objects
import PluginKit

/// A server that a kubeconfig file names, and what is shown to it: the form in which Kubernetes' components are told of webhooks.
/// See https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/.
struct KubeconfigConnection: Sendable {
    /// For one call, in nanoseconds.
    var timeout: UInt64 = 30_000_000_000

    let target: WebhookTarget
    let credential: Credential?
    let token: String?
    /// Read for each call, so that it may change; "" = none.
    let tokenFile: String

    /// Reads the current context of a file.
    /// - Throws: what cannot be used, with file and place.
    init(file: String) throws(PluginError) {
        let bytes = try AtomicFile.read(file, limit: 1 << 20)
        let json: JSON
        do throws(YAMLError) {
            json = try YAMLParser.parse(bytes)
        } catch {
            throw PluginError.invalid("\(file): \(error)")
        }
        let slash = file.lastIndex(of: "/")
        try self.init(json, directory: slash.map { String(file[..<$0]) } ?? ".", file: file)
    }

    /// - Parameter directory: Where relative paths begin.
    init(_ json: JSON, directory: String, file: String) throws(PluginError) {
        let context = Self.entry("contexts", named: json["current-context"], json)["context"]
        let cluster = Self.entry("clusters", named: context["cluster"], json)["cluster"]
        let user = Self.entry("users", named: context["user"], json)["user"]
        guard cluster["insecure-skip-tls-verify"].boolValue != true else {
            throw PluginError.invalid(
                "\(file): insecure-skip-tls-verify is not supported; give the server's certificate-authority instead")
        }
        func data(_ json: JSON, _ key: String) throws(PluginError) -> [UInt8]? {
            if let text = json[key + "-data"].stringValue, !text.isEmpty {
                guard let bytes = Base64.decode(text) else {
                    throw PluginError.invalid("\(file): \(key)-data is no base 64")
                }
                return bytes
            }
            guard let path = json[key].stringValue, !path.isEmpty else { return nil }
            return try AtomicFile.read(path.hasPrefix("/") ? path : "\(directory)/\(path)", limit: 1 << 20)
        }
        let server = cluster["server"].stringValue ?? ""
        let authority = try data(cluster, "certificate-authority")
        guard let target = WebhookTarget(url: server, authorities: authority ?? []) else {
            throw PluginError.invalid("\(file): the cluster's server is \"\(server)\": it must be an https URL")
        }
        self.target = target
        switch (try data(user, "client-certificate"), try data(user, "client-key")) {
        case (let certificate?, let key?): credential = Credential(certificate: certificate, key: key)
        case (nil, nil): credential = nil
        default: throw PluginError.invalid("\(file): client-certificate and client-key must be given together")
        }
        token = user["token"].stringValue.flatMap { $0.isEmpty ? nil : $0 }
        let path = user["tokenFile"].stringValue ?? ""
        tokenFile = path.isEmpty || path.hasPrefix("/") ? path : "\(directory)/\(path)"
    }

    /// The entry of a name; without a name the first.
    private static func entry(_ list: String, named name: JSON, _ json: JSON) -> JSON {
        let entries = json[list].arrayValue
        guard let name = name.stringValue, !name.isEmpty else { return entries.first ?? .null }
        return entries.first { $0["name"].stringValue == name } ?? .null
    }

    /// Sends JSON; what is answered does not matter, but that it is. [blocking]
    func send(_ body: [UInt8], _ client: WebhookClient) throws(UpstreamError) {
        try client.send(
            body, to: target, deadline: monotonicNanoseconds() + timeout, bearerToken: try bearerToken(),
            credential: credential)
    }

    private func bearerToken() throws(UpstreamError) -> String? {
        guard !tokenFile.isEmpty else { return token }
        do {
            return String(decoding: try AtomicFile.read(tokenFile), as: UTF8.self).trimmingWhitespace()
        } catch {
            throw UpstreamError("its tokenFile cannot be read: \(error)")
        }
    }
}

extension KubeconfigConnection: ReviewConnection {
    func post(_ body: JSON, _ client: WebhookClient) throws(UpstreamError) -> JSON {
        let deadline = monotonicNanoseconds() + timeout
        let token = try bearerToken()
        do throws(UpstreamError) {
            return try client.post(body, to: target, deadline: deadline, bearerToken: token, credential: credential)
        } catch {
            guard monotonicNanoseconds() < deadline else { throw error }
            return try client.post(body, to: target, deadline: deadline, bearerToken: token, credential: credential)
        }
    }
}
