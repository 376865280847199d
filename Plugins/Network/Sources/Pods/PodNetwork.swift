import PodNetworking
import Glibc
import Objects
import PluginKit
import Synchronization

/// The addresses and links of pods: attach, check, detach and the removal of leftovers.
///
/// Every attachment is written down before anything is made for it and forgotten after everything has gone, so that a
/// crash at any point leaves nothing that nobody knows of. Attaches follow one another, as the kernel's own lock on
/// interfaces would have them do anyway. A detached pod's link is removed a moment later, and only then its address is free.
final class PodNetwork: Sendable {
    private let settings: NetworkSettings
    private let links: any LinkControl
    private let store: AttachmentStore
    private let routers: [any ServiceRouter]
    private let bridge: Bridge
    private struct State {
        var attachments: [String: Attachment]
        var allocator: AddressAllocator
        /// Sandboxes whose links are just being removed.
        var leaving: Set<String> = []
        /// When the attachments of this run were made, in monotonic nanoseconds.
        var made: [String: UInt64] = [:]
    }
    private let state: Mutex<State>
    private let reaper = Mutex<LinkReaper?>(nil)
    private let log: Log?

    /// - Parameter attachments: what the store holds.
    init(
        settings: NetworkSettings, links: any LinkControl, store: AttachmentStore, routers: [any ServiceRouter],
        bridge: Bridge, attachments: [Attachment], log: Log? = nil
    ) throws {
        self.settings = settings
        self.links = links
        self.store = store
        self.routers = routers
        self.bridge = bridge
        self.log = log
        var allocator = AddressAllocator(range: settings.podRange, last: store.lastAddress())
        for attachment in attachments { _ = allocator.adopt(attachment.address) }
        state = Mutex(
            State(
                attachments: Dictionary(attachments.map { ($0.sandbox, $0) }, uniquingKeysWith: { first, _ in first }),
                allocator: allocator))
        let made = try LinkReaper { [weak self] in self?.remove($0) }
        reaper.withLock { $0 = made }
    }

    /// Removes the links that still have to go and ends the thread that does so. Once, at the end.
    func stop() { reaper.withLock { $0 }?.stop() }

    /// Waits until the links of detached pods are gone.
    func settle() { reaper.withLock { $0 }?.drain() }

    /// All attachments with everything that another provider has to know of them.
    var attachments: [Attachment] {
        state.withLock { state in
            state.attachments.values.sorted { $0.sandbox < $1.sandbox }.map { attachment in
                var attachment = attachment
                attachment.prefixLength = attachment.prefixLength ?? settings.podRange.prefixLength
                attachment.gateway = attachment.gateway ?? settings.gateway
                return attachment
            }
        }
    }

    var lastAddress: IPv4Address { state.withLock { $0.allocator.last } }

    /// Addresses in use and in all.
    var addressCounts: (used: Int, capacity: Int) {
        state.withLock { ($0.allocator.used.count, $0.allocator.capacity) }
    }

    /// Gives a sandbox its link and address, or what it has already. About 1 ms.
    func attach(_ request: AttachmentRequest) throws -> JSON {
        guard !request.networkNamespace.isEmpty else { throw NetworkError.invalid("networkNamespace is missing") }
        // The last addresses may be just about to become free.
        if state.withLock({ $0.allocator.used.count >= $0.allocator.capacity && !$0.leaving.isEmpty }) { settle() }
        return try state.withLock { state in
            guard !state.leaving.contains(request.sandbox) else { throw NetworkError.leaving(request.sandbox) }
            let attachment: Attachment
            if let existing = state.attachments[request.sandbox] {
                attachment = try complete(existing, for: request, &state)
            } else {
                attachment = try create(request, &state)
            }
            return result(of: attachment)
        }
    }

    private func create(_ request: AttachmentRequest, _ state: inout State) throws -> Attachment {
        try checkPorts(of: request, state)
        let address = try state.allocator.allocate()
        var attachment = Attachment(request, address: address)
        do {
            try store.save(attachment)
            try store.saveLastAddress(address)
            attachment.namespaceCookie = try links.connect(linkRequest(for: attachment))
            try store.save(attachment)
            for router in routers { try router.add(attachment) }
        } catch {
            undo(attachment, &state)
            throw error
        }
        state.attachments[attachment.sandbox] = attachment
        state.made[attachment.sandbox] = monotonicNanoseconds()
        return attachment
    }

    /// Takes back a failed attach; the failure itself is what the caller reports. What cannot be taken back now is
    /// found by collect_garbage, because its record stays.
    private func undo(_ attachment: Attachment, _ state: inout State) {
        do {
            try release(attachment)
            state.allocator.release(attachment.address)
        } catch {
            state.attachments[attachment.sandbox] = attachment
        }
    }

    /// An attach of a known sandbox: the same result, and the link again where it is missing.
    private func complete(_ existing: Attachment, for request: AttachmentRequest, _ state: inout State) throws
        -> Attachment
    {
        guard existing.interfaceName == request.interfaceName else {
            throw NetworkError.attachedDifferently(
                sandbox: request.sandbox, reason: "its interface is \(existing.interfaceName)")
        }
        var attachment = existing.requested(by: request)
        let link = linkRequest(for: attachment)
        let found = try links.inspect(link)
        if !found.isConnected || !found.addresses.contains(attachment.address) {
            guard !isForeign(attachment) else {
                throw NetworkError.damaged(
                    sandbox: attachment.sandbox,
                    reason: "another network made its link, which is gone; make the sandbox anew")
            }
            try links.disconnect(hostName: attachment.hostName, address: attachment.address, bridgeIndex: bridge.index)
            attachment.namespaceCookie = try links.connect(link)
        } else {
            attachment.namespaceCookie = found.namespaceCookie
        }
        if attachment != existing {
            for router in routers { try router.remove(existing) }
            try store.save(attachment)
        }
        for router in routers { try router.add(attachment) }
        state.attachments[attachment.sandbox] = attachment
        return attachment
    }

