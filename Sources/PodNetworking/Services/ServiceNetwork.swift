import Objects
import PluginKit
import Synchronization

/// Keeps the table of services and has the routers carry out its changes.
package final class ServiceNetwork: Sendable {
    private let routers: [any ServiceRouter]
    private let log: Log
    private struct State {
        var table = ServiceTable()
        /// False until all routers show what the table says: at first, and after a router has failed.
        var isTrue = false
        /// Whether all services have been given once.
        var isComplete = false
    }
    private let state = Mutex(State())

    package init(routers: [any ServiceRouter], log: Log) {
        self.routers = routers
        self.log = log
    }

    /// Number of services that are routed.
    package var count: Int { state.withLock { $0.table.serviceCount } }

    /// All services, as they were given; nil before they have been.
    package var services: [Service]? {
        state.withLock { $0.isComplete ? $0.table.services.values.sorted { $0.key < $1.key } : nil }
    }

    /// Whether the routers show all services.
    package var isComplete: Bool { state.withLock { $0.isComplete && $0.isTrue } }

    /// Takes services over; see services_set in hostd/roles/network.h.
    package func update(_ services: [Service], removed: [String], full: Bool) throws {
        try state.withLock { state in
            let changes = state.table.update(services, removed: removed, full: full)
            if full { state.isComplete = true }
            for conflict in changes.conflicts { log.warning("a service address is not routed: \(conflict)") }
            let isTrue = state.isTrue
            if isTrue && changes.isEmpty { return }
            state.isTrue = false
            let routes = isTrue ? [] : state.table.routes
            var failure: (any Error)?
            for router in routers {
                do {
                    if isTrue { try router.apply(changes) } else { try router.replaceAll(routes) }
                } catch {
                    failure = failure ?? error
                }
            }
            if let failure { throw failure }
            state.isTrue = true
        }
    }
}
