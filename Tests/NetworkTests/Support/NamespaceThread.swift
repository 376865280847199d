import Glibc
import Synchronization
import XCTest

/// A thread that lives in network and mount namespaces of its own and runs what it is handed.
///
/// The namespaces go with the thread, and with them every interface, rule and mount that a test made in them.
final class NamespaceThread: @unchecked Sendable {
    // SAFETY: the condition variable's protocol below guards `work` and `isEnding`; everything else is set once.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var work: (() -> Void)?
    private var isEnding = false
    private var taskPath = ""
    private var thread = pthread_t()

    /// Path of the thread's network namespace, for others to join.
    var path: String { "\(taskPath)/ns/net" }

    /// - Throws: XCTSkip without root.
    init() throws {
        try XCTSkipUnless(geteuid() == 0, "needs root: it makes network namespaces")
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
        let context = Unmanaged.passRetained(self).toOpaque()
        guard
            pthread_create(
                &thread, nil,
                { context in
                    guard let context else { return nil }
                    Unmanaged<NamespaceThread>.fromOpaque(context).takeRetainedValue().loop()
                    return nil
                }, context) == 0
        else { throw TestFailure("no thread") }
        try run {
            var link = [CChar](repeating: 0, count: 128)
            let size = readlink("/proc/thread-self", &link, link.count)
            taskPath = "/proc/" + String(decoding: link[..<max(0, size)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            guard unshare(0x4000_0000 | 0x0002_0000) == 0 else { throw TestFailure("unshare", errno) }
            guard mount("none", "/", nil, UInt(MS_REC | MS_PRIVATE), nil) == 0 else {
                throw TestFailure("mount", errno)
            }
        }
    }

    private func loop() {
        while true {
            pthread_mutex_lock(mutex)
            while work == nil && !isEnding { pthread_cond_wait(condition, mutex) }
            let ends = work == nil
            pthread_mutex_unlock(mutex)
            if ends { return }
            work?()
            pthread_mutex_lock(mutex)
            work = nil
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }
    }

    /// Runs a body on the thread and waits for it.
    @discardableResult
    func run<Value>(_ body: () throws -> Value) throws -> Value {
        var result: Result<Value, any Error>?
        withoutActuallyEscaping(body) { body in
            pthread_mutex_lock(mutex)
            work = { result = Result { try body() } }
            pthread_cond_broadcast(condition)
            while work != nil { pthread_cond_wait(condition, mutex) }
            pthread_mutex_unlock(mutex)
        }
        guard let result else { throw TestFailure("the thread did not run") }
        return try result.get()
    }

    /// Ends the thread and its namespaces.
    func end() {
        pthread_mutex_lock(mutex)
        isEnding = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
        pthread_join(thread, nil)
    }
}

struct TestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ what: String, _ code: Int32 = 0) {
        description = code == 0 ? what : "\(what): \(String(cString: strerror(code)))"
    }
}

/// glibc shows unshare to _GNU_SOURCE alone.
private func unshare(_ flags: Int32) -> Int32 {
    guard let symbol = dlsym(nil, "unshare") else { return -1 }
    return unsafeBitCast(symbol, to: (@convention(c) (Int32) -> Int32).self)(flags)
}

/// Runs a program to its end and returns its output. For inspection by the system's own tools in tests.
@discardableResult
func shell(_ command: String) throws -> String {
    guard let pipe = popen("\(command) 2>&1", "r") else { throw TestFailure("popen", errno) }
    var output = ""
    var buffer = [CChar](repeating: 0, count: 4096)
    while fgets(&buffer, Int32(buffer.count), pipe) != nil {
        output += String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    let status = pclose(pipe)
    guard status == 0 else { throw TestFailure("\(command): \(output)") }
    return output
}
