import XCTest

@testable import Kernel

final class KeyTableTests: XCTestCase {
    private func intern(_ table: inout KeyTable, _ key: String) -> (number: UInt32, isNew: Bool) {
        var key = key
        return key.withUTF8 { table.intern($0) }
    }

    private func find(_ table: borrowing KeyTable, _ key: String) -> UInt32? {
        var key = key
        return key.withUTF8 { table.find($0) }
    }

    /// Against a dictionary, with a few keys so that they collide, come and go; each seed is another order of buckets.
    func testRandomOperationsAgreeWithADictionary() {
        var random = SeededGenerator(seed: 11)
        for seed in 1...40 {
            var table = KeyTable(seed: UInt64(seed))
            var model: [String: UInt32] = [:]
            let alphabet = (0..<Int.random(in: 3...300, using: &random)).map {
                String(repeating: "k", count: $0 % 19) + "/\($0)"
            }
            for _ in 0..<2000 {
                let key = alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
                if Int.random(in: 0..<3, using: &random) == 0, let number = model.removeValue(forKey: key) {
                    table.remove(number)
                } else {
                    let (number, isNew) = intern(&table, key)
                    XCTAssertEqual(isNew, model[key] == nil, key)
                    if let known = model[key] { XCTAssertEqual(number, known, key) }
                    model[key] = number
                }
                XCTAssertEqual(table.count, model.count)
            }
            for key in alphabet { XCTAssertEqual(find(table, key), model[key], "seed \(seed) \(key)") }
            XCTAssertEqual(Set(model.values).count, model.count, "numbers are unique")
            for (key, number) in model { XCTAssertEqual(String(decoding: table[number], as: UTF8.self), key) }
        }
    }

    func testKeysOfAllLengths() {
        var table = KeyTable()
        let keys = (0...600).map { String(repeating: "x", count: $0) }
        let numbers = keys.map { intern(&table, $0).number }
        for (key, number) in zip(keys, numbers) { XCTAssertEqual(find(table, key), number, "\(key.utf8.count) bytes") }
        for number in numbers { table.remove(number) }
        for key in keys { XCTAssertNil(find(table, key)) }
        XCTAssertEqual(table.count, 0)
    }
}
