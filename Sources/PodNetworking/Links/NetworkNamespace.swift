import CProcess
import Glibc
import Synchronization

/// Doors into other network namespaces.
enum NetworkNamespace {
    /// Opens a netlink route socket inside the namespace at `path`.
    static func routeSocket(path: String) throws -> NetlinkSocket {
        try socket(family: NetlinkFamily.NETLINK_ROUTE, path: path)
    }

    /// The same for an open namespace; `path` is for messages.
    static func routeSocket(descriptor: Int32, path: String) throws -> NetlinkSocket {
        try socket(family: NetlinkFamily.NETLINK_ROUTE, descriptor: descriptor, path: path)
    }

    /// Opens a netlink socket of a family inside the namespace at `path`.
    static func socket(family: Int32, path: String) throws -> NetlinkSocket {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw NetlinkError(code: errno, request: "open the network namespace \(path)", explanation: "")
        }
        defer { close(descriptor) }
        return try socket(family: family, descriptor: descriptor, path: path)
    }

    /// A thread of its own enters the namespace and ends afterwards, so that no thread that does other work is ever
    /// left in a foreign namespace, whatever fails. Costs about 50 µs.
    private static func socket(family: Int32, descriptor: Int32, path: String) throws -> NetlinkSocket {
        let outcome = Mutex<Result<NetlinkSocket, any Error>?>(nil)
        try runOnThread {
            let result = Result<NetlinkSocket, any Error> {
                guard process_enter_network_namespace(descriptor) == 0 else {
                    throw NetlinkError(code: errno, request: "enter the network namespace \(path)", explanation: "")
                }
                return try NetlinkSocket(family: family)
            }
            outcome.withLock { $0 = result }
        }
        guard let result = outcome.withLock({ $0 }) else {
            throw NetlinkError(code: EIO, request: "enter the network namespace \(path)", explanation: "no result")
        }
        return try result.get()
    }

    /// Runs a body on a short-lived thread with a small stack and waits for its end.
    private static func runOnThread(_ body: @escaping () -> Void) throws {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, 256 * 1024)
        let box = Unmanaged.passRetained(ThreadBody(body))
        var thread = pthread_t()
        let status = pthread_create(
            &thread, &attributes,
            { context in
                guard let context else { return nil }
                Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().body()
                return nil
            }, box.toOpaque())
        guard status == 0 else {
            box.release()
            throw NetlinkError(code: status, request: "start a thread", explanation: "")
        }
        pthread_join(thread, nil)
    }
}

/// Carries a closure through pthread_create.
private final class ThreadBody {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
}
