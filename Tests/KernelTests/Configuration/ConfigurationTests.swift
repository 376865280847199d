import Objects
import XCTest

@testable import Kernel

final class ConfigurationTests: XCTestCase {
    private func read(_ text: String) throws(ConfigurationError) -> HostConfiguration {
        try HostConfiguration(text: Array(text.utf8), file: "h.yaml")
    }

    func testTheDefaultConfigurationsAreValid() throws {
        for name in ["hostd", "hello"] {
            let configuration = try HostConfiguration(file: "\(Fixture.root)/config/\(name).yaml")
            XCTAssertFalse(configuration.plugins.isEmpty, name)
        }
    }

    func testDefaults() throws {
        let configuration = try read("")
        XCTAssertEqual(configuration.settings.podRange, "10.244.0.0/24")
        XCTAssertEqual(configuration.settings.serviceRange, "10.96.0.0/16")
        XCTAssertEqual(configuration.settings.dnsAddress, "10.96.0.10")
        XCTAssertEqual(configuration.settings.listen, "127.0.0.1:6443")
        XCTAssertEqual(configuration.store.engine, "embedded")
        XCTAssertEqual(configuration.store.history, HistorySettings())
        XCTAssertNil(configuration.store.encryption)
    }

    func testHistoryAndEncryptionOfTheStore() throws {
        let store = try HostConfiguration(
            text: Array(
                """
                store:
                  history: {time: 1h, size: 64MiB, count: 5000}
                  encryption: {resources: [secrets, a.example.com], keyFile: keys.txt}
                """.utf8), file: "/etc/hostd/h.yaml"
        ).store
        XCTAssertEqual(store.history, HistorySettings(seconds: 3600, bytes: 64 << 20, count: 5000))
        XCTAssertEqual(
            store.encryption,
            EncryptionSettings(resources: ["secrets", "a.example.com"], keyFile: "/etc/hostd/keys.txt"))
        XCTAssertEqual(store.engineOptions.historySeconds, 3600)
        XCTAssertEqual(store.engineOptions.historySize, 64 << 20)
    }

    func testEveryKeyIsTaken() throws {
        let configuration = try read(
            """
            settings: {nodeName: alpha, clusterDomain: c.example, podRange: 10.1.0.0/20, serviceRange: 10.2.0.0/16,
              dnsAddress: 10.2.0.53, listen: "[::1]:7443", cgroupParent: a/b}
            store: {engine: keeper}
            plugins:
              - {name: keeper, library: ./keeper.so, isolation: shared, optional: true, options: {a: [1, 2.5, yes, "3", null]}}
            roles: {hostd.store/1: [keeper], com.example.cache/2: []}
            """)
        XCTAssertEqual(configuration.settings.listen, "[::1]:7443")
        XCTAssertEqual(configuration.settings.cgroupParent, "a/b")
        XCTAssertEqual(configuration.plugins[0].library, "./keeper.so")
        XCTAssertTrue(configuration.plugins[0].isOptional)
        XCTAssertEqual(configuration.plugins[0].options.json["a"], [1, 2.5, "yes", "3", .null])
        XCTAssertEqual(configuration.preferences, ["hostd.store/1": ["keeper"], "com.example.cache/2": []])
    }

