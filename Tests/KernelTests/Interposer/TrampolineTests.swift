import PluginAPI
import XCTest

@testable import Kernel

/// Calls through the entries that lay arguments out as words, and through libffi's closures behind them.
final class TrampolineTests: XCTestCase {
    private typealias Pointer = UnsafeMutableRawPointer
    private typealias Words2 = @convention(c) (Pointer?, Pointer?) -> Int32
    private typealias Words6 = @convention(c) (Pointer?, UInt64, UInt64, UInt64, UInt64, Pointer?) -> Int32
    private typealias Words7 = @convention(c) (Pointer?, UInt64, UInt64, UInt64, UInt64, UInt64, Pointer?) -> Int32
    private typealias Words9 =
        @convention(c) (Pointer?, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, Pointer?) -> Int32
    private typealias Words14 =
        @convention(c) (
            Pointer?, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64,
            Pointer?
        ) -> Int32
    private typealias Words15 =
        @convention(c) (
            Pointer?, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64,
            UInt64, Pointer?
        ) -> Int32
    private typealias Narrow =
        @convention(c) (
            Pointer?, Int32, UInt32, Int64, Int32, UInt32, Int32, UInt32, Int64, Int32, Pointer?
        ) -> Int32

    private static var own: Pointer? { Pointer(bitPattern: 0x5E1F) }
    private static var last: Pointer? { Pointer(bitPattern: 0x1A57) }

    /// Minus the number of words that came right: self, 1, 2, … and the error.
    private static func answer(_ this: Pointer?, _ words: [UInt64], _ error: Pointer?) -> Int32 {
        let count = Int32(words.count + 2)
        return this == own && words == Array(1..<UInt64(words.count + 1)).map { $0 << 56 | $0 } && error == last
            ? -count : HOSTD_ERROR_INTERNAL
    }

    private func word(_ number: UInt64) -> UInt64 { number << 56 | number }

    private func bound<Function>(_ letters: String, _ function: Function) throws -> (RoleBinding, Function) {
        let table = try TestTable(
            "call:" + letters, self: Self.own, [unsafeBitCast(function, to: UnsafeRawPointer.self)])
        let binding = try XCTUnwrap(RoleBinding(id: "com.example.words/1", descriptor: table.descriptor))
        binding.bind(table.target)
        return (binding, slotFunction(binding.table, 0, as: Function.self))
    }

    func testEveryPlaceOfAnArgument() throws {
        let two: Words2 = { TrampolineTests.answer($0, [], $1) }
        let six: Words6 = { TrampolineTests.answer($0, [$1, $2, $3, $4], $5) }
        let seven: Words7 = { TrampolineTests.answer($0, [$1, $2, $3, $4, $5], $6) }
        let nine: Words9 = { TrampolineTests.answer($0, [$1, $2, $3, $4, $5, $6, $7], $8) }
        let fourteen: Words14 = {
            TrampolineTests.answer($0, [$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12], $13)
        }
        let fifteen: Words15 = {
            TrampolineTests.answer($0, [$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13], $14)
        }
        func letters(_ count: Int) -> String { String(repeating: "w", count: count - 2) + "e" }
        // What the caller passes as self is not looked at.
        for this in [Self.own, nil] {
            XCTAssertEqual(try bound(letters(2), two).1(this, Self.last), -2, "registers alone")
            XCTAssertEqual(
                try bound(letters(6), six).1(this, word(1), word(2), word(3), word(4), Self.last), -6,
                "the last register of x86")
            XCTAssertEqual(
                try bound(letters(7), seven).1(this, word(1), word(2), word(3), word(4), word(5), Self.last), -7,
                "the stack of x86")
            XCTAssertEqual(
                try bound(letters(9), nine).1(
                    this, word(1), word(2), word(3), word(4), word(5), word(6), word(7), Self.last),
                -9, "the stack of ARM")
            XCTAssertEqual(
                try bound(letters(14), fourteen).1(
                    this, word(1), word(2), word(3), word(4), word(5), word(6), word(7), word(8), word(9), word(10),
                    word(11), word(12), Self.last),
                -14, "the most words")
            XCTAssertEqual(
                try bound(letters(15), fifteen).1(
                    this, word(1), word(2), word(3), word(4), word(5), word(6), word(7), word(8), word(9), word(10),
                    word(11), word(12), word(13), Self.last),
                -15, "a closure of libffi")
        }
    }

    func testNarrowArgumentsKeepTheirSigns() throws {
        let function: Narrow = { _, a, b, c, d, e, f, g, h, i, _ in
            a == -1 && b == .max && c == -3 && d == .min && e == 5 && f == -6 && g == .max && h == .min && i == -9
                ? HOSTD_OK : HOSTD_ERROR_INTERNAL
        }
        let (binding, call) = try bound("iuliuiulie", function)
        XCTAssertEqual(call(nil, -1, .max, -3, .min, 5, -6, .max, .min, -9, nil), HOSTD_OK)
        XCTAssertEqual(binding.target?.figures().calls, 1)
    }

    /// More bindings than there are entries: the rest get closures, and entries that were given back serve again.
    func testEntriesRunOutAndComeBack() throws {
        let slots = (0..<256).map { "slot_\($0):be" }.joined(separator: ";")
        let functions = (0..<256).map { _ in address { _, _, size, _ in -Int32(size) } }
        let table = try TestTable(slots, functions)
        let target = table.target
        for round in 0..<2 {
            let bindings = try (0..<20).map { _ in
                try XCTUnwrap(RoleBinding(id: "com.example.many/1", descriptor: table.descriptor))
            }
            var calls: Int32 = 0
            for binding in bindings {
                binding.bind(target)
                for slot in 0..<256 {
                    calls += 1
                    let call = slotFunction(binding.table, slot, as: BytesFunction.self)
                    let status = call(nil, nil, UInt64(calls), nil)
                    if status != -calls { XCTFail("round \(round), slot \(slot): \(status), not \(-calls)") }
                }
            }
            XCTAssertEqual(calls, 5120)
        }
        XCTAssertEqual(target.figures().calls, 10240)
        XCTAssertEqual(target.calls, 0)
    }
}
