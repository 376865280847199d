import Glibc
import Objects
import PluginAPI
import PluginKit
import Synchronization

/// All active providers of hostd.runtime/1 as one. A new sandbox is made by the first in the order of preference, which
/// `hostd plugin swap` changes; whatever is in a sandbox stays with the provider that made it, by name, across swaps.
final class RuntimeRouter: PodRuntime {
    /// Who is active, in order of preference, and the way to each.
    struct Providers: Sendable {
        var names: @Sendable () throws -> [String]
        var client: @Sendable (_ name: String) throws -> any RuntimeProvider

        static func active(_ host: Host) throws -> Providers {
            let roles = try host.roles()
            return Providers(
                names: { try roles.providers(of: HOSTD_RUNTIME_1) }, client: { try RuntimeClient(host, plugin: $0) })
        }
    }

    private let providers: Providers
    private let clients = Mutex<[String: any RuntimeProvider]>([:])
    private let owners = RuntimeOwners()
    private let operations = OperationRoutes()
    private let watches = Mutex<(table: [UInt64: [(name: String, handle: UInt64)]], next: UInt64)>(([:], 1))

    init(_ providers: Providers) { self.providers = providers }

    // MARK: - Who

    /// The active ones, in order of preference.
    func names() throws -> [String] { try providers.names() }

    private func client(_ name: String) throws -> any RuntimeProvider {
        if let known = clients.withLock({ $0[name] }) { return known }
        let made = try providers.client(name)
        return clients.withLock { clients in
            let kept = clients[name] ?? made
            clients[name] = kept
            return kept
        }
    }

    private func selected() throws -> (name: String, client: any RuntimeProvider) {
        guard let name = try providers.names().first else {
            throw PluginError.unavailable("no plugin that provides \(HOSTD_RUNTIME_1) is active")
        }
        return (name, try client(name))
    }

    private func active() throws -> [(name: String, client: any RuntimeProvider)] {
        try providers.names().map { ($0, try client($0)) }
    }

    /// The provider of a sandbox or container, as far as it is known; the selected one answers for what nobody knows.
    private func provider(_ name: String?) throws -> any RuntimeProvider {
        guard let name else { return try selected().client }
        guard try providers.names().contains(name) else {
            throw PluginError.unavailable(
                "the plugin \(name), which started this pod's containers, is not active: activate it, or delete the pod "
                    + "once it is")
        }
        return try client(name)
    }

    func provider(ofSandbox id: String) throws -> any RuntimeProvider { try provider(owners.plugin(ofSandbox: id)) }

    func vouches(forSandbox id: String) -> Bool {
        guard let name = owners.plugin(ofSandbox: id) else { return true }
        return (try? providers.names().contains(name)) == true
    }

    private func ofSandbox(_ request: JSON, _ member: String = "id") throws -> any RuntimeProvider {
        try provider(owners.plugin(ofSandbox: request[member].stringValue ?? ""))
    }

    private func ofContainer(_ request: JSON) throws -> any RuntimeProvider {
        try provider(owners.plugin(ofContainer: request["id"].stringValue ?? ""))
    }

    // MARK: - Sandboxes

    func runSandbox(_ request: JSON, deadline: UInt64) throws -> JSON {
        let (name, client) = try selected()
        return try runSandbox(request, by: name, client, deadline: deadline)
    }

    func runSandbox(_ request: JSON, handler: String, deadline: UInt64) throws -> JSON {
        let names = try providers.names()
        guard names.contains(handler) else {
            throw PluginError.invalid(
                "no runtime for \"\(handler)\" is configured: a RuntimeClass's handler names one of the active plugins that "
                    + "provide \(HOSTD_RUNTIME_1) (\(names.joined(separator: ", ")))")
        }
        return try runSandbox(request, by: handler, client(handler), deadline: deadline)
    }

