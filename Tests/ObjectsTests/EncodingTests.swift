import XCTest

import Objects

final class EncodingTests: XCTestCase {
    func testBase64() {
        let rows: [(bytes: String, standard: String)] = [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ]
        for row in rows {
            XCTAssertEqual(Base64.encode(Array(row.bytes.utf8)), row.standard)
            XCTAssertEqual(Base64.decode(row.standard), Array(row.bytes.utf8))
            let unpadded = row.standard.replacing("=", with: "")
            XCTAssertEqual(Base64.encode(Array(row.bytes.utf8), .url), unpadded)
            XCTAssertEqual(Base64.decode(unpadded, .url), Array(row.bytes.utf8))
        }
        XCTAssertEqual(Base64.encode([0xFB, 0xFF], .url), "-_8")
        XCTAssertEqual(Base64.encode([0xFB, 0xFF]), "+/8=")
        XCTAssertEqual(Base64.decode("Zm9v\nYmFy\n"), Array("foobar".utf8))
        for bad in ["Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9v=", "Z g=", "=Zg=", "Zg=a", "-_8="] {
            XCTAssertNil(Base64.decode(bad), bad)
        }
        var all: [UInt8] = []
        for round in 0..<600 {
            XCTAssertEqual(Base64.decode(Base64.encode(all)), all)
            XCTAssertEqual(Base64.decode(Base64.encode(all, .url), .url), all)
            all.append(UInt8(truncatingIfNeeded: round &* 37))
        }
    }

    func testHex() {
        XCTAssertEqual(Hex.encode([0, 0x1F, 0xFF]), "001fff")
        XCTAssertEqual(Hex.decode("001FfF"), [0, 0x1F, 0xFF])
        XCTAssertNil(Hex.decode("0"))
        XCTAssertNil(Hex.decode("0g"))
    }

    func testIdentifiers() {
        let uid = makeUID()
        XCTAssertEqual(uid.count, 36)
        XCTAssertEqual(Array(uid)[14], "4")
        XCTAssertTrue("89ab".contains(Array(uid)[19]))
        XCTAssertNotEqual(uid, makeUID())
        XCTAssertEqual(makeName(prefix: String(repeating: "a", count: 70)).count, 63)
        XCTAssertTrue(makeNameSuffix().allSatisfy { "bcdfghjklmnpqrstvwxz2456789".contains($0) })
    }
}
