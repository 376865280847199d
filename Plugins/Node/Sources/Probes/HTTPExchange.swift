import Glibc

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

/// One HTTP request over a connection of its own; blocks its thread, for hooks.
enum HTTPExchange {
    /// The status code.
    static func get(host: String, port: Int, request: [UInt8], timeoutSeconds: Double) throws -> Int {
        let end = WallClock.now() + timeoutSeconds
        let (descriptor, _) = try PodSocket.connect(host: host, port: port)
        defer { close(descriptor) }
        try wait(descriptor, Int16(POLLOUT), until: end)
        let code = PodSocket.pendingError(descriptor)
        guard code == 0 else { throw SystemError("dial tcp", "\(host):\(port)", code: code) }
        var sent = 0
        while sent < request.count {
            let count = request.withUnsafeBytes {
                send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
            } else if errno == EAGAIN {
                try wait(descriptor, Int16(POLLOUT), until: end)
            } else if errno != EINTR {
                throw SystemError("send", host)
            }
        }
        var received: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 2048)
        while true {
            try wait(descriptor, Int16(POLLIN), until: end)
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 {
                if errno == EAGAIN || errno == EINTR { continue }
                throw SystemError("read", host)
            }
            received += chunk[..<count]
            if let status = HTTPProbeRequest.status(received) { return status }
            if count == 0 { throw HookError(description: "the connection was closed without a response") }
        }
    }

    private static func wait(_ descriptor: Int32, _ events: Int16, until end: Double) throws {
        let left = end - WallClock.now()
        var entry = pollfd(fd: descriptor, events: events, revents: 0)
        guard left > 0, poll(&entry, 1, Int32(left * 1000) + 1) > 0 else {
            throw HookError(description: "no answer in time")
        }
    }
}