    private func runSandbox(
        _ request: JSON, by name: String, _ client: any RuntimeProvider, deadline: UInt64
    ) throws -> JSON {
        // A runtime that knows nothing of users would give the pod the host's.
        if request["config"]["userNamespace"].exists,
            try client.status([:], deadline: deadline)["features"]["userNamespaces"].boolValue != true
        {
            throw PluginError.notSupported(
                "can't set `spec.hostUsers: false`, runtime does not support user namespaces (\(name))")
        }
        let answer = try client.runSandbox(request, deadline: deadline)
        owners.note(sandbox: answer["sandbox"], of: name)
        return answer
    }

    func stopSandbox(_ request: JSON, deadline: UInt64) throws -> JSON {
        try ofSandbox(request).stopSandbox(request, deadline: deadline)
    }

    func removeSandbox(_ request: JSON, deadline: UInt64) throws -> JSON {
        let answer = try ofSandbox(request).removeSandbox(request, deadline: deadline)
        owners.forget(sandbox: request["id"].stringValue ?? "")
        return answer
    }

    func listSandboxes(_ request: JSON, deadline: UInt64) throws -> JSON {
        var all: [JSON] = []
        for (name, client) in try active() {
            let found = try client.listSandboxes(request, deadline: deadline)["sandboxes"].arrayValue
            for sandbox in found { owners.note(sandbox: sandbox, of: name) }
            all += found
        }
        return ["sandboxes": .array(all)]
    }

    // MARK: - Containers

