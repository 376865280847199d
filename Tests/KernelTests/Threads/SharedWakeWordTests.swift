import Glibc
import Synchronization
import XCTest

@testable import Kernel

final class SharedWakeWordTests: XCTestCase {
    /// The number of threads in this process that sleep in futex(2), as the system says.
    private func threads(named name: String, areAsleep count: Int) -> Bool {
        guard let tasks = opendir("/proc/self/task") else { return false }
        defer { closedir(tasks) }
        var asleep = 0
        while let entry = readdir(tasks) {
            let task = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let file = fopen("/proc/self/task/\(task)/stat", "r") else { continue }
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 512)
            guard fgets(&line, 512, file) != nil else { continue }
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if text.contains("(\(name)) S") { asleep += 1 }
        }
        return asleep == count
    }

    func testEverySleeperWakesOnce() throws {
        for count in [1, 2, 64] {
            let word = SharedWakeWord()
            let awake = Atomic<Int>(0)
            let threads = try (0..<count).map { _ in
                try KernelThread(name: "sleeper-\(count)") {
                    word.wait()
                    awake.add(1, ordering: .sequentiallyConsistent)
                }
            }
            let deadline = monotonicNow() + 60_000_000_000
            while !self.threads(named: "sleeper-\(count)", areAsleep: count), monotonicNow() < deadline {
                sched_yield()
            }
            XCTAssertEqual(awake.load(ordering: .sequentiallyConsistent), 0, "nobody was to wake yet")
            word.fire(for: count)
            for thread in threads { thread.join() }
            XCTAssertEqual(awake.load(ordering: .sequentiallyConsistent), count)
            word.wait()  // After it nobody sleeps.
        }
    }

    /// Those who come while it fires neither sleep for ever nor go on before.
    func testSleepersThatComeMeanwhile() throws {
        for _ in 0..<300 {
            let word = SharedWakeWord()
            let isReady = Atomic<Bool>(false)
            let threads = try (0..<4).map { _ in
                try KernelThread(name: "sleeper") {
                    word.wait()
                    XCTAssertTrue(isReady.load(ordering: .relaxed), "what was done before the word fired is seen")
                }
            }
            isReady.store(true, ordering: .relaxed)
            word.fire(for: 4)
            for thread in threads { thread.join() }
        }
    }
}
