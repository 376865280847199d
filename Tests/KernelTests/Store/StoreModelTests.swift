import Glibc
import PluginAPI
import XCTest

@testable import Kernel

/// The store against a simple model of it, under random writes, compactions, restarts and damage. The seed is printed when
/// a comparison fails.
final class StoreModelTests: XCTestCase {
    /// xorshift64*, so that a failure can be repeated.
    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state ^= state >> 12
            state ^= state << 25
            state ^= state >> 27
            return state &* 2_685_821_657_736_338_717
        }
    }

    private var options: StateStoreOptions {
        var options = smallOptions()
        options.historyCount = 120
        options.snapshotThreshold = 64 << 10
        return options
    }

    func testItBehavesAsItsModel() throws {
        for seed: UInt64 in [1, 2, UInt64(getpid()), monotonicNow() | 1] {
            var random = Random(state: seed)
            let directory = TemporaryDirectory()
            var store = try StateStore(directory: directory.path, options: options)
            var model: [String: (value: String, revision: UInt64)] = [:]
            var states: [[String: String]] = [[:]]
            for step in 0..<1500 {
                let key =
                    "\(["pods", "nodes", "pods.x"].randomElement(using: &random)!)/d/\(Int.random(in: 0..<40, using: &random))"
                let value = "\(step)" + String(repeating: "v", count: Int.random(in: 0..<900, using: &random))
                switch Int.random(in: 0..<100, using: &random) {
                case 0..<60:
                    model[key] = (value, try store.put(key, value))
                    states.append(model.mapValues(\.value))
                case 60..<75:
                    if let expected = model[key]?.revision {
                        try store.remove(key, expected: expected)
                        model[key] = nil
                        states.append(model.mapValues(\.value))
                    } else {
                        assertFails(HOSTD_ERROR_NOT_FOUND) { try store.remove(key) }
                    }
                case 75..<95: try compare(store, states, seed: seed, &random)
                case 95..<97: try store.compact(to: UInt64.random(in: 0..<UInt64(states.count), using: &random))
                default:
                    store.close()
                    store = try StateStore(directory: directory.path, options: options)
                }
            }
            try compare(store, states, seed: seed, &random)
            store.close()
        }
    }

    /// Compares a list at a random revision, or the right refusal, and a watch from it.
    private func compare(_ store: StateStore, _ states: [[String: String]], seed: UInt64, _ random: inout Random) throws
    {
        let latest = UInt64(states.count - 1)
        let revision =
            latest < 2 || Bool.random(using: &random)
            ? latest : UInt64.random(in: max(1, latest / 2)...latest, using: &random)
        let compacted = store.parts.lock.reading { store.parts.tree.compactedRevision }
        guard revision == latest || revision >= compacted else {
            assertFails(HOSTD_ERROR_COMPACTED) { try store.names(at: revision) }
            return
        }
        let page = try store.page(at: revision)
        let found = Dictionary(uniqueKeysWithValues: zip(page.keys, page.values))
        XCTAssertEqual(found, states[Int(revision)], "seed \(seed), revision \(revision)")
        XCTAssertEqual(
            page.keys, page.keys.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }, "seed \(seed)")
        let pods = try store.page("pods/", at: revision, limit: 5)
        let expected = states[Int(revision)].keys.filter { $0.hasPrefix("pods/") }.sorted()
        XCTAssertEqual(pods.keys, Array(expected.prefix(5)), "seed \(seed)")
        XCTAssertEqual(pods.remaining, UInt64(max(0, expected.count - 5)), "seed \(seed)")
        guard revision < latest else { return }
        let collector = Collector()
        let watch = try store.watch("", from: revision, collector.sink)
        collector.waitForProgress(latest)
        store.parts.hub.cancel(watch)
        var replayed = states[Int(revision)]
        var followsDelete = false
        for event in collector.all {
            defer { followsDelete = event.kind == Record.Kind.delete }
            if followsDelete { continue }  // The deleted value.
            if event.kind == Record.Kind.delete {
                replayed[event.key] = nil
            } else {
                replayed[event.key] = event.value
            }
        }
        XCTAssertEqual(replayed, states[Int(latest)], "seed \(seed), watch from \(revision)")
    }

    func testRandomDamageEndsInAnErrorOrTheWholeState() throws {
        var random = Random(state: monotonicNow() | 1)
        let source = TemporaryDirectory()
        let store = try StateStore(directory: source.path, options: options)
        for number in 0..<400 {
            try store.put("pods/d/\(number % 30)", "\(number)" + String(repeating: "v", count: 700))
        }
        let names = try store.names()
        store.close()
        let files = source.names("log-") + source.names("snapshot-")
        let contents = files.map { source.read($0) }
        for _ in 0..<120 {
            let directory = TemporaryDirectory()
            for (name, bytes) in zip(files, contents) { directory.write(name, bytes) }
            let victim = Int.random(in: 0..<files.count, using: &random)
            var bytes = contents[victim]
            switch Int.random(in: 0..<3, using: &random) {
            case 0: bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
            case 1: bytes.removeLast(Int.random(in: 1...bytes.count, using: &random))
            default:
                let start = Int.random(in: 0..<bytes.count, using: &random)
                for position in start..<min(bytes.count, start + 600) {
                    bytes[position] = UInt8.random(in: 0...255, using: &random)
                }
            }
            directory.write(files[victim], bytes)
            do {
                let damaged = try StateStore(directory: directory.path, options: options)
                defer { damaged.close() }
                // Bytes behind the log's end may be damaged, and its last mark lost: then nothing is missing.
                XCTAssertEqual(try damaged.names(), names, "\(files[victim])")
            } catch {
                XCTAssertTrue([HOSTD_ERROR_DATA_LOSS, HOSTD_ERROR_VERSION].contains(error.code), error.message)
                XCTAssertTrue(error.message.contains(directory.path), error.message)
            }
        }
    }

    private func code(_ error: any Error) -> Int32 { (error as? StoreError)?.code ?? 0 }

    func testRandomOperationsNeverCrashTheParser() throws {
        var random = Random(state: monotonicNow() | 1)
        let valid = operation(HOSTD_STORE_PUT, "pods/d/a", "value") + operation(HOSTD_STORE_CHECK, "pods/d/b")
        for _ in 0..<3000 {
            var bytes = valid
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            bytes.removeLast(Int.random(in: 0..<20, using: &random))
            do {
                _ = try bytes.withUnsafeBytes { try Write(operations: $0, limits: options.writeLimits) }
            } catch {
                XCTAssertEqual(code(error), HOSTD_ERROR_INVALID_ARGUMENT, "\(error)")
            }
        }
        for _ in 0..<3000 {
            let alphabet = Array("ab=!,() in><notin.\u{0}é".utf8)
            let text = (0..<Int.random(in: 0..<20, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
            do { _ = try text.withUnsafeBytes { try IndexSelector(parsing: $0) } } catch {
                XCTAssertEqual(code(error), HOSTD_ERROR_INVALID_ARGUMENT)
            }
        }
    }
}
