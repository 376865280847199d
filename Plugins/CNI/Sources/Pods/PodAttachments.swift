import Glibc
import Objects
import PluginKit
import PodNetworking
import Synchronization

/// The pods' places in the network: attach, check, detach and the removal of leftovers, by CNI plugins.
///
/// Plugins run without a lock held, so pods are attached side by side; of one sandbox only one thing is done at a time.
final class PodAttachments: Sendable {
    private let settings: CNISettings
    private let list: NetworkList
    private let chain: PluginChain
    private let links: any LinkControl
    private let bridge: Bridge
    private let store: AttachmentStore
    private let journal: AttachmentJournal
    private let addresses: HostLocalAddresses?
    private let router: any ServiceRouter
    private let log: Log?
    private struct State {
        var attachments: [String: Attachment]
        var entries: [String: AttachmentJournal.Entry]
        /// Sandboxes for which plugins run.
        var busy: Set<String> = []
        /// When the attachments of this run were made, in monotonic nanoseconds.
        var made: [String: UInt64] = [:]
    }
    private let state: Mutex<State>

    /// - Parameter attachments: what the store holds, whoever made it.
    init(
        settings: CNISettings, list: NetworkList, chain: PluginChain, links: any LinkControl, bridge: Bridge,
        store: AttachmentStore, router: any ServiceRouter, attachments: [Attachment], log: Log?
    ) throws {
        self.settings = settings
        self.list = list
        self.chain = chain
        self.links = links
        self.bridge = bridge
        self.store = store
        self.router = router
        self.log = log
        journal = AttachmentJournal(directory: "\(settings.directory)/journal")
        addresses = HostLocalAddresses(list)
        try journal.prepare()
        let (entries, unreadable) = try journal.load()
        for name in unreadable { log?.error("an entry of the journal cannot be read", ["file": .string(name)]) }
        state = Mutex(
            State(
                attachments: Dictionary(attachments.map { ($0.sandbox, $0) }, uniquingKeysWith: { first, _ in first }),
                entries: entries))
    }

    /// All attachments with everything that another provider has to know of them.
    var all: [Attachment] {
        state.withLock { state in
            state.attachments.values.sorted { $0.sandbox < $1.sandbox }.map { attachment in
                var attachment = attachment
                attachment.prefixLength = attachment.prefixLength ?? settings.podRange.prefixLength
                attachment.gateway = attachment.gateway ?? settings.gateway
                return attachment
            }
        }
    }

    var count: Int { state.withLock { $0.attachments.count } }

    func lastAddress() throws -> IPv4Address? { try addresses?.last() }

    /// Takes over what there is: undoes what another provider has detached meanwhile, and has the address management
    /// know all pods' addresses.
    /// - Parameter last: the address that the provider before gave last.
    func adopt(last: IPv4Address?) throws {
        let (attachments, entries) = state.withLock { (Array($0.attachments.values), $0.entries) }
        let known = Set(attachments.map(\.sandbox))
        for (sandbox, entry) in entries where !known.contains(sandbox) && entry.result != nil {
            do {
                // The path may name another pod's namespace by now.
                try chain.delete(entry.list, entry.request.withoutNamespace, result: entry.result, deadline: 0)
                try forget(sandbox)
            } catch {
                log?.warning("what a CNI plugin left of a pod is kept: \(error)", ["sandbox": .string(sandbox)])
            }
        }
        guard let addresses else {
            if !attachments.isEmpty {
                log?.warning("the network's address management is not host-local and does not know the pods there are")
            }
            return
        }
        let own = addresses.directory.hasPrefix(settings.directory)
        let waiting = state.withLock { Set($0.entries.keys) }
        try addresses.adopt(attachments, last: last) { own && !waiting.contains($0.container) }
    }

    private func forget(_ sandbox: String) throws {
        try journal.remove(sandbox: sandbox)
        state.withLock { $0.entries[sandbox] = nil }
    }

    /// Runs a body while nothing else is done with a sandbox.
    private func exclusively<Result>(_ sandbox: String, _ body: () throws -> Result) throws -> Result {
        guard state.withLock({ $0.busy.insert(sandbox).inserted }) else { throw NetworkError.leaving(sandbox) }
        defer { state.withLock { _ = $0.busy.remove(sandbox) } }
        return try body()
    }

    // MARK: Attach

    /// Gives a sandbox its link and address, or what it has already. As fast as the plugins are.
    func attach(_ request: AttachmentRequest, uid: String, deadline: UInt64) throws -> JSON {
        guard !request.networkNamespace.isEmpty else { throw NetworkError.invalid("networkNamespace is missing") }
        return try exclusively(request.sandbox) {
            let existing = state.withLock { $0.attachments[request.sandbox] }
            if let existing {
                guard existing.interfaceName == request.interfaceName else {
                    throw NetworkError.attachedDifferently(
                        sandbox: request.sandbox, reason: "its interface is \(existing.interfaceName)")
                }
                if let attachment = try confirm(existing, request) { return result(of: attachment) }
            }
            try checkPorts(of: request)
            // What is left of an attach that did not finish, or of a link that is broken, is undone first.
            if state.withLock({ $0.entries[request.sandbox] != nil || $0.attachments[request.sandbox] != nil }) {
                try remove(request.sandbox, namespace: request.networkNamespace, deadline: deadline)
            }
            return result(of: try add(request, uid: uid, address: existing?.address, deadline: deadline))
        }
    }

