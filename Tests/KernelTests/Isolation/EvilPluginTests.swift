import Glibc
import Objects
import PluginAPI
import XCTest

@testable import Kernel

/// Whatever a plugin in a process of its own does, hostd and the other plugins go on, calls in flight end, and the plugin
/// comes back with its state.
final class EvilPluginTests: XCTestCase {
    private let evilRole = "com.example.evil/1"

    private func fixture(_ more: String = "", grants: String = "[]", callTimeout: String = "20s") throws
        -> IsolationFixture
    {
        let directory = try ScratchDirectory()
        let evil = try IsolationFixture.plugin("Plugins/evil/evil.c", name: "evil", in: directory)
        let good = try Fixture.badPlugin("GOOD", in: directory, name: "good")
        return try IsolationFixture(
            """
              - {name: good, library: \(good)}
              - name: evil
                library: \(evil)
                isolation: process
                grants: \(grants)
                limits: {memory: 64Mi, pids: 24, files: 64}
                callTimeout: \(callTimeout)
            \(more)
            """, in: directory)
    }

    /// Another plugin, called all the time; the longest call and the failures.
    private final class Bystander: @unchecked Sendable {  // All state is in a Mutexed.
        private let figures = Mutexed((calls: 0, failures: 0, longest: UInt64(0), isOver: false))
        private var thread: KernelThread?

        init(_ fixture: IsolationFixture) throws {
            let figures = figures
            thread = try KernelThread(name: "bystander") {
                while !figures.current.isOver {
                    let start = monotonicNow()
                    let answer = fixture.call(HOSTD_SCHEDULER_1, "reset")
                    let time = monotonicNow() - start
                    figures.with {
                        $0.calls += 1
                        $0.failures += answer.status == HOSTD_OK ? 0 : 1
                        $0.longest = max($0.longest, time)
                    }
                    usleep(500)
                }
            }
        }

        func finish() -> (calls: Int, failures: Int, longest: UInt64) {
            figures.with { $0.isOver = true }
            thread?.join()
            let result = figures.current
            return (result.calls, result.failures, result.longest)
        }
    }

    func testEveryCrimeIsSurvived() throws {
        let rows: [(mode: String, reason: String)] = [
            ("segfault", "ended by signal 11 (SIGSEGV)"), ("abort", "ended by signal 6 (SIGABRT)"),
            ("exit", "ended with exit code 3"), ("deadlock", "a call of run of com.example.evil/1 took longer than"),
            ("spin", "a call of run of com.example.evil/1 took longer than"),
            ("leak", "reached its memory limit of 64 MiB (limits.memory)"),
            ("close", ""), ("close everything", ""), ("rubbish", ""),
        ]
        for (mode, reason) in rows {
            // Whoever stays inside is given up when its time is up; those whose process ends are gone long before.
            let staysInside = reason.isEmpty || reason.hasPrefix("a call of run")
            let fixture = try fixture(callTimeout: staysInside ? "3s" : "20s")
            try fixture.start()
            try commit(mode, reason, fixture)
            fixture.stop()
        }
    }

    /// One crime, with calls in flight, a bystander, and what comes after.
    private func commit(_ mode: String, _ reason: String, _ fixture: IsolationFixture) throws {
        XCTAssertEqual(fixture.call(evilRole, "note", "kept through \(mode)").status, HOSTD_OK, mode)
        let supervisor = try XCTUnwrap(fixture.host.supervisors.known("evil"))
        IsolationFixture.eventually("\(mode): the state is kept") {
            String(decoding: supervisor.lastCheckpoint ?? [], as: UTF8.self).hasSuffix("kept through \(mode)")
        }
        let bystander = try Bystander(fixture)
        let others = Mutexed<[IsolationFixture.Answer]>([])
        let role = evilRole
        let waiting = try (0..<3).map { _ in
            try KernelThread(name: "waiting") {
                let answer = fixture.call(role, "run", "wait")
                others.with { $0.append(answer) }
            }
        }
        let start = monotonicNow()
        let answer = fixture.call(evilRole, "run", mode)
        for thread in waiting { thread.join() }
        let time = monotonicNow() - start
        XCTAssertLessThan(time, 15_000_000_000, "\(mode): calls in flight end within the deadline")
        for answer in others.current + [answer] {
            let isEnd = answer.status == HOSTD_ERROR_UNAVAILABLE || answer.status == HOSTD_ERROR_DEADLINE_EXCEEDED
            XCTAssertTrue(isEnd && answer.isRetryable, "\(mode): \(answer)")
        }
        let entry = try XCTUnwrap(fixture.host.entry("evil"))
        IsolationFixture.eventually("\(mode): it is back with its state") {
            fixture.call(evilRole, "recall").text == "kept through \(mode)"
        }
        XCTAssertEqual(entry.restarts, 1, mode)
        let last = supervisor.lastFailure?.message ?? ""
        XCTAssertTrue(reason.isEmpty ? !last.isEmpty : last.contains(reason), "\(mode): \(last)")
        XCTAssertEqual(fixture.host.describe()["plugins"][2]["state"], "active", "\(fixture.host.describe())")
        let (calls, failures, longest) = bystander.finish()
        XCTAssertGreaterThan(calls, 10, mode)
        XCTAssertEqual(failures, 0, "\(mode): another plugin is not disturbed")
        XCTAssertLessThan(longest, 2_000_000_000, "\(mode): nor kept waiting")
    }