    func createContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        let sandbox = request["sandboxID"].stringValue
        let answer = try ofSandbox(request, "sandboxID").createContainer(request, deadline: deadline)
        if let name = owners.plugin(ofSandbox: sandbox ?? "") {
            owners.note(container: answer["id"].stringValue, sandbox: sandbox, of: name)
        }
        return answer
    }

    func startContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        try ofContainer(request).startContainer(request, deadline: deadline)
    }

    func stopContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        try ofContainer(request).stopContainer(request, deadline: deadline)
    }

    func removeContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        let answer = try ofContainer(request).removeContainer(request, deadline: deadline)
        owners.forget(container: request["id"].stringValue ?? "")
        return answer
    }

    func listContainers(_ request: JSON, deadline: UInt64) throws -> JSON {
        if let id = request["id"].stringValue, owners.plugin(ofContainer: id) != nil {
            return try ofContainer(request).listContainers(request, deadline: deadline)
        }
        var all: [JSON] = []
        for (name, client) in try active() {
            let found = try client.listContainers(request, deadline: deadline)["containers"].arrayValue
            for container in found { note(container, of: name) }
            all += found
        }
        return ["containers": .array(all)]
    }

    private func note(_ container: JSON, of name: String) {
        owners.note(container: container["id"].stringValue, sandbox: container["sandboxID"].stringValue, of: name)
    }

    func updateContainer(_ request: JSON, deadline: UInt64) throws -> JSON {
        let id = request["id"].stringValue ?? ""
        let owner = owners.plugin(ofContainer: id) ?? owners.plugin(ofSandbox: id)
        return try provider(owner).updateContainer(request, deadline: deadline)
    }

    func reopenLog(_ request: JSON, deadline: UInt64) throws -> JSON {
        try ofContainer(request).reopenLog(request, deadline: deadline)
    }

    func containerStats(_ request: JSON, deadline: UInt64) throws -> JSON {
        if request["id"].exists { return try ofContainer(request).containerStats(request, deadline: deadline) }
        var all: [JSON] = []
        for (_, client) in try active() {
            all += try client.containerStats(request, deadline: deadline)["stats"].arrayValue
        }
        return ["stats": .array(all)]
    }

    // MARK: - Exec and attach

    func execSync(_ request: JSON, deadline: UInt64) throws -> JSON {
        try ofContainer(request).execSync(request, deadline: deadline)
    }

    func exec(
        _ request: JSON, standardInput: Int32, standardOutput: Int32, standardError: Int32,
        completion: @escaping Completion
    ) throws -> UInt64 {
        let client = try ofContainer(request, closing: [standardInput, standardOutput, standardError])
        return try operations.begin(client, completion) {
            try client.exec(
                request, standardInput: standardInput, standardOutput: standardOutput, standardError: standardError,
                completion: $0)
        }
    }

    func attach(
        _ request: JSON, standardInput: Int32, standardOutput: Int32, standardError: Int32,
        completion: @escaping Completion
    ) throws -> UInt64 {
        let client = try ofContainer(request, closing: [standardInput, standardOutput, standardError])
        return try operations.begin(client, completion) {
            try client.attach(
                request, standardInput: standardInput, standardOutput: standardOutput, standardError: standardError,
                completion: $0)
        }
    }

    /// Descriptors were given away with the call, also when there is nobody to take them.
    private func ofContainer(_ request: JSON, closing descriptors: [Int32]) throws -> any RuntimeProvider {
        do {
            return try ofContainer(request)
        } catch {
            for number in descriptors where number >= 0 { close(number) }
            throw error
        }
    }

    func execResize(_ operation: UInt64, width: UInt32, height: UInt32) throws {
        guard let route = operations[operation] else {
            throw PluginError.notFound("there is no exec or attach \(operation)")
        }
        try route.provider.execResize(route.handle, width: width, height: height)
    }

    func execCancel(_ operation: UInt64) throws {
        if let route = operations[operation] { try route.provider.execCancel(route.handle) }
    }

    // MARK: - Events

    /// Of the providers that are active now; whoever watches begins anew when they change.
    func watch(_ handler: @escaping @Sendable (JSON) -> Void) throws -> UInt64 {
        var begun: [(name: String, handle: UInt64)] = []
        do {
            for (name, client) in try active() {
                let handle = try client.watch { [self] event in
                    if event["type"].stringValue != "removed" { note(event["container"], of: name) }
                    handler(event)
                }
                begun.append((name, handle))
            }
        } catch {
            end(begun)
            throw error
        }
        return watches.withLock { watches in
            defer { watches.next += 1 }
            watches.table[watches.next] = begun
            return watches.next
        }
    }

    func watchCancel(_ watch: UInt64) throws { end(watches.withLock { $0.table.removeValue(forKey: watch) } ?? []) }

    /// The watches of a provider that is not active have ended with it.
    private func end(_ watches: [(name: String, handle: UInt64)]) {
        for (name, handle) in watches {
            do { try client(name).watchCancel(handle) } catch { continue }
        }
    }

    // MARK: - The selected one's

    func status(_ request: JSON, deadline: UInt64) throws -> JSON {
        try selected().client.status(request, deadline: deadline)
    }
    func listImages(_ request: JSON, deadline: UInt64) throws -> JSON {
        try selected().client.listImages(request, deadline: deadline)
    }
    func imageStatus(_ request: JSON, deadline: UInt64) throws -> JSON {
        try selected().client.imageStatus(request, deadline: deadline)
    }
    func loadImage(_ request: JSON, archive: Int32, deadline: UInt64) throws -> JSON {
        let client: any RuntimeProvider
        do {
            client = try selected().client
        } catch {
            if archive >= 0 { close(archive) }
            throw error
        }
        return try client.loadImage(request, archive: archive, deadline: deadline)
    }
    func pullImage(_ request: JSON, completion: @escaping Completion) throws -> UInt64 {
        let client = try selected().client
        return try operations.begin(client, completion) { try client.pullImage(request, completion: $0) }
    }
    func pullCancel(_ operation: UInt64) throws {
        if let route = operations[operation] { try route.provider.pullCancel(route.handle) }
    }
    func removeImage(_ request: JSON, deadline: UInt64) throws -> JSON {
        try selected().client.removeImage(request, deadline: deadline)
    }
    func imageFilesystem(_ request: JSON, deadline: UInt64) throws -> JSON {
        try selected().client.imageFilesystem(request, deadline: deadline)
    }
}
