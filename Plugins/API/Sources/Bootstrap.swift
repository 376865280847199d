import Objects
import PluginKit

/// Creates the objects that every cluster has, where they are absent, and brings its roles up to date.
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

    /// A request on its way, and what it is about.
    private struct Pending {
        var place: String
        var box: ResponseBox
    }

    private func create(_ objects: [(path: String, object: JSON)]) throws {
        var pending: [Pending] = []
        for (path, object) in objects {
            let place = "\(path)/\(object.name)"
            guard let present = try stored(path, object.name) else {
                // All are on their way together, so that they share one write to disk.
                pending.append(try send(.post, path, object, place))
                continue
            }
            guard path.hasPrefix("/apis/rbac.") else { continue }
            switch RoleReconciliation.step(try present.object(), object) {
            case .nothing: break
            case .update(var changed):
                changed["metadata"].removeValue(forKey: "managedFields")
                pending.append(try send(.put, place, changed, place))
            case .replace:
                try finish([try send(.delete, place, [:], place)])
                pending.append(try send(.post, path, object, place))
            }
        }
        try finish(pending)
    }

    private func send(_ method: APIRequest.Method, _ target: String, _ body: JSON, _ place: String) throws -> Pending {
        let box = ResponseBox()
        do throws(APIStatus) {
            let request = try APIRequest(
                method: method, target: target, body: body.serialized(), user: .host, isInternal: true)
            pipeline.handle(request) { box.complete($0) }
        } catch {
            throw PluginError.internal("\(place): \(error.message)")
        }
        return Pending(place: place, box: box)
    }

    private func finish(_ pending: [Pending]) throws {
        for request in pending {
            guard let response = request.box.wait(), response.status < 300 || response.status == 409 else {
                throw PluginError.internal(
                    "cannot write \(request.place), which every cluster has: \(Self.reason(request.box))")
            }
        }
    }

    private static func reason(_ box: ResponseBox) -> String {
        guard case .bytes(let bytes)? = box.wait()?.body else { return "no answer" }
        do { return try JSON(parsing: bytes)["message"].stringValue ?? "" } catch { return "\(error)" }
    }

    private func stored(_ path: String, _ name: String) throws -> StoreRecord? {
        guard case .resource(let place) = try RequestPath(parsing: path[...]),
            let resource = pipeline.resources.find(group: place.group, version: place.version, resource: place.resource)
        else { return nil }
        return try pipeline.store.get(resource.key(place.namespace, name))
    }
}
