import Glibc

/// A thread of a plugin: named, without signals, joined by its owner before the plugin is inactive.
public final class PluginThread: @unchecked Sendable {
    // SAFETY: `thread` is written once in the initialiser, before the object is shared; `isJoined` is behind `monitor`.
    private var thread = pthread_t()
    private let monitor = Monitor()
    private var isJoined = false

    private final class Body {
        let name: String
        let run: @Sendable () -> Void
        init(name: String, run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// Starts a thread. `name` has at most 15 bytes; the stack (bytes) is reserved, not committed.
    /// - Throws: RESOURCE_EXHAUSTED when the system has no thread left.
    public init(name: String, stackSize: Int = 1 << 20, _ run: @escaping @Sendable () -> Void) throws(PluginError) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, stackSize)
        let body = Unmanaged.passRetained(Body(name: name, run: run))
        let status = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                // SAFETY: pthread_create passes on the retained Body given below.
                let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                var all = sigset_t()
                sigfillset(&all)
                pthread_sigmask(SIG_BLOCK, &all, nil)
                nameThisThread(body.name)
                body.run()
                return nil
            }, body.toOpaque())
        guard status == 0 else {
            body.release()
            throw .exhausted("cannot start the thread \(name): \(String(cString: strerror(status)))")
        }
    }

    /// Waits for its end. Any number of threads may, but not this one.
    public func join() {
        monitor.locked {
            if !isJoined { pthread_join(thread, nil) }
            isJoined = true
        }
    }

    /// Whether the caller runs on this thread.
    public var isCurrent: Bool { pthread_equal(thread, pthread_self()) != 0 }
}

/// What tools show as the thread's name, cut to 15 bytes by the kernel. Nothing depends on it.
private func nameThisThread(_ name: String) {
    let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return }
    var name = name
    name.withUTF8 { _ = write(file, $0.baseAddress, $0.count) }
    close(file)
}
