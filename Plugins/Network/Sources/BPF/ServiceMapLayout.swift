import PodNetworking

// Keys and values of the maps in Plugins/Network/BPF/service.h, byte for byte; sizes are checked against the loaded
// maps. Addresses and ports are in network byte order.

struct FrontendKey: Hashable, BitwiseCopyable {
    var address: UInt32
    var port: UInt16
    var transport: UInt8
    var padding: UInt8 = 0

    init(_ frontend: Frontend) {
        address = (frontend.address?.value ?? 0).bigEndian
        port = frontend.port.bigEndian
        transport = frontend.transport.rawValue
    }
}

struct FrontendValue: BitwiseCopyable {
    var set: UInt32
    var count: UInt32
    var affinitySeconds: UInt32
    var turn: UInt32 = 0
}

struct BackendKey: Hashable, BitwiseCopyable {
    var set: UInt32
    var slot: UInt32
}

struct BackendValue: Hashable, BitwiseCopyable {
    var address: UInt32
    var port: UInt16
    var padding: UInt16 = 0

    init(_ endpoint: Endpoint) {
        address = endpoint.address.value.bigEndian
        port = endpoint.port.bigEndian
    }
}

struct MemberKey: Hashable, BitwiseCopyable {
    var set: UInt32
    var backend: BackendValue
}

struct ReverseKey: Hashable, BitwiseCopyable {
    var socket: UInt64
    var backend: BackendValue
}

struct ReverseValue: BitwiseCopyable {
    var address: UInt32
    var port: UInt16
    var padding: UInt16 = 0
}

/// Kinds of network namespaces whose sockets are routed.
enum NamespaceKind: UInt32 {
    case pod = 1
    case host = 2
}
