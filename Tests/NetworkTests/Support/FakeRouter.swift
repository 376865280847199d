import Glibc
import Synchronization

@testable import Network
@testable import PodNetworking

/// `ServiceRouter` that records what it is told.
final class FakeRouter: ServiceRouter {
    struct State {
        var routes: [UInt32: ServiceRoute] = [:]
        var pods: Set<String> = []
        var calls: [String] = []
        var failsNext = false
    }
    let state = Mutex(State())

    private func call(_ name: String, _ body: (inout State) -> Void) throws {
        try state.withLock { state in
            state.calls.append(name)
            if state.failsNext {
                state.failsNext = false
                throw BPFError(code: E2BIG, request: name)
            }
            body(&state)
        }
    }

    func replaceAll(_ routes: [ServiceRoute]) throws {
        try call("replaceAll") { $0.routes = Dictionary(uniqueKeysWithValues: routes.map { ($0.id, $0) }) }
    }

    func apply(_ changes: RouteChanges) throws {
        try call("apply") { state in
            for route in changes.removed { state.routes[route.id] = nil }
            for change in changes.changed { state.routes[change.new.id] = change.new }
        }
    }

    func add(_ attachment: Attachment) throws { try call("add") { $0.pods.insert(attachment.sandbox) } }
    func remove(_ attachment: Attachment) throws { try call("remove") { $0.pods.remove(attachment.sandbox) } }
}