    /// An attach of a known sandbox: nil when its link is not as it should be.
    private func confirm(_ existing: Attachment, _ request: AttachmentRequest) throws -> Attachment? {
        var attachment = existing.requested(by: request)
        let found = try links.inspect(linkRequest(for: attachment))
        guard found.isConnected, found.addresses.contains(attachment.address) else { return nil }
        attachment.namespaceCookie = found.namespaceCookie
        if attachment != existing {
            try checkPorts(of: request)
            try router.remove(existing)
            try store.save(attachment)
        }
        try router.add(attachment)
        state.withLock { $0.attachments[attachment.sandbox] = attachment }
        return attachment
    }

    private func add(
        _ request: AttachmentRequest, uid: String, address: IPv4Address?, deadline: UInt64
    ) throws -> Attachment {
        var entry = AttachmentJournal.Entry(
            list: list, request: CNIRequest(request, uid: uid, address: address))
        try journal.save(entry)
        state.withLock { $0.entries[request.sandbox] = entry }
        do {
            let result = try chain.add(list, entry.request, deadline: deadline)
            entry.result = result
            try journal.save(entry)
            state.withLock { $0.entries[request.sandbox] = entry }
            let attachment = try complete(try attachment(request, entry.request, result))
            try store.save(attachment)
            try router.add(attachment)
            state.withLock { state in
                state.attachments[attachment.sandbox] = attachment
                state.made[attachment.sandbox] = monotonicNanoseconds()
            }
            return attachment
        } catch {
            undo(request)
            throw error
        }
    }

    /// Takes back a failed attach; the failure itself is what the caller reports. What cannot be taken back now is found
    /// by collect_garbage, because it stays in the journal.
    private func undo(_ request: AttachmentRequest) {
        do {
            try remove(request.sandbox, namespace: request.networkNamespace, deadline: 0)
        } catch {
            log?.warning(
                "a failed attach cannot be undone yet: \(error)", ["sandbox": .string(request.sandbox)])
        }
    }

    /// What the plugins' result says of the pod.
    private func attachment(
        _ request: AttachmentRequest, _ cni: CNIRequest, _ result: CNIResult
    ) throws(CNIError) -> Attachment {
        guard let address = result.address(cni) else {
            throw .incomplete(
                network: list.name, reason: "its plugins gave the pod no IPv4 address, and services need one")
        }
        var attachment = Attachment(request, address: address.address)
        attachment.prefixLength = address.prefixLength
        attachment.gateway = address.gateway
        attachment.hostName = result.outside?.name ?? ""
        if let mac = result.inside(cni).flatMap({ MACAddress(parsing: $0.mac) }) { attachment.macAddress = mac }
        attachment.mapsPortsItself = list.hasCapability("portMappings")
        return attachment
    }

    /// Makes a link on hostd's bridge as hostd's own are; leaves links of other networks as they are.
    private func complete(_ attachment: Attachment) throws -> Attachment {
        var attachment = attachment
        let link = linkRequest(for: attachment)
        if link.bridgeIndex != 0, try links.ports(of: bridge.index).contains(where: { $0.name == link.hostName }) {
            attachment.namespaceCookie = try links.adopt(link)
        } else {
            attachment.namespaceCookie = try links.inspect(link).namespaceCookie
            attachment.answersDirectly = list.types.first == "bridge"
        }
        return attachment
    }

    private func checkPorts(of request: AttachmentRequest) throws(NetworkError) {
        let others = state.withLock { $0.attachments.values.filter { $0.sandbox != request.sandbox } }
        for wanted in request.portMappings {
            if let other = others.first(where: { $0.portMappings.contains { $0.clashes(with: wanted) } }) {
                throw .portTaken(wanted.hostPort, wanted.transport, by: other.sandbox)
            }
        }
    }

    // MARK: Check and detach

    /// Throws unless link and address are as attach left them, by hostd's own look and by the plugins'.
    func check(_ request: AttachmentRequest, deadline: UInt64) throws {
        let (known, entry) = state.withLock { ($0.attachments[request.sandbox], $0.entries[request.sandbox]) }
        guard let attachment = known else { throw NetworkError.unknownSandbox(request.sandbox) }
        let found = try links.inspect(linkRequest(for: attachment))
        guard found.isConnected else {
            throw NetworkError.damaged(
                sandbox: request.sandbox,
                reason: "the link \(attachment.hostName) is missing, down, or not in its place")
        }
        guard found.addresses.contains(attachment.address) else {
            throw NetworkError.damaged(
                sandbox: request.sandbox, reason: "\(attachment.interfaceName) lacks the address \(attachment.address)")
        }
        if let entry, let result = entry.result {
            try chain.check(entry.list, entry.request, result: result, deadline: deadline)
        }
    }

