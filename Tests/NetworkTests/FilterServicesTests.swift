import XCTest

@testable import PodNetworking

/// Which elements a change of services writes.
final class FilterServicesTests: XCTestCase {
    private func endpoints(_ hosts: [Int]) -> [Endpoint] {
        hosts.map { Endpoint(address: IPv4Address(0x0af4_0000 + UInt32($0)), port: 80) }
    }

    func testEndpointsKeepTheirSlots() {
        for (slots, wanted, expected, reason) in [
            ([], [1, 2, 3], [1, 2, 3], "new"), ([1, 2, 3], [3, 2, 1], [1, 2, 3], "another order"),
            ([1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4], "one more"),
            ([1, 2, 3], [2, 3], [3, 2], "the last fills the hole"),
            ([1, 2, 3], [1, 2], [1, 2], "the last goes"), ([1, 2, 3], [1, 9, 3], [1, 9, 3], "one is replaced"),
            ([1, 2, 3], [], [], "none"), ([1, 2], [7, 8, 9], [7, 8, 9], "all others"),
        ] as [([Int], [Int], [Int], String)] {
            XCTAssertEqual(
                FilterServices.arrange(endpoints(wanted), keeping: endpoints(slots)), endpoints(expected), reason)
        }
    }

    /// The labels of what a change writes.
    private func changes(_ services: inout FilterServices, _ new: ServiceRoute, _ old: ServiceRoute?) -> [String] {
        var batch = FilterBatch(table: "t")
        services.set(new, replacing: old, in: &batch)
        return batch.finished().labels.dropFirst().dropLast().map { String($0) }
    }

    func testAChangeWritesWhatDiffers() {
        var services = FilterServices()
        let first = ServiceRoute.test(1, "10.96.0.20", 80, endpoints([1, 2]))
        XCTAssertEqual(
            changes(&services, first, nil),
            [
                "add chain services-2", "add rule to services-2", "add elements to services",
                "add elements to services-endpoints",
            ])
        XCTAssertEqual(changes(&services, first, first), [])
        let other = ServiceRoute.test(2, "10.96.0.21", 80, endpoints([3, 4]))
        XCTAssertEqual(
            changes(&services, other, nil), ["add elements to services", "add elements to services-endpoints"],
            "its class is there")
        let replaced = ServiceRoute.test(1, "10.96.0.20", 80, endpoints([1, 3]))
        XCTAssertEqual(
            changes(&services, replaced, first),
            ["delete elements from services-endpoints", "add elements to services-endpoints"],
            "the same number: the kernel checks nothing")
        let none = ServiceRoute.test(1, "10.96.0.20", 80, [])
        XCTAssertEqual(
            changes(&services, none, replaced),
            [
                "delete elements from services", "add elements to services",
                "delete elements from services-endpoints",
            ])
        var batch = FilterBatch(table: "t")
        services.remove(none, from: &batch)
        XCTAssertEqual(batch.finished().labels.dropFirst().dropLast(), ["delete elements from services"])
    }

    func testLostEndpoints() {
        let frontend = Frontend(address: IPv4Address(parsing: "10.96.0.20"), port: 80, transport: .tcp)
        func lost(_ old: ServiceRoute, _ new: ServiceRoute?) -> [Frontend: Set<Endpoint>] {
            let changes =
                new.map { RouteChanges(changed: [.init(old: old, new: $0)]) } ?? RouteChanges(removed: [old])
            return FilterAffinity.lost(changes)
        }
        let all = endpoints([1, 2, 3])
        let sticky = ServiceRoute.test(1, "10.96.0.20", 80, all, affinity: 60)
        XCTAssertEqual(lost(sticky, nil), [frontend: Set(all)])
        XCTAssertEqual(lost(sticky, .test(1, "10.96.0.20", 80, [all[0], all[2]], affinity: 60)), [frontend: [all[1]]])
        XCTAssertEqual(lost(sticky, .test(1, "10.96.0.20", 80, all)), [frontend: Set(all)], "affinity ends")
        XCTAssertEqual(lost(sticky, .test(1, "10.96.0.21", 80, all, affinity: 60)), [frontend: Set(all)], "it moves")
        XCTAssertEqual(
            lost(sticky, .test(1, "10.96.0.20", 80, all, affinity: 60, outside: [all[0]])),
            [frontend: [all[1], all[2]]], "they go for outsiders")
        XCTAssertEqual(lost(.test(1, "10.96.0.20", 80, all), nil), [:])
    }
}
