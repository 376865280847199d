import XCTest

@testable import Containers
@testable import Runtime

final class ImageReferenceTests: XCTestCase {
    private static let digest = "sha256:" + String(repeating: "0a", count: 32)

    func testNormalForm() throws {
        let rows: [(given: String, expected: String)] = [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36"),
            ("library/busybox", "docker.io/library/busybox:latest"),
            ("team/app:v1", "docker.io/team/app:v1"),
            ("docker.io/busybox", "docker.io/library/busybox:latest"),
            ("index.docker.io/busybox", "docker.io/library/busybox:latest"),
            ("hostd.dev/example", "hostd.dev/example:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("registry:5000/a/b/c:T_1.2-3", "registry:5000/a/b/c:T_1.2-3"),
            ("busybox@\(Self.digest)", "docker.io/library/busybox@\(Self.digest)"),
            ("busybox:1@\(Self.digest)", "docker.io/library/busybox@\(Self.digest)"),
            ("a.b/c__d/e-f.g", "a.b/c__d/e-f.g:latest"),
        ]
        for row in rows { XCTAssertEqual(try ImageReference(parsing: row.given).description, row.expected, row.given) }
    }

    func testRefused() {
        let rows = [
            "", "Busybox/UPPER/x y", "busybox:", "busybox:-x", "busybox:a b", "a//b", "/a", "a/", "a..b/c..d",
            "x@sha256:12",
            "x@md5:\(String(repeating: "0", count: 32))", "localhost:99999/a", "-a", "a/-b", "a/___b/c", "../../etc",
            String(repeating: "a", count: 600), "a\u{0}b", "ä/b",
        ]
        for row in rows { XCTAssertThrowsError(try ImageReference(parsing: row), row) }
    }
}
