#if !SIMULATION
    import CStateStore
    import Glibc
    import PluginAPI

    /// A thread of the kernel: named, with a small stack, joined by its owner.
    struct KernelThread: Sendable {
        private let identity: pthread_t

        private final class Body {
            let name: String
            let run: @Sendable () -> Void
            init(name: String, run: @escaping @Sendable () -> Void) {
                self.name = name
                self.run = run
            }
        }

        /// Starts `body`. `name` is cut to 15 bytes, as the system shows it. The stack is touched as it is used. All signals
        /// stay with the threads that the process chose for them: they are blocked here.
        init(name: String, stackSize: Int = 512 << 10, _ body: @escaping @Sendable () -> Void) throws(StoreError) {
            var attributes = pthread_attr_t()
            pthread_attr_init(&attributes)
            pthread_attr_setstacksize(&attributes, stackSize)
            defer { pthread_attr_destroy(&attributes) }
            let argument = Unmanaged.passRetained(Body(name: name, run: body)).toOpaque()
            var thread = pthread_t()
            var all = sigset_t()
            var before = sigset_t()
            sigfillset(&all)
            pthread_sigmask(SIG_SETMASK, &all, &before)
            let result = pthread_create(
                &thread, &attributes,
                { argument in
                    guard let argument else { return nil }
                    let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                    store_thread_name(String(body.name.prefix(15)))
                    body.run()
                    return nil
                }, argument)
            pthread_sigmask(SIG_SETMASK, &before, nil)
            guard result == 0 else {
                Unmanaged<Body>.fromOpaque(argument).release()
                throw StoreError(
                    HOSTD_ERROR_RESOURCE_EXHAUSTED,
                    "cannot start thread \(name): \(errorText(result)); raise the limit of processes and threads",
                    retryable: true)
            }
            identity = thread
        }

        /// Waits for the end of the thread. Call once, or `detach`.
        func join() { pthread_join(identity, nil) }
        /// Lets the thread free itself when it ends.
        func detach() { pthread_detach(identity) }

        /// Which thread runs now; only for comparison.
        static var current: UInt { UInt(pthread_self()) }
    }
#endif
