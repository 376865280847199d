import PluginAPI
import XCTest

@testable import Kernel

final class GrantTests: XCTestCase {
    func testEveryFormIsReadAndWrittenBack() throws {
        let rows: [(String, Grant)] = [
            ("store.read", .storeRead(nil)), ("store.read:pods", .storeRead("pods")),
            ("store.write", .storeWrite(nil, member: nil)), ("store.write:pods", .storeWrite("pods", member: nil)),
            ("store.write:deployments.apps/status", .storeWrite("deployments.apps", member: "status")),
            ("store.lease", .storeLease), ("events", .events), ("events.publish", .publish(nil)),
            ("events.publish:hostd.network", .publish("hostd.network")),
            ("events.subscribe:a:b c", .subscribe("a:b c")), ("timers", .timers), ("reconcile", .reconcile),
            ("metrics", .metrics), ("roles", .roles), ("plugins", .plugins), ("environment.stop", .stop),
            ("role:com.example.cache/2", .role("com.example.cache/2")), ("api.read", .apiRead(nil)),
            ("api.read:pods", .apiRead("pods")), ("api.write:pods/status", .apiWrite("pods", subresource: "status")),
            ("network", .network), ("exec", .exec), ("user:root", .userRoot),
        ]
        for (text, grant) in rows {
            XCTAssertEqual(try Grant(parsing: text), grant, text)
            XCTAssertEqual(grant.description, text)
        }
        let capability = try Grant(parsing: "capability:NET_ADMIN")
        XCTAssertEqual(capability.description, "capability:NET_ADMIN")
        XCTAssertEqual(GrantPolicy([capability]).capabilities, 1 << 12)
    }

    func testMistakesAreNamed() {
        let rows: [(String, String)] = [
            ("", "\"\" is no grant; there are api.read, api.write"), ("stor.read", "did you mean store.read?"),
            ("timers:", "\"timers\" takes nothing after it"), ("network:tcp", "\"network\" takes nothing after it"),
            ("store.read:", "has not the form store.read:RESOURCE"),
            ("store.read:pods/status", "has not the form store.read:RESOURCE"),
            ("store.write:pods/status/phase", "the form store.write:RESOURCE or store.write:RESOURCE/MEMBER"),
            ("store.write:/status", "has not the form"), ("store.write:pods/", "has not the form"),
            ("api.write:po ds", "has not the form"), ("api.write:a:b", "has not the form"),
            ("role", "\"role\" needs the id of a role after it"), ("role:scheduler", "\"role\" needs the id"),
            ("capability:NET_ADMN", "did you mean NET_ADMIN?"), ("capability:net_admin", "\"capability\" needs"),
            ("capability:CAP_CHOWN", "\"capability\" needs"), ("user:daemon", "can only be user:root"),
            ("user", "can only be user:root"), ("events.publish:", "needs the name of a topic"),
        ]
        for (text, part) in rows {
            XCTAssertThrowsError(try Grant(parsing: text), text) { error in
                let message = (error as? Grant.Mistake)?.message ?? ""
                XCTAssertTrue(message.contains(part), "\(text): \(message)")
            }
        }
    }

