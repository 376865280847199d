import Glibc
import Synchronization

@testable import PodNetworking

/// `LinkControl` without a kernel: keeps links in memory, records the calls, and fails where it is told to.
final class FakeLinks: LinkControl {
    struct State {
        var calls: [String] = []
        var links: [String: PodLinkRequest] = [:]
        /// errno of the next call of this name.
        var failures: [String: Int32] = [:]
        var nextCookie: UInt64 = 100
        var cookies: [String: UInt64] = [:]
        /// Addresses that somebody has taken off the pods' ends.
        var isFlushed = false
        var foreignPorts: [(name: String, alias: String)] = []
    }
    let state = Mutex(State())
    let namespaceCookie: UInt64 = 1

    private func call(_ name: String, _ detail: String = "") throws {
        try state.withLock { state in
            state.calls.append(detail.isEmpty ? name : "\(name) \(detail)")
            if let code = state.failures.removeValue(forKey: name) {
                throw NetlinkError(code: code, request: name, explanation: "")
            }
        }
    }

    func ensureBridge(_ request: BridgeRequest) throws -> Bridge {
        try call("ensureBridge")
        return Bridge(index: 5, macAddress: request.macAddress)
    }

    func removeBridge(named name: String) throws { try call("removeBridge", name) }

    func connect(_ request: PodLinkRequest) throws -> UInt64 {
        try call("connect", "\(request.hostName) \(request.address)")
        return state.withLock { state in
            state.links[request.hostName] = request
            state.isFlushed = false
            let cookie = state.cookies[request.networkNamespace] ?? state.nextCookie
            state.cookies[request.networkNamespace] = cookie
            state.nextCookie += 1
            return cookie
        }
    }

    func adopt(_ request: PodLinkRequest) throws -> UInt64 {
        try call("adopt", "\(request.hostName) \(request.address)")
        return state.withLock { state in
            state.links[request.hostName] = request
            return state.cookies[request.networkNamespace] ?? 0
        }
    }

    func namespaceCookie(of path: String) throws -> UInt64 { state.withLock { $0.cookies[path] ?? 0 } }

    func inspect(_ request: PodLinkRequest) throws -> PodLinkState {
        try call("inspect", request.hostName)
        return state.withLock { state in
            let link = state.links[request.hostName]
            return PodLinkState(
                isConnected: link != nil, addresses: state.isFlushed ? [] : link.map { [$0.address] } ?? [],
                namespaceCookie: state.cookies[request.networkNamespace] ?? 0)
        }
    }

    func disconnect(hostName: String, address: IPv4Address?, bridgeIndex: Int32) throws {
        try call("disconnect", hostName)
        state.withLock { $0.links[hostName] = nil }
    }

    func disconnect(_ links: [(hostName: String, address: IPv4Address)], bridgeIndex: Int32) throws {
        for link in links { try disconnect(hostName: link.hostName, address: link.address, bridgeIndex: bridgeIndex) }
    }

    func ports(of bridgeIndex: Int32) throws -> [(name: String, alias: String)] {
        try call("ports")
        return state.withLock { state in
            state.links.values.map { ($0.hostName, $0.alias) } + state.foreignPorts
        }
    }

    func hostAddresses() throws -> [IPv4Address] { [] }
    func primaryAddress() throws -> IPv4Address? { nil }
}