    /// Takes a sandbox off the network and frees its address.
    func detach(sandbox: String, namespace: String?, deadline: UInt64) throws {
        try exclusively(sandbox) {
            guard state.withLock({ $0.attachments[sandbox] != nil || $0.entries[sandbox] != nil }) else {
                // A link of hostd's own network may be there without a record.
                return try links.disconnect(
                    hostName: Attachment.hostName(sandbox: sandbox), address: nil, bridgeIndex: bridge.index)
            }
            try remove(sandbox, namespace: namespace, deadline: deadline)
        }
    }

    /// Undoes all that is known of a sandbox: its routing, what plugins did, its link, and last its records.
    private func remove(_ sandbox: String, namespace: String?, deadline: UInt64) throws {
        let (attachment, entry) = state.withLock { ($0.attachments[sandbox], $0.entries[sandbox]) }
        if let attachment { try router.remove(attachment) }
        if let entry {
            let path = namespace.flatMap { $0.isEmpty ? nil : $0 } ?? entry.request.namespace
            let request = isSame(path, attachment) ? entry.request.moved(to: path) : entry.request.withoutNamespace
            try chain.delete(entry.list, request, result: entry.result, deadline: deadline)
        }
        if let attachment {
            if !attachment.hostName.isEmpty {
                try links.disconnect(
                    hostName: attachment.hostName, address: attachment.address, bridgeIndex: bridge.index)
            }
            if entry == nil { try addresses?.release(attachment) }
        }
        try store.remove(sandbox: sandbox)
        try journal.remove(sandbox: sandbox)
        state.withLock { state in
            state.attachments[sandbox] = nil
            state.entries[sandbox] = nil
            state.made[sandbox] = nil
        }
    }

    /// Whether a path still names the namespace of the pod: such as /proc/PID/ns/net may be another's by now.
    private func isSame(_ path: String, _ attachment: Attachment?) -> Bool {
        guard access(path, F_OK) == 0 else { return false }
        guard let attachment, attachment.namespaceCookie != 0 else { return true }
        do {
            return try links.namespaceCookie(of: path) == attachment.namespaceCookie
        } catch {
            return false
        }
    }

    // MARK: Garbage

    /// Detaches everything but the given sandboxes, and returns what was detached. What was attached less than `grace`
    /// nanoseconds ago may be missing in the caller's list and is left to the next time.
    func collectGarbage(
        keeping valid: Set<String>, grace: UInt64 = 60_000_000_000, deadline: UInt64 = 0
    ) throws -> [String] {
        let known = state.withLock { state in
            let now = monotonicNanoseconds()
            return Set(state.attachments.keys).union(state.entries.keys).filter { sandbox in
                state.made[sandbox].map { now - $0 >= grace } ?? true && !state.busy.contains(sandbox)
            }.sorted()
        }
        var removed: [String] = []
        for sandbox in known where !valid.contains(sandbox) {
            try detach(sandbox: sandbox, namespace: nil, deadline: deadline)
            removed.append(sandbox)
        }
        for port in try links.ports(of: bridge.index) {
            guard let sandbox = Attachment.sandbox(alias: port.alias), !valid.contains(sandbox),
                state.withLock({ $0.attachments[sandbox] == nil && $0.entries[sandbox] == nil })
            else { continue }
            try links.disconnect(hostName: port.name, address: nil, bridgeIndex: bridge.index)
            removed.append(sandbox)
        }
        let kept = state.withLock { $0.entries.values.map { ($0.request.container, $0.request.interface) } }
        try chain.collectGarbage(list, keeping: kept.sorted { $0 < $1 }, deadline: deadline)
        return removed
    }

    private func linkRequest(for attachment: Attachment) -> PodLinkRequest {
        let range = attachment.prefixLength.map { IPv4Range(around: attachment.address, prefixLength: $0) }
        let gateway = attachment.gateway ?? settings.gateway
        return PodLinkRequest(
            hostName: attachment.hostName, alias: Attachment.alias(sandbox: attachment.sandbox),
            podName: attachment.interfaceName, networkNamespace: attachment.networkNamespace,
            address: attachment.address, podRange: range ?? settings.podRange, gateway: gateway,
            gatewayMAC: bridge.macAddress, macAddress: attachment.macAddress,
            bridgeIndex: gateway == settings.gateway ? bridge.index : 0, mtu: settings.mtu)
    }

    /// The plugins' own result where there is one.
    private func result(of attachment: Attachment) -> JSON {
        state.withLock { $0.entries[attachment.sandbox]?.result?.current }
            ?? attachment.result(range: settings.podRange, gateway: settings.gateway)
    }
}
