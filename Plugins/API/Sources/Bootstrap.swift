import Objects
import PluginKit

/// Creates the objects that every cluster has, where they are absent.
struct Bootstrap {
    let pipeline: RequestPipeline
    let credentials: PKIDirectory.Contents

    /// - Throws: when one could not be written.
    func run() throws {
        try create(BootstrapPolicy.objects)
        let authorities = FrontProxy.configMap(
            clientAuthority: credentials.authority, proxyAuthority: credentials.frontProxyAuthority)
        try create(BootstrapPolicy.namespacedObjects + [(Self.configMaps, authorities)])
        try publish(authorities)
    }

    private static let configMaps = "/api/v1/namespaces/kube-system/configmaps"

    /// Other API servers are told whom to trust; what the ConfigMap says of it is this server's.
    private func publish(_ wanted: JSON) throws {
        let present = try pipeline.store.object("configmaps/kube-system/\(wanted.name)") ?? .null
        if wanted["data"].objectValue?.allSatisfy({ present["data"][$0.key] == $0.value }) == true { return }
        let patch: JSON = ["data": wanted["data"]]
        let request = try APIRequest(
            method: .patch("application/merge-patch+json"), target: "\(Self.configMaps)/\(wanted.name)",
            body: patch.serialized(), user: .host, isInternal: true)
        let box = ResponseBox()
        pipeline.handle(request) { box.complete($0) }
        guard let response = box.wait(), response.status < 300 else {
            throw PluginError.internal("cannot write ConfigMap kube-system/\(wanted.name): \(Self.reason(box))")
        }
    }

    private func create(_ objects: [(path: String, object: JSON)]) throws {
        var pending: [(String, ResponseBox)] = []
        for (path, object) in objects {
            let name = object.name
            guard try !exists(path, name) else { continue }
            let box = ResponseBox()
            do {
                let request = try APIRequest(
                    method: .post, target: path, body: object.serialized(), user: .host, isInternal: true)
                // All are on their way together, so that they share one write to disk.
                pipeline.handle(request) { box.complete($0) }
            } catch {
                throw PluginError.internal("\(path)/\(name): \(error.message)")
            }
            pending.append(("\(path)/\(name)", box))
        }
        for (place, box) in pending {
            guard let response = box.wait(), response.status < 300 || response.status == 409 else {
                throw PluginError.internal("cannot create \(place), which every cluster has: \(Self.reason(box))")
            }
        }
    }

    private static func reason(_ box: ResponseBox) -> String {
        guard case .bytes(let bytes)? = box.wait()?.body else { return "no answer" }
        do { return try JSON(parsing: bytes)["message"].stringValue ?? "" } catch { return "\(error)" }
    }

    private func exists(_ path: String, _ name: String) throws -> Bool {
        guard case .resource(let place) = try RequestPath(parsing: path[...]),
            let resource = pipeline.resources.find(group: place.group, version: place.version, resource: place.resource)
        else { return false }
        return try pipeline.store.get(resource.key(place.namespace, name)) != nil
    }
}
