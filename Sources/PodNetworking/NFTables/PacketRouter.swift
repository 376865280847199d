import Glibc
import Synchronization

/// `ServiceRouter` by nf_tables: destination address translation for every packet that enters the host's network
/// namespace or begins there. Serves the host itself, other machines, and those pods' sockets that eBPF does not see.
package final class PacketRouter: ServiceRouter {
    private let table: FilterTable
    private let socket: NetlinkSocket
    private struct State {
        var routes: [UInt32: ServiceRoute] = [:]
        var pods: [String: Attachment] = [:]
        var services = FilterServices()
        /// False while the kernel shows what an earlier run left, or nothing: the first change writes everything anew,
        /// in one step.
        var isWritten = false
    }
    private let state: Mutex<State>

    /// Works in the calling thread's network namespace. A table of an earlier run is left as it is, so that what it
    /// routes is routed on. Throws when the kernel lacks nf_tables.
    /// - Parameter waitsForServices: makes no table before the services are known, because an empty one would refuse
    ///   what somebody else routes at the moment.
    package init(table: FilterTable, pods: [Attachment], waitsForServices: Bool = false) throws {
        self.table = table
        socket = try NetlinkSocket(family: NetlinkFamily.NETLINK_NETFILTER)
        var initial = State()
        for pod in pods { initial.pods[pod.sandbox] = pod }
        state = Mutex(initial)
        let isThere = try FilterTables.exists(table.name, by: socket)
        if !isThere && !waitsForServices { try state.withLock { try rewrite(&$0) } }
    }

    package func replaceAll(_ routes: [ServiceRoute]) throws {
        try state.withLock { state in
            state.routes = Dictionary(routes.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
            try rewrite(&state)
        }
    }

    package func apply(_ changes: RouteChanges) throws {
        try state.withLock { state in
            for route in changes.removed { state.routes[route.id] = nil }
            for change in changes.changed { state.routes[change.new.id] = change.new }
            try edit(&state) { services, batch in
                for route in changes.removed { services.remove(route, from: &batch) }
                for change in changes.changed { services.set(change.new, replacing: change.old, in: &batch) }
            }
            try FilterAffinity.forget(FilterAffinity.lost(changes), table: table.name, by: socket)
            try ConnectionTracking.forget(ConnectionTracking.stale(changes, refused: table.serviceRange), by: socket)
        }
    }

    package func add(_ attachment: Attachment) throws {
        try state.withLock { state in
            guard state.pods[attachment.sandbox] != attachment else { return }
            let old = state.pods.updateValue(attachment, forKey: attachment.sandbox)
            try editPods(&state) { batch in
                if let old { FilterPods.remove(old, from: &batch) }
                FilterPods.add(attachment, to: &batch)
            }
        }
    }

    package func remove(_ attachment: Attachment) throws {
        try state.withLock { state in
            guard let old = state.pods.removeValue(forKey: attachment.sandbox) else { return }
            try editPods(&state) { FilterPods.remove(old, from: &$0) }
        }
    }

    /// Deletes the table.
    package func removeTable() throws {
        try state.withLock { state in
            try FilterTables.remove(table.name, by: socket)
            state.isWritten = false
        }
    }

    /// As `edit`, but leaves the services of an earlier run in place until the present ones are known. What the table of
    /// then has or lacks of a pod does not matter meanwhile: the coming rewrite sets it right.
    private func editPods(_ state: inout State, _ body: (inout FilterBatch) -> Void) throws {
        if state.isWritten { return try edit(&state) { _, batch in body(&batch) } }
        var batch = FilterBatch(table: table.name)
        body(&batch)
        try socket.transact(batch.finished(), tolerating: [ENOENT, EEXIST, EBUSY])
    }

    /// Changes what is there; writes everything anew when it is an earlier run's or somebody else has changed it.
    private func edit(
        _ state: inout State, _ body: (inout FilterServices, inout FilterBatch) -> Void
    ) throws {
        guard state.isWritten else { return try rewrite(&state) }
        var batch = FilterBatch(table: table.name)
        body(&state.services, &batch)
        do {
            try socket.transact(batch.finished())
        } catch let error as NetlinkError {
            // What the kernel has is no longer what `services` says.
            state.isWritten = false
            guard error.code == ENOENT || error.code == EEXIST || error.code == EBUSY else { throw error }
            try rewrite(&state)
        }
    }

    /// Replaces the table by one with exactly the routes and pods known, in one transaction.
    private func rewrite(_ state: inout State) throws {
        var batch = FilterBatch(table: table.name)
        batch.addTable()
        batch.deleteTable()
        table.addSkeleton(to: &batch)
        state.isWritten = false
        state.services = FilterServices()
        for route in state.routes.values.sorted(by: { $0.id < $1.id }) {
            state.services.set(route, replacing: nil, in: &batch)
        }
        for pod in state.pods.values { FilterPods.add(pod, to: &batch) }
        try socket.transact(batch.finished())
        state.isWritten = true
    }
}

/// Whole tables of the packet filter, by name.
enum FilterTables {
    static func exists(_ name: String, by socket: NetlinkSocket) throws -> Bool {
        var batch = NetlinkBatch()
        batch.message(
            NFT.NFNL_SUBSYS_NFTABLES << 8 | NFT.NFT_MSG_GETTABLE, NetlinkFlag.NLM_F_ACK, label: "find table \(name)")
        batch.append([NFT.NFPROTO_IPV4, 0, 0, 0])
        batch.attribute(NFT.NFTA_TABLE_NAME, text: name)
        batch.end()
        return try !socket.transact(batch, tolerating: [ENOENT]).isEmpty
    }

    /// What is gone already is success. Connections that the table has translated go on: the kernel remembers them.
    static func remove(_ name: String, by socket: NetlinkSocket) throws {
        var batch = FilterBatch(table: name)
        batch.addTable()
        batch.deleteTable()
        try socket.transact(batch.finished())
    }
}