    private func checkPorts(of request: AttachmentRequest, _ state: State) throws {
        guard !request.portMappings.isEmpty else { return }
        for other in state.attachments.values where !state.leaving.contains(other.sandbox) {
            for taken in other.portMappings {
                let clash = request.portMappings.contains { $0.clashes(with: taken) }
                if clash { throw NetworkError.portTaken(taken.hostPort, taken.transport, by: other.sandbox) }
            }
        }
    }

    /// Throws unless link and address are as attach left them.
    func check(_ request: AttachmentRequest) throws {
        try state.withLock { state in
            guard let attachment = state.attachments[request.sandbox], !state.leaving.contains(request.sandbox) else {
                throw NetworkError.unknownSandbox(request.sandbox)
            }
            let found = try links.inspect(linkRequest(for: attachment))
            func damaged(_ reason: String) -> NetworkError { .damaged(sandbox: request.sandbox, reason: reason) }
            guard found.isConnected else {
                throw damaged(
                    "the link \(attachment.hostName) is missing, down, or not on the bridge \(settings.bridge)")
            }
            guard found.addresses.contains(attachment.address) else {
                throw damaged("\(attachment.interfaceName) lacks the address \(attachment.address)")
            }
        }
    }

    /// Takes a sandbox off the network; its link goes, and its address becomes free, a moment later. An unknown sandbox
    /// may have a link without a record.
    func detach(sandbox: String) throws {
        let attachment = state.withLock { state -> Attachment? in
            guard let attachment = state.attachments[sandbox] else { return nil }
            return state.leaving.insert(sandbox).inserted ? attachment : nil
        }
        guard let attachment else {
            if state.withLock({ $0.leaving.contains(sandbox) }) { return }
            return try links.disconnect(
                hostName: Attachment.hostName(sandbox: sandbox), address: nil, bridgeIndex: bridge.index)
        }
        do {
            for router in routers { try router.remove(attachment) }
        } catch {
            state.withLock { _ = $0.leaving.remove(sandbox) }
            throw error
        }
        reaper.withLock { $0 }?.add(attachment)
    }

    /// Removes links and then what is known of them. What fails keeps its record, for the next collection of garbage.
    private func remove(_ batch: [Attachment]) {
        do {
            try links.disconnect(batch.map { ($0.hostName, $0.address) }, bridgeIndex: bridge.index)
            for attachment in batch {
                try store.remove(sandbox: attachment.sandbox)
                state.withLock { state in
                    state.leaving.remove(attachment.sandbox)
                    state.made[attachment.sandbox] = nil
                    state.attachments[attachment.sandbox] = nil
                    state.allocator.release(attachment.address)
                }
            }
        } catch {
            log?.error("links of pods could not be removed: \(error)", ["links": JSON(batch.map(\.hostName))])
            state.withLock { state in
                for attachment in batch { state.leaving.remove(attachment.sandbox) }
            }
        }
    }

    private func release(_ attachment: Attachment) throws {
        for router in routers { try router.remove(attachment) }
        try links.disconnect(hostName: attachment.hostName, address: attachment.address, bridgeIndex: bridge.index)
        try store.remove(sandbox: attachment.sandbox)
    }

    /// Detaches everything but the given sandboxes, links without a record included, and returns what was detached.
    ///
    /// The caller's list is a picture of a moment that has passed: a sandbox attached meanwhile is not in it. What was
    /// attached less than `grace` nanoseconds ago is therefore left to the next collection.
    func collectGarbage(keeping valid: Set<String>, grace: UInt64 = 60_000_000_000) throws -> [String] {
        let known = state.withLock { state in
            // Read under the lock: what was attached is then never later than now.
            let now = monotonicNanoseconds()
            return state.attachments.keys.filter { sandbox in
                state.made[sandbox].map { now - $0 >= grace } ?? true && !state.leaving.contains(sandbox)
            }.sorted()
        }
        var removed: [String] = []
        for sandbox in known where !valid.contains(sandbox) {
            try detach(sandbox: sandbox)
            removed.append(sandbox)
        }
        for port in try links.ports(of: bridge.index) {
            guard let sandbox = Attachment.sandbox(alias: port.alias), !valid.contains(sandbox),
                !removed.contains(sandbox), state.withLock({ $0.attachments[sandbox] == nil })
            else { continue }
            try links.disconnect(hostName: port.name, address: nil, bridgeIndex: bridge.index)
            removed.append(sandbox)
        }
        return removed
    }

    private func linkRequest(for attachment: Attachment) -> PodLinkRequest {
        let gateway = attachment.gateway ?? settings.gateway
        let range = attachment.prefixLength.map { IPv4Range(around: attachment.address, prefixLength: $0) }
        return PodLinkRequest(
            hostName: attachment.hostName, alias: Attachment.alias(sandbox: attachment.sandbox),
            podName: attachment.interfaceName, networkNamespace: attachment.networkNamespace,
            address: attachment.address, podRange: range ?? settings.podRange, gateway: gateway,
            gatewayMAC: bridge.macAddress, macAddress: attachment.macAddress,
            bridgeIndex: isForeign(attachment) ? 0 : bridge.index, mtu: settings.mtu)
    }

    /// Whether another provider has put the pod into a network of its own, apart from the bridge.
    private func isForeign(_ attachment: Attachment) -> Bool {
        attachment.gateway.map { $0 != settings.gateway } ?? false
    }

    private func result(of attachment: Attachment) -> JSON {
        attachment.result(range: settings.podRange, gateway: settings.gateway)
    }
}
