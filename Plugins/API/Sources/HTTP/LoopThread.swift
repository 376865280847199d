import CEpoll
import Glibc

/// A thread with a stack of its own size, joined or detached by its owner.
final class LoopThread: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `thread` is written once in `init`, before the object is shared.
    private var thread = pthread_t()

    private final class Body {
        let name: String
        let run: () -> Void
        init(name: String, run: @escaping () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// Starts a thread. `name` has at most 15 bytes; the stack is reserved, not committed.
    init(name: String, stackSize: Int = 2 << 20, _ run: @escaping @Sendable () -> Void) throws(HTTPServerError) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, stackSize)
        let body = Unmanaged.passRetained(Body(name: name, run: run))
        let status = pthread_create(
            &thread, &attributes,
            { argument in
                // SAFETY: pthread_create passes on the retained Body given below.
                let body = Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue()
                pthread_setname_np(pthread_self(), body.name)
                // Signals are the main thread's; a write to a client that has gone must not raise SIGPIPE here.
                var all = sigset_t()
                sigfillset(&all)
                pthread_sigmask(SIG_BLOCK, &all, nil)
                body.run()
                return nil
            }, body.toOpaque())
        guard status == 0 else {
            body.release()
            throw .system(call: "pthread_create", code: status, detail: "thread \(name)")
        }
    }

    func join() {
        pthread_join(thread, nil)
    }

    /// The thread releases itself when it ends; it is not joined.
    func detach() {
        pthread_detach(thread)
    }
}
