import Objects
import PluginKit
import Synchronization

/// The group versions that other servers answer for, by where they are asked for, with what is known of them. Asking whether
/// there is any costs one atomic load.
final class AggregatedAPIs: Sendable {
    static let resource = "apiservices.apiregistration.k8s.io"

    /// What the last checks of a server have found.
    struct Knowledge: Sendable, Equatable {
        var isAvailable = false
        /// Words for clients while it is not.
        var reason = "it has not been checked yet"
        /// Its resources as aggregated discovery lists them; of the last check that found them.
        var resources: [JSON] = []
        /// Where its OpenAPI document is, version 3: the entry of its own index; empty when it has none.
        var openAPI = ""
        /// Why its OpenAPI documents cannot be read; empty when they can, and when it has none.
        var openAPIProblem = ""

        /// Whether the next check can take its time.
        var isWhole: Bool { isAvailable && openAPIProblem.isEmpty }
    }

    private struct State {
        /// By "group/version".
        var byPlace: [String: AggregatedAPI] = [:]
        var knowledge: [String: Knowledge] = [:]
        var documentProblems: [String: String] = [:]
        var generation: UInt64 = 0
    }
    private let state = Mutex(State())
    private let hasAny = Atomic(false)

    /// Advances with every change of what discovery tells.
    var generation: UInt64 { hasAny.load(ordering: .acquiring) ? state.withLock { $0.generation } : 0 }

    func find(group: String, version: String) -> AggregatedAPI? {
        guard hasAny.load(ordering: .acquiring) else { return nil }
        return state.withLock { $0.byPlace["\(group)/\(version)"] }
    }

    /// Whether there is none.
    var isEmpty: Bool { !hasAny.load(ordering: .acquiring) }

    /// The server that answers at a path: everything below "/apis/GROUP/VERSION".
    func find(_ path: RequestPath) -> AggregatedAPI? {
        guard hasAny.load(ordering: .acquiring) else { return nil }
        switch path {
        case .resource(let place): return place.group.isEmpty ? nil : find(group: place.group, version: place.version)
        case .other(let text):
            let parts = text.split(separator: "/")
            guard parts.count == 3, parts[0] == "apis" else { return nil }
            return find(group: String(parts[1]), version: String(parts[2]))
        }
    }

    /// All of them, with what is known, in the order of their names.
    var all: [(api: AggregatedAPI, knowledge: Knowledge)] {
        guard hasAny.load(ordering: .acquiring) else { return [] }
        return state.withLock { state in
            state.byPlace.values.sorted { $0.name.precedesByBytes($1.name) }.map {
                ($0, state.knowledge[$0.name] ?? Knowledge())
            }
        }
    }

    func knowledge(of api: AggregatedAPI) -> Knowledge { state.withLock { $0.knowledge[api.name] ?? Knowledge() } }

    /// Takes in an object of a name, or its end.
    /// - Returns: whether that changes which server answers.
    @discardableResult
    func update(_ name: String, _ api: AggregatedAPI?) -> Bool {
        state.withLock { state in
            let old = state.byPlace.values.first { $0.name == name }
            if let old, let api, old.isSame(as: api) { return false }
            if old == nil, api == nil { return false }
            if let old {
                state.byPlace[old.apiVersion] = nil
                state.knowledge[name] = nil
                state.documentProblems[name] = nil
            }
            if let api { state.byPlace[api.apiVersion] = api }
            state.generation += 1
            hasAny.store(!state.byPlace.isEmpty || state.generation > 0, ordering: .releasing)
            return true
        }
    }

    /// Notes what a check of `api` has found, unless another server answers by now.
    func learn(_ knowledge: Knowledge, of api: AggregatedAPI) {
        state.withLock { state in
            guard state.byPlace[api.apiVersion] === api, state.knowledge[api.name] != knowledge else { return }
            state.knowledge[api.name] = knowledge
            state.generation += 1
        }
    }

    /// Notes why the OpenAPI document of version 2 of an API cannot be read; "" when it can.
    /// - Returns: whether that is another reason than before.
    @discardableResult
    func note(documentProblem: String, of api: AggregatedAPI) -> Bool {
        state.withLock { state in
            let before = state.documentProblems.updateValue(documentProblem, forKey: api.name) ?? ""
            return before != documentProblem && !documentProblem.isEmpty
        }
    }
}
