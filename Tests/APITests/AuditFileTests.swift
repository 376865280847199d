import XCTest

@testable import API

final class AuditFileTests: XCTestCase {
    func testWhatWasPutAside() {
        for (name, isBackup, reason) in [
            ("audit-2026-01-02T03-04-05.123456789.log", true, "with its time"),
            ("audit.log", false, "the log itself"), ("audit-mine.log", false, "somebody's file"),
            ("audit-2026-01-02T03-04-05.123456789", false, "without the ending"),
            ("other-2026-01-02T03-04-05.123456789.log", false, "of another log"),
        ] { XCTAssertEqual(AuditFile.isBackup(name, "audit", ".log"), isBackup, reason) }
    }
}
