import Glibc
import XCTest

/// A counting semaphore whose waits are bounded.
final class BoundedSemaphore: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): a POSIX semaphore is made for use by several threads.
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    init() { sem_init(semaphore, 0, 0) }
    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }
    func signal() { sem_post(semaphore) }
    func wait() {
        var until = timespec()
        clock_gettime(CLOCK_REALTIME, &until)
        until.tv_sec += 60
        if sem_timedwait(semaphore, &until) != 0 { XCTFail("nothing came in a minute") }
    }
}