    func testMistakesNamePlaceKeyAndRemedy() {
        let rows: [(text: String, expected: String)] = [
            (
                "setings: {}",
                "h.yaml:1:1: setings: unknown key; allowed are settings, store, plugins and roles; did you mean settings?"
            ),
            ("settings:\n  podrange: 1", "h.yaml:2:3: settings.podrange: unknown key; allowed are"),
            (
                "settings:\n  podRange: a\n  podRange: b",
                "h.yaml:3:3: settings.podRange: the key is there twice, first in line 2"
            ),
            ("settings: [1]", "h.yaml:1:11: settings: expected a mapping with the keys"),
            (
                "settings:\n  podRange: 10.244.0.0",
                "h.yaml:2:13: settings.podRange: \"10.244.0.0\" is not an IPv4 range"
            ),
            ("settings: {podRange: 10.244.0.7/24}", "address bits behind its prefix; the range is 10.244.0.0/24"),
            ("settings: {podRange: 10.244.0.0/31}", "wrong size; allowed are prefixes from /8 to /29"),
            (
                "settings: {podRange: 10.96.1.0/24}",
                "settings.serviceRange: 10.96.0.0/16 overlaps podRange 10.96.1.0/24"
            ),
            (
                "settings: {dnsAddress: 10.0.0.1}",
                "settings.dnsAddress: \"10.0.0.1\" is not an IPv4 address within serviceRange"
            ),
            ("settings: {dnsAddress: 10.096.0.1}", "is not an IPv4 address"),
            ("settings: {listen: localhost:6443}", "settings.listen: \"localhost:6443\" is not ADDRESS:PORT"),
            ("settings: {listen: \"127.0.0.1:0\"}", "settings.listen"),
            ("settings: {listen: \"127.0.0.1:65536\"}", "settings.listen"),
            ("settings: {nodeName: Alpha}", "settings.nodeName: \"Alpha\" is not a DNS name"),
            ("settings: {nodeName: \"\"}", "settings.nodeName"),
            ("settings: {cgroupParent: ../x}", "settings.cgroupParent"),
            ("settings: {nodeName: [a]}", "settings.nodeName: expected text, found a list"),
            ("store: {engine: etcd}", "store.engine: \"etcd\" is not possible; allowed: embedded"),
            (
                "store: {options: {segmentBytes: 1}}",
                "store.options.segmentBytes: expected a whole number from 65536 to 1073741824, found 1"
            ),
            ("store: {history: {time: 1y}}", "store.history.time: \"1y\" is not 0 (no bound) or a duration from 1s"),
            ("store: {history: {time: 0.5s}}", "store.history.time"),
            ("store: {history: {size: 12}}", "store.history.size: \"12\" is not an amount of memory from 1MiB"),
            ("store: {history: {count: 5}}", "store.history.count: expected a whole number from 100"),
            ("store: {history: {days: 5}}", "store.history.days: unknown key; allowed are time, size and count"),
            ("store: {encryption: {resources: [secrets]}}", "store.encryption.keyFile: is missing"),
            ("store: {encryption: {keyFile: k, resources: [A/B]}}", "store.encryption.resources[0]: \"A/B\" is not a"),
            (
                "store: {encryption: {keyFile: k, resources: [a, a]}}",
                "store.encryption.resources[1]: \"a\" is there twice"
            ),
            (
                "store: {engine: a, history: {count: 500}}\nplugins: [{name: a}]",
                "store.history: only the embedded engine has it"
            ),
            ("store: {options: {history: 1}}", "store.options.history: unknown option; allowed are"),
            ("plugins: {}", "plugins: expected a list, found a mapping"),
            ("plugins:\n  - library: x", "h.yaml:2:5: plugins[0]: the key name is missing"),
            ("plugins: [{name: A}]", "plugins[0].name: \"A\" is not a name"),
            ("plugins: [{name: a}, {name: a}]", "plugins[1].name: \"a\" is taken"),
            ("plugins: [{name: embedded}]", "plugins[0].name: \"embedded\" is taken"),
            (
                "plugins: [{name: a, optional: yes}]",
                "plugins[0].optional: expected true or false, found the text \"yes\""
            ),
            (
                "plugins: [{name: a, isolation: thread}]",
                "plugins[0].isolation: \"thread\" is not possible; allowed: shared and process"
            ),
            ("plugins: [{name: a, path: x}]", "plugins[0].path: unknown key"),
            ("roles: {scheduler: []}", "roles.scheduler: \"scheduler\" is not the id of a role"),
            ("roles: {hostd.a/1: x}", "roles.hostd.a/1: expected a list of names of plugins"),
            (
                "plugins: [{name: dns}]\nroles: {hostd.a/1: [dn]}",
                "no plugin is named \"dn\"; there are dns; did you mean dns?"
            ),
            ("plugins: [{name: a}]\nroles: {hostd.a/1: [a, a]}", "roles.hostd.a/1[1]: \"a\" is there twice"),
            ("a: &x 1", "anchors (&name) and tags (!name) are not allowed"),
            ("a: !!str 1", "anchors (&name) and tags (!name) are not allowed"),
            ("a: *x", "aliases (*name) are not allowed"),
            ("? [a]\n: b", "a key must be plain text"),
            ("a: 1\n---\nb: 2", "a second document is not allowed"),
            ("a: [1", "is not YAML"),
            ("a:\tb: c: d", "is not YAML"),
            ("\"unterminated", "is not YAML"),
            (String(repeating: "[", count: 100), "nested deeper than 64 levels"),
            ("a: " + String(repeating: "x", count: 1 << 20), "is longer than 1048576 bytes"),
        ]
        for row in rows {
            XCTAssertThrowsError(try read(row.text), row.text) { error in
                XCTAssertTrue("\(error)".contains(row.expected), "\(row.text.prefix(80)): \(error)")
                XCTAssertTrue("\(error)".hasPrefix("h.yaml"), "\(error)")
            }
        }
    }

    func testInvalidUTF8IsRefused() {
        XCTAssertThrowsError(try HostConfiguration(text: [0x61, 0x3A, 0x20, 0xFF, 0xFE], file: "h.yaml")) { error in
            XCTAssertTrue("\(error)".contains("UTF-8"), "\(error)")
        }
    }

    func testAMissingFileIsNamed() {
        XCTAssertThrowsError(try HostConfiguration(file: "/nonexistent/h.yaml")) { error in
            XCTAssertEqual("\(error)", "/nonexistent/h.yaml: cannot be opened: No such file or directory")
        }
    }

    func testDifferencesThatWaitAreNamed() throws {
        let old = try read("plugins: [{name: a}]")
        let new = try read(
            "settings: {listen: \"127.0.0.1:7000\"}\nstore: {options: {segmentBytes: 65536}}\nplugins: [{name: b}]")
        XCTAssertEqual(
            new.differencesForNextStart(from: old),
            ["settings.listen: 127.0.0.1:6443 becomes 127.0.0.1:7000", "store.options: changed"])
        XCTAssertEqual(old.differencesForNextStart(from: old), [])
    }

    func testSettingsOfAPluginSurviveAsJSON() throws {
        let settings = try read(
            """
            plugins:
              - name: a
                isolation: process
                grants: [store.read]
                limits: {memory: 64Mi}
                options: {text: "1", number: 2, list: [true, null]}
            """
        ).plugins[0]
        let plain = try read("plugins: [{name: a}]").plugins[0]
        XCTAssertEqual(try plain.applying(settings.json).json, settings.json)
        XCTAssertEqual(try settings.applying(["isolation": "shared"]).json["grants"].exists, false)
        XCTAssertEqual(try settings.applying(["library": "b"]).json["grants"], ["store.read"])
        XCTAssertThrowsError(try settings.applying(["grants": ["store.raed"]]))
    }
}
