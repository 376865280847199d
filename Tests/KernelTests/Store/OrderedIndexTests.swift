import CStateStore
import PluginAPI
import XCTest

@testable import Kernel

final class OrderedIndexTests: XCTestCase {
    private func record(_ key: String, kind: UInt32 = Record.Kind.put) throws -> Record {
        try Array(key.utf8).withUnsafeBytes { try Record.make(kind: kind, key: $0) }
    }

    private func keys(_ index: borrowing OrderedIndex) -> [String] {
        var position = OrderedIndex.Position(leaf: 0, item: 0)
        var found: [String] = []
        while let record = index.record(at: &position) {
            found.append(record.key.text)
            position.item += 1
        }
        return found
    }

    func testItIsAnOrderedMapUnderRandomChanges() throws {
        var generator = SystemRandomNumberGenerator()
        for size in [10, 300, 3000] {
            var index = OrderedIndex()
            var model: Set<String> = []
            for step in 0..<size * 4 {
                let key = "p/d/\(Int.random(in: 0..<size, using: &generator))"
                try Array(key.utf8).withUnsafeBytes { bytes in
                    let (position, found) = index.lowerBound(bytes)
                    XCTAssertEqual(found, model.contains(key))
                    if found && step % 3 != 0 {
                        index.remove(at: position).release()
                        model.remove(key)
                    } else if !found {
                        index.insert(try record(key), at: position)
                        model.insert(key)
                    }
                }
            }
            XCTAssertEqual(keys(index), model.sorted())
            XCTAssertEqual(index.liveCount, model.count)
            for key in model.sorted() {
                Array(key.utf8).withUnsafeBytes { index.remove(at: index.lowerBound($0).position).release() }
            }
            XCTAssertEqual(keys(index), [])
        }
    }

    func testRecordsOfASnapshotNeedNoSearchAndMayStillComeInAnyOrder() throws {
        let ordered = (1000..<2000).map { "p/d/\($0)" }
        for names in [ordered, ordered.reversed(), ordered.shuffled(), Array(ordered[500...] + ordered[..<500])] {
            var index = OrderedIndex()
            for name in names { index.insertLast(try record(name)) }
            XCTAssertEqual(keys(index), ordered)
            XCTAssertEqual(index.liveCount, ordered.count)
        }
    }

    /// A place that was found earlier is believed only while a search would find it again.
    func testAPlaceHoldsAsLongAsASearchGivesIt() throws {
        var index = OrderedIndex()
        var places: [(key: [UInt8], position: OrderedIndex.Position)] = []
        var held = 0
        var moved = 0
        for round in 0..<4000 {
            let key = Array("p/d/\(Int.random(in: 0..<3000))".utf8)
            places.append((key, key.withUnsafeBytes { index.lowerBound($0).position }))
            let changed = try record("p/d/\(Int.random(in: 0..<3000))", kind: Record.Kind.put)
            let (position, found) = index.lowerBound(changed.key)
            if round % 3 == 0 && found {
                index.remove(at: position).release()
                changed.release()
            } else if found {
                var standing = position
                let before = index.record(at: &standing)
                index.replace(at: position, with: changed)
                before?.release()
            } else {
                index.insert(changed, at: position)
            }
            let (old, place) = places[Int.random(in: max(0, places.count - 20)..<places.count)]
            old.withUnsafeBytes { old in
                let (position, found) = index.lowerBound(old)
                guard let answer = index.finds(old, at: place) else { return moved += 1 }
                XCTAssertEqual(answer, found)
                // Behind a leaf's last key and before the next leaf's first is one place in the order.
                XCTAssertEqual(position, place)
                held += 1
            }
        }
        XCTAssertGreaterThan(held, 500)
        XCTAssertGreaterThan(moved, 100)
    }

    func testKeysOfABatchAreFoundByTheirNewestRecord() throws {
        // Some have the same hash.
        func hash(_ number: Int, _ record: Record) -> UInt64 { number % 50 == 0 ? 5 : ChangedKeys.hash(record.key) }
        var keys = ChangedKeys()
        for count in [3, 1000, 9000, 3] {
            var records: [Record] = []
            defer { for record in records { record.release() } }
            for number in 0..<count * 2 {  // Each key twice.
                records.append(try record("p/d/\(number % count)"))
                keys.set(records[number], hash: hash(number % count, records[number]))
            }
            for number in 0..<count {
                let found = keys.record(of: records[number].key, hash: hash(number, records[number]))
                XCTAssertEqual(found?.block, records[number + count].block)
            }
            Array("p/d/absent".utf8).withUnsafeBytes { XCTAssertNil(keys.record(of: $0, hash: 5)) }
            keys.removeAll()
            XCTAssertNil(keys.record(of: records[1].key, hash: hash(1, records[1])))
        }
    }

    func testCountsOfRangesAddUp() throws {
        var index = OrderedIndex()
        for number in 1000..<3000 {
            let record = try record("p/d/\(number)", kind: number % 4 == 0 ? Record.Kind.delete : Record.Kind.put)
            index.insert(record, at: index.lowerBound(record.key).position)
        }
        for (from, to) in [(1000, 3000), (1500, 1501), (1999, 2600), (2000, 2000)] {
            let expected = (from..<to).count { $0 % 4 != 0 }
            let found = Array("p/d/\(from)".utf8).withUnsafeBytes { from in
                Array("p/d/\(to)".utf8).withUnsafeBytes { to in
                    index.countLive(from: index.lowerBound(from).position, to: index.lowerBound(to).position)
                }
            }
            XCTAssertEqual(found, expected)
        }
    }

    func testChecksumsAgreeAndAreTheStandards() {
        let digits = Array("123456789".utf8)
        XCTAssertEqual(store_crc32c(0, digits, 9), 0xE306_9283)  // The check value of CRC-32C (RFC 3720, iSCSI).
        XCTAssertEqual(store_crc32c_portable(0, digits, 9), 0xE306_9283)
        for size in 0..<100 {
            let bytes = (0..<size).map { _ in UInt8.random(in: 0...255) }
            XCTAssertEqual(store_crc32c(7, bytes, size), store_crc32c_portable(7, bytes, size))
            XCTAssertEqual(
                store_size_without_zeros(bytes + [0, 0, 0, 0, 0, 0, 0, 0, 0], size + 9),
                bytes.lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0)
        }
    }
}
