import Objects
import PluginKit
import Synchronization

/// Which objects have to do with which node: what the pods bound to it refer to, directly or by their claims and volumes.
/// Kept by watches from the first time that a node asks.
final class NodeGraph: Sendable {
    enum Kind: Sendable, Hashable {
        case pod, secret, configMap, claim, volume, serviceAccount, resourceClaim, attachment, slice
    }

    struct Vertex: Sendable, Hashable {
        var kind: Kind
        /// Empty for objects of the cluster.
        var namespace = ""
        var name: String
    }

    private struct Use: Sendable {
        var node: String
        var objects: Set<Vertex>
    }

    private struct State {
        /// What each user of objects (a pod, an attachment, a slice) refers to.
        var uses: [Vertex: Use] = [:]
        /// How many users on each node refer to an object.
        var counts: [Vertex: [String: Int]] = [:]
        /// Bound claims by volume, and the volumes that refer to a secret.
        var claims: [Vertex: Vertex] = [:]
        var volumes: [Vertex: Set<Vertex>] = [:]
        var secrets: [Vertex: Set<Vertex>] = [:]
        var informers: [Informer] = []
        var isStarted = false
    }
    private let state = Mutex(State())
    /// Held by the one thread that starts it.
    private let starting = Mutex(())
    private let hasStarted = Atomic(false)

    /// Whether it shows what there is.
    var isStarted: Bool { hasStarted.load(ordering: .acquiring) }
    private let host: Host?

    /// - Parameter host: nil for a graph that is filled by hand.
    init(host: Host?) {
        self.host = host
        if host == nil { hasStarted.store(true, ordering: .releasing) }
    }

    /// Reads what there is, then follows. Idempotent. [blocking]
    func start() throws(PluginError) {
        try starting.withLock { _ throws(PluginError) in
            guard !isStarted, let host else { return }
            var informers: [Informer] = []
            for (resource, read) in Self.readers {
                let informer = try Informer(host, resource: resource, transform: read) { [self] event in
                    switch event {
                    case .added(let object), .updated(_, let object): put(resource, object)
                    case .deleted(let object): remove(resource, object)
                    case .synchronized: break
                    }
                }
                informers.append(informer)
            }
            do throws(PluginError) {
                for informer in informers { try informer.start() }
            } catch {
                for informer in informers { informer.stop() }
                throw error
            }
            state.withLock { $0.informers = informers }
            hasStarted.store(true, ordering: .releasing)
        }
    }

    func stop() {
        let informers = state.withLock { state in
            defer { state.informers = [] }
            return state.informers
        }
        for informer in informers { informer.stop() }
    }

    /// Whether a node has to do with an object.
    func isRelated(_ object: Vertex, to node: String) -> Bool {
        state.withLock { state in
            if state.counts[object]?[node] != nil { return true }
            switch object.kind {
            case .volume: return Self.usesVolume(state, object, node)
            case .secret: return state.secrets[object]?.contains { Self.usesVolume(state, $0, node) } ?? false
            default: return false
            }
        }
    }

    private static func usesVolume(_ state: State, _ volume: Vertex, _ node: String) -> Bool {
        if state.counts[volume]?[node] != nil { return true }
        return state.claims[volume].map { state.counts[$0]?[node] != nil } ?? false
    }

    // MARK: - What is stored

    private static let readers: [(String, @Sendable (JSON) -> JSON)] = [
        ("pods", { PodReferences.kept($0) }), ("persistentvolumes", { VolumeReferences.kept($0) }),
        (
            "volumeattachments.storage.k8s.io",
            { attachment in
                ["metadata": ["name": attachment.metadata["name"]], "node": attachment["spec"]["nodeName"]]
            }
        ),
        (
            "resourceslices.resource.k8s.io",
            { slice in
                ["metadata": ["name": slice.metadata["name"]], "node": slice["spec"]["nodeName"]]
            }
        ),
    ]

    private static func vertex(_ resource: String, _ object: JSON) -> Vertex {
        switch resource {
        case "pods": Vertex(kind: .pod, namespace: object.namespace, name: object.name)
        case "volumeattachments.storage.k8s.io": Vertex(kind: .attachment, name: object.name)
        case "resourceslices.resource.k8s.io": Vertex(kind: .slice, name: object.name)
        default: Vertex(kind: .volume, name: object.name)
        }
    }

    /// Takes in an object as its reader keeps it.
    func put(_ resource: String, _ object: JSON) {
        let subject = Self.vertex(resource, object)
        if subject.kind == .volume {
            let references = VolumeReferences(kept: object)
            state.withLock { state in
                Self.removeVolume(&state, subject)
                state.claims[subject] = references.claim
                if !references.secrets.isEmpty { state.volumes[subject] = references.secrets }
                for secret in references.secrets { state.secrets[secret, default: []].insert(subject) }
            }
            return
        }
        let node = object["node"].stringValue ?? ""
        let objects = subject.kind == .pod ? PodReferences.vertices(kept: object) : []
        state.withLock { state in
            Self.removeUse(&state, subject)
            guard !node.isEmpty else { return }
            state.uses[subject] = Use(node: node, objects: objects)
            state.counts[subject, default: [:]][node, default: 0] += 1
            for used in objects { state.counts[used, default: [:]][node, default: 0] += 1 }
        }
    }

    func remove(_ resource: String, _ object: JSON) {
        let subject = Self.vertex(resource, object)
        state.withLock { state in
            if subject.kind == .volume { Self.removeVolume(&state, subject) } else { Self.removeUse(&state, subject) }
        }
    }

    private static func removeUse(_ state: inout State, _ subject: Vertex) {
        guard let use = state.uses.removeValue(forKey: subject) else { return }
        for object in use.objects.union([subject]) {
            guard let count = state.counts[object]?[use.node] else { continue }
            state.counts[object]?[use.node] = count > 1 ? count - 1 : nil
            if state.counts[object]?.isEmpty == true { state.counts[object] = nil }
        }
    }

    private static func removeVolume(_ state: inout State, _ volume: Vertex) {
        state.claims[volume] = nil
        for secret in state.volumes.removeValue(forKey: volume) ?? [] {
            state.secrets[secret]?.remove(volume)
            if state.secrets[secret]?.isEmpty == true { state.secrets[secret] = nil }
        }
    }
}