    func testConfigurationIsStrict() throws {
        func read(_ entry: String) throws(ConfigurationError) -> IsolationSettings {
            let text = "plugins:\n  - name: a\n" + entry.split(separator: "\n").map { "    \($0)\n" }.joined()
            return try HostConfiguration(text: Array(text.utf8), file: "h.yaml").plugins[0].isolation
        }
        let full = try read(
            """
            isolation: process
            grants: [store.read, "store.write:pods/status", events]
            limits: {memory: 64Mi, cpu: 1500m, pids: 40, files: 100}
            callTimeout: 2.5s
            """)
        XCTAssertEqual(full.mode, .process)
        XCTAssertEqual(full.grants, [.storeRead(nil), .storeWrite("pods", member: "status"), .events])
        XCTAssertEqual(full.limits.memory, 64 << 20)
        XCTAssertEqual(full.limits.milliCPU, 1500)
        XCTAssertEqual([full.limits.processes, full.limits.files], [40, 100])
        XCTAssertEqual(full.callTimeout, 2_500_000_000)
        XCTAssertEqual(full.report["limits"]?["memory"], "64Mi")
        XCTAssertEqual(full.report["callTimeout"], "2.5s")
        XCTAssertEqual(try read("isolation: shared"), IsolationSettings())
        XCTAssertEqual(try read("optional: true").mode, .shared)

        let rows: [(String, String)] = [
            (
                "isolation: proces",
                "h.yaml:3:16: plugins[0].isolation: \"proces\" is not possible; allowed: shared and process"
            ),
            ("grants: [events]", "h.yaml:3:13: plugins[0].grants: means something with `isolation: process` only"),
            ("isolation: shared\nlimits: {pids: 20}", "h.yaml:4:13: plugins[0].limits: means something"),
            ("isolation: process\ngrants: events", "plugins[0].grants: expected a list"),
            ("isolation: process\ngrants: [timer]", "h.yaml:4:14: plugins[0].grants[0]: \"timer\" is no grant"),
            ("isolation: process\ngrants: [timers, 3]", "plugins[0].grants[1]: expected a grant such as store.read"),
            ("isolation: process\ngrants: [timers, timers]", "plugins[0].grants[1]: \"timers\" is there twice"),
            ("isolation: process\nlimits: {memory: 1Mi}", "plugins[0].limits.memory: is less than 16Mi"),
            ("isolation: process\nlimits: {memory: much}", "\"much\" is not an amount such as 256Mi"),
            ("isolation: process\nlimits: {cpu: 1m}", "plugins[0].limits.cpu: is not between"),
            ("isolation: process\nlimits: {pids: 2}", "expected a whole number from 16 to 1000000, found 2"),
            ("isolation: process\nlimits: {disk: 2}", "plugins[0].limits.disk: unknown key"),
            ("isolation: process\ncallTimeout: 1ms", "\"1ms\" is not a duration from 10ms to 1h"),
            ("isolation: process\ncallTimeout: 10", "is not a duration"),
        ]
        for (text, part) in rows {
            XCTAssertThrowsError(try read(text), text) { error in
                XCTAssertTrue("\(error)".contains(part), "\(text): \(error)")
            }
        }
    }

    func testAKillFromOutsideIsAnsweredAtOnceWithinBounds() {
        var backOff = RestartBackOff()
        let second: UInt64 = 1_000_000_000
        XCTAssertEqual(backOff.delay(afterUptime: second, wasKilled: true, chance: 0), 5_000_000, "at once")
        XCTAssertEqual(
            backOff.delay(afterUptime: 30_000_000, wasKilled: true, chance: 0), 70_000_000, "ten times a second")
        XCTAssertEqual(backOff.crashes, 0, "it is no crash")
        XCTAssertEqual(backOff.delay(afterUptime: second, chance: 0), 100_000_000, "a crash backs off as ever")
        for _ in 2..<RestartBackOff.killLimit {
            XCTAssertLessThanOrEqual(backOff.delay(afterUptime: second / 5, wasKilled: true, chance: 0), second / 10)
        }
        XCTAssertEqual(
            (0..<3).map { _ in backOff.delay(afterUptime: second, wasKilled: true, chance: 0) / 1_000_000 },
            [200, 400, 800], "kills without end are a crash loop")
        XCTAssertEqual(
            backOff.delay(afterUptime: 60 * second, wasKilled: true, chance: 0), 5_000_000, "a minute of health")
    }

    func testBackOffDoublesToThirtySecondsAndForgets() {
        var backOff = RestartBackOff()
        let delays = (0..<12).map { _ in backOff.delay(afterUptime: 1_000_000_000, chance: 0) / 1_000_000 }
        XCTAssertEqual(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000])
        XCTAssertEqual(backOff.delay(afterUptime: 59_999_999_999, chance: 1), 24_000_000_000, "less a fifth at most")
        XCTAssertEqual(backOff.delay(afterUptime: 60_000_000_000, chance: 0.5), 90_000_000, "a minute of health")
        XCTAssertEqual(backOff.crashes, 1)
        for _ in 0..<100 { XCTAssertLessThanOrEqual(backOff.delay(afterUptime: 0, chance: 0), 30_000_000_000) }
    }
}