    /// Whoever kills the process again and again meets a new one that works, with the state of the one before; a back-off
    /// that doubled would take minutes for as many.
    func testAProcessThatIsKilledIsBackAtOnce() throws {
        let fixture = try fixture()
        try fixture.start()
        let entry = try XCTUnwrap(fixture.host.entry("evil"))
        let start = monotonicNow()
        let kills = 12
        for number in 1...kills {
            let process = try XCTUnwrap((entry.current.image as? IsolatedPlugin)?.processID)
            kill(process, SIGKILL)
            IsolationFixture.eventually("it is back after kill \(number)") {
                entry.restarts == UInt64(number) && fixture.call(evilRole, "note", "x").status == HOSTD_OK
            }
        }
        XCTAssertLessThan(monotonicNow() - start, 100_000_000_000)
        fixture.stop()
    }

    /// A bomb of threads and processes is held by the limit, and gone when the process is.
    func testABombStaysSmall() throws {
        for grants in ["[]", "[exec]"] {
            let fixture = try fixture(grants: grants, callTimeout: "3s")
            try fixture.start()
            let bystander = try Bystander(fixture)
            _ = fixture.call(evilRole, "run", "bomb")
            let files = KernelControlGroupFiles()
            let layout = ControlGroupLayout(mountInformation: files.read("/proc/self/mountinfo") ?? "")
            let root = try XCTUnwrap(layout.controllers["pids"] ?? layout.unified)
            for group in files.directories(in: "\(root)/hostd-test-\(getpid())") {
                let count = files.read("\(root)/hostd-test-\(getpid())/\(group)/pids.current") ?? ""
                XCTAssertLessThanOrEqual(
                    Int(count.split(separator: "\n").first ?? "") ?? .max, 24, "\(group): \(count)")
            }
            let process = (fixture.host.entry("evil")?.current.image as? IsolatedPlugin)?.processID
            if let process { kill(process, SIGKILL) }
            IsolationFixture.eventually("it is back") { fixture.call(evilRole, "note", "x").status == HOSTD_OK }
            XCTAssertEqual(bystander.finish().failures, 0)
            fixture.stop()  // Checks that no group, and so no process, is left.
        }
    }

    func testAConstructorThatCrashesIsAReason() throws {
        let directory = try ScratchDirectory()
        let evil = try IsolationFixture.plugin(
            "Plugins/evil/evil.c", name: "evil", in: directory, flags: ["-DCONSTRUCTOR=SIGSEGV"])
        let fixture = try IsolationFixture(
            "  - {name: evil, library: \(evil), isolation: process, optional: true}\n", in: directory)
        try fixture.start()
        let failure = try XCTUnwrap(fixture.host.entry("evil")?.current.failure)
        XCTAssertEqual(failure.step, .open)
        XCTAssertTrue(failure.message.contains("its process was ended by signal 11 (SIGSEGV)"), failure.message)
        fixture.stop()
    }

    /// What is not granted is refused, by name, and what is granted works.
    func testGrantsDecide() throws {
        func answers(_ grants: String) throws -> [String: String] {
            let fixture = try fixture(grants: grants)
            try fixture.store.create("pods/d/a", #"{"spec":1,"status":1}"#)
            try fixture.store.create("secrets/d/a", "{}")
            try fixture.start()
            let text = fixture.call(evilRole, "run", "grants").text
            XCTAssertEqual(fixture.stopRequests.current, 0)
            fixture.stop()
            return text.split(separator: "\n").reduce(into: [:]) { found, line in
                let parts = line.split(separator: ":", maxSplits: 1)
                found[String(parts[0])] = parts.count == 2 ? String(parts[1].dropFirst()) : ""
            }
        }
        let none = try answers("[]")
        let needed = [
            "store.get pods": "store.read", "store.get secrets": "store.read", "store.status": "store.read",
            "events.publish": "events", "timers.start": "timers", "reconcile.create": "reconcile",
            "metrics.define": "metrics", "roles.providers": "roles", "environment.stop": "environment.stop",
            "scheduler.reset": "role:hostd.scheduler/1",
        ]
        for (call, grant) in needed {
            XCTAssertEqual(
                none[call]?.hasPrefix("-10 the plugin evil may not "), true,
                "\(call): \(none[call] ?? "nothing") \(none)")
            XCTAssertEqual(
                none[call]?.hasSuffix("add \(grant) to its `grants` in the configuration"), true, none[call] ?? "")
        }
        let some = try answers(
            "[\"store.read:pods\", \"store.write:pods/status\", events, timers, reconcile, metrics, roles, \"role:hostd.scheduler/1\"]"
        )
        for call in [
            "store.get pods", "store.status", "store.watch", "events.publish", "timers.start", "reconcile.create",
            "metrics.define", "roles.providers", "scheduler.reset",
        ] { XCTAssertEqual(some[call], "0 ", call) }
        XCTAssertEqual(
            some["store.get secrets"]?.hasSuffix("add store.read:secrets to its `grants` in the configuration"), true)
        XCTAssertEqual(some["store.spec"]?.contains("may change only status of pods"), true, "\(some)")
        XCTAssertEqual(some["environment.stop"]?.hasPrefix("-10 "), true)
    }
}
