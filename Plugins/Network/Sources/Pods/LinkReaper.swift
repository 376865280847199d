import PodNetworking
import Glibc

/// Removes the links of detached pods, on a thread of its own and many at a time.
///
/// The kernel takes tens of milliseconds to remove a link, and holds its lock on interfaces meanwhile: whoever detaches
/// should not wait for it, and a batch takes little longer than one.
final class LinkReaper: @unchecked Sendable {
    // SAFETY: the mutex guards everything that changes; `handler` and `thread` are set before the thread can use them.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let handler: ([Attachment]) -> Void
    private var pending: [Attachment] = []
    private var isBusy = false
    private var isStopping = false
    private var thread = pthread_t()

    /// Starts the thread. `handler` removes a batch; it reports failures itself.
    init(handler: @escaping ([Attachment]) -> Void) throws {
        self.handler = handler
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, 256 * 1024)
        let context = Unmanaged.passRetained(self)
        let status = pthread_create(
            &thread, &attributes,
            { context in
                guard let context else { return nil }
                Unmanaged<LinkReaper>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context.toOpaque())
        guard status == 0 else {
            context.release()
            throw NetlinkError(code: status, request: "start a thread", explanation: "")
        }
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(condition)
        mutex.deallocate()
        condition.deallocate()
    }

    /// Removes a link soon.
    func add(_ attachment: Attachment) {
        pthread_mutex_lock(mutex)
        pending.append(attachment)
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }

    /// Waits until everything added so far has been removed, or has failed to be.
    func drain() {
        pthread_mutex_lock(mutex)
        while isBusy || !pending.isEmpty { pthread_cond_wait(condition, mutex) }
        pthread_mutex_unlock(mutex)
    }

    /// Removes what is left and ends the thread. Once, and not from the handler.
    func stop() {
        pthread_mutex_lock(mutex)
        isStopping = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
        pthread_join(thread, nil)
    }

    private func run() {
        pthread_mutex_lock(mutex)
        while true {
            while pending.isEmpty && !isStopping { pthread_cond_wait(condition, mutex) }
            if pending.isEmpty { break }
            let batch = pending
            pending = []
            isBusy = true
            pthread_mutex_unlock(mutex)
            handler(batch)
            pthread_mutex_lock(mutex)
            isBusy = false
            pthread_cond_broadcast(condition)
        }
        pthread_mutex_unlock(mutex)
    }
}
