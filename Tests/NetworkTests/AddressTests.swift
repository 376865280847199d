import XCTest

@testable import Network
@testable import PodNetworking

final class AddressTests: XCTestCase {
    func testAddresses() {
        for (text, expected) in [
            ("10.244.0.1", 0x0af4_0001), ("0.0.0.0", 0), ("255.255.255.255", 0xffff_ffff), ("1.2.3", nil),
            ("1.2.3.4.5", nil),
            ("256.1.1.1", nil), ("01.2.3.4", nil), ("1..2.3", nil), ("", nil), ("a.b.c.d", nil), (" 1.2.3.4", nil),
            ("1.2.3.4 ", nil), ("+1.2.3.4", nil), ("1.2.3.0004", nil),
        ] as [(String, UInt32?)] {
            XCTAssertEqual(IPv4Address(parsing: text)?.value, expected, text)
            if expected != nil { XCTAssertEqual(IPv4Address(parsing: text)?.description, text) }
        }
    }

    func testRanges() throws {
        for (text, isRange) in [
            ("10.244.0.0/24", true), ("0.0.0.0/0", true), ("10.0.0.1/32", true), ("10.244.0.1/24", false),
            ("10.244.0.0/33", false), ("10.244.0.0", false), ("10.244.0.0/", false), ("10.244.0.0/024", false),
            ("10.244.0.0/-1", false), ("10.244.0.0/24/1", false),
        ] { XCTAssertEqual(IPv4Range(parsing: text) != nil, isRange, text) }
        let range = try XCTUnwrap(IPv4Range(parsing: "10.244.0.0/24"))
        XCTAssertEqual(range.count, 256)
        XCTAssertEqual(range.last.description, "10.244.0.255")
        XCTAssertTrue(range.overlaps(try XCTUnwrap(IPv4Range(parsing: "10.0.0.0/8"))))
        XCTAssertFalse(range.overlaps(try XCTUnwrap(IPv4Range(parsing: "10.244.1.0/24"))))
    }

    func testAllocatorGivesEachAddressOnceAndTellsWhenNoneIsLeft() throws {
        let range = try XCTUnwrap(IPv4Range(parsing: "10.0.0.0/29"))
        var allocator = AddressAllocator(range: range)
        var given: [String] = []
        for _ in 0..<5 { given.append(try allocator.allocate().description) }
        XCTAssertEqual(given, ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"])
        XCTAssertThrowsError(try allocator.allocate()) {
            XCTAssertEqual($0 as? NetworkError, .exhausted(range: range, used: 5))
            XCTAssertTrue("\($0)".contains("all 5 of 10.0.0.0/29"))
        }
        allocator.release(range.address(at: 3))
        allocator.release(range.address(at: 200))
        XCTAssertEqual(try allocator.allocate().description, "10.0.0.3")
    }

    func testAllocatorGoesOnBehindTheLastOne() throws {
        let range = try XCTUnwrap(IPv4Range(parsing: "10.0.0.0/29"))
        var allocator = AddressAllocator(range: range)
        let first = try allocator.allocate()
        allocator.release(first)
        XCTAssertEqual(try allocator.allocate().description, "10.0.0.3")
        var restarted = AddressAllocator(range: range, last: range.address(at: 5))
        XCTAssertTrue(restarted.adopt(range.address(at: 6)))
        XCTAssertFalse(restarted.adopt(range.address(at: 6)))
        XCTAssertEqual(try restarted.allocate().description, "10.0.0.2")
        XCTAssertEqual(AddressAllocator(range: range, last: IPv4Address(1)).last, range.address(at: 1))
    }
}
