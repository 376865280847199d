import XCTest

@testable import Node

final class HostProcessorTests: XCTestCase {
    func testReadsTheKernelsCounts() {
        let text = """
            cpu  10 2 30 4000 500 6 7 8 9 0
            cpu0 5 1 15 2000 250 3 3 4 4 0
            intr 12
            btime 1700000000
            """
        let processor = HostProcessor(text)
        XCTAssertEqual(processor.usedNanoseconds, (10 + 2 + 30 + 6 + 7) * 10_000_000)
        XCTAssertEqual(processor.bootSeconds, 1_700_000_000)
        XCTAssertEqual(HostProcessor("").usedNanoseconds, 0)
    }
}
