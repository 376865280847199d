import CEpoll
import Glibc
import Objects

/// Sockets to pods, always with an end in time.
enum PodSocket {
    /// A nonblocking socket on its way to an address; `isConnected` when there was no need to wait.
    static func connect(host: String, port: Int) throws -> (descriptor: Int32, isConnected: Bool) {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &list)
        guard code == 0, let address = list else {
            throw HookError(description: "\"\(host)\" is not an address: \(String(cString: gai_strerror(code)))")
        }
        defer { freeaddrinfo(list) }
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = try SystemError.check("socket", host) { socket(address.pointee.ai_family, kind, 0) }
        // A reset instead of TIME_WAIT: probes come by the thousand.
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
        if Glibc.connect(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0 {
            return (descriptor, true)
        }
        if errno == EINPROGRESS { return (descriptor, false) }
        let failure = SystemError("dial tcp", "\(host):\(port)")
        close(descriptor)
        throw failure
    }

    /// The error of a connect that has ended; 0 when it succeeded.
    static func pendingError(_ descriptor: Int32) -> Int32 {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0 ? code : errno
    }
}

/// One request of a lifecycle hook, on a thread that may wait.
enum HTTPExchange {
    /// Returns once there is an answer, whatever its status: a hook is told that something happens, it is not asked.
    /// - Parameter isCancelled: asked once a second; the exchange is then broken off without an error.
    static func get(
        _ action: JSON, at place: HTTPPlace, timeoutSeconds: Double, isCancelled: () -> Bool
    ) throws {
        let end = ProbeTask.clock() + timeoutSeconds
        let (descriptor, _) = try PodSocket.connect(host: place.host, port: place.port)
        defer { close(descriptor) }
        let request = HTTPProbeRequest.build(action, at: place, program: "lifecycle")
        var connection = ProbeConnection(
            task: 0, exchange: .answer(request: request, url: place.url), place: place, deadline: end,
            transport: ProbeTransport(descriptor: descriptor, isTLS: place.isTLS))
        while !isCancelled() {
            let left = end - ProbeTask.clock()
            guard left > 0 else { throw HookError(description: "Get \"\(place.url)\": no answer in time") }
            var entry = pollfd(
                fd: descriptor, events: Int16(connection.wantsOutput ? POLLOUT : POLLIN), revents: 0)
            guard poll(&entry, 1, Int32(min(left, 1) * 1000) + 1) > 0 else { continue }
            switch connection.advance() {
            case .needsMore: continue
            case .succeeded, .redirected: return
            case .failed(let message): throw HookError(description: message)
            }
        }
    }
}
