import Objects
import XCTest

@testable import PodNetworking

/// Rules of policies as they are given: reading, checking, and what differs. Pure.
final class PolicyTableTests: XCTestCase {
    private func update(_ json: JSON) throws -> PolicyUpdate { try PolicyUpdate(json) }

    func testMessagesThatCannotBeRight() throws {
        let rows: [(JSON, String, String)] = [
            (["groups": [["type": "addresses"]]], "a group needs a name", "nothing to refer to it by"),
            (["groups": [["name": "g", "type": "pods"]]], "addresses or endpoints", "a kind that there is not"),
            (["groups": [["name": "g", "added": ["fd00::1"]]]], "no IPv4 address", "IPv6"),
            (
                ["groups": [["name": "g", "type": "endpoints", "added": [["address": "10.0.0.1"]]]]], "1 to 65535",
                "no port"
            ),
            (
                ["policies": [["name": "p", "ingress": [["peers": [[:]]]]]]], "needs a group, or a cidr",
                "a peer that is nothing"
            ),
            (
                ["policies": [["name": "p", "ingress": [["peers": [["cidr": "10.0.0.0/33"]]]]]]], "10.0.0.0/33",
                "too long a prefix"
            ),
            (
                ["policies": [["name": "p", "egress": [["ports": [["protocol": "ICMP"]]]]]]], "TCP, UDP or SCTP",
                "a protocol without ports"
            ),
            (
                ["policies": [["name": "p", "egress": [["ports": [["port": 90, "endPort": 80]]]]]]], "less than port",
                "a range from high to low"
            ),
            (["subjects": [["address": "x"]]], "a subject", "no address"),
            (["removed": ["subjects": ["x"]]], "removed.subjects", "no address"),
        ]
        for (json, expected, reason) in rows {
            XCTAssertThrowsError(try update(json), reason) {
                XCTAssertTrue("\($0)".contains(expected), "\(reason): \($0)")
            }
        }
    }

    func testReadsRules() throws {
        let read = try update([
            "policies": [
                [
                    "name": "d/p",
                    "ingress": [
                        [:], ["peers": [], "ports": []],
                        [
                            "peers": [
                                ["group": "g"], ["cidr": "10.1.2.3/8", "except": ["10.1.0.0/16"]], ["cidr": "fd00::/8"],
                            ],
                            "ports": [
                                ["protocol": "UDP"], ["port": 80], ["protocol": "SCTP", "port": 80, "endPort": 90],
                                ["group": "http"],
                            ],
                        ],
                    ],
                ]
            ]
        ])
        let block = PolicyRule.Peer.block(
            IPv4Range(around: IPv4Address(10 << 24), prefixLength: 8),
            except: [IPv4Range(around: IPv4Address(10 << 24 | 1 << 16), prefixLength: 16)])
        XCTAssertEqual(
            read.policies,
            [
                PolicyRules(
                    name: "d/p",
                    ingress: [
                        PolicyRule(), PolicyRule(peers: [], ports: []),
                        PolicyRule(
                            peers: [.group("g"), block],
                            ports: [
                                .range(.udp, 0...65535), .range(.tcp, 80...80), .range(.sctp, 80...90), .group("http"),
                            ]),
                    ])
            ])
        XCTAssertNil(read.policies[0].egress)
    }

    private let base: JSON = [
        "full": true,
        "groups": [
            ["name": "g", "type": "addresses", "added": ["10.244.0.5", "10.244.0.6"]],
            ["name": "http", "type": "endpoints", "added": [["address": "10.244.0.5", "port": 80]]],
        ],
        "policies": [["name": "d/p", "ingress": [["peers": [["group": "g"]], "ports": [["group": "http"]]]]]],
        "subjects": [["address": "10.244.0.5", "ingress": ["d/p"]]],
    ]

    func testOnlyDifferencesAreChanges() throws {
        var table = PolicyTable()
        let first = try table.apply(try update(base))
        XCTAssertEqual(first.groups.count, 2)
        XCTAssertEqual(first.groups["g"]?.isNew, true)
        XCTAssertTrue(try table.apply(try update(base)).isEmpty, "the same again, in full")
        XCTAssertTrue(
            try table.apply(try update(["groups": [["name": "g", "added": ["10.244.0.5"], "removed": ["10.9.9.9"]]]]))
                .isEmpty, "a member that is there, and one that is not")
        let change = try table.apply(
            try update(["groups": [["name": "g", "added": ["10.244.0.7"], "removed": ["10.244.0.6"]]]]))
        XCTAssertEqual(change.groups.keys.sorted(), ["g"])
        XCTAssertEqual(change.groups["g"]?.added, [.address(IPv4Address(0x0af4_0007))])
        XCTAssertEqual(change.groups["g"]?.removed, [.address(IPv4Address(0x0af4_0006))])
        XCTAssertEqual(change.groups["g"]?.isNew, false)
        XCTAssertTrue(change.policies.isEmpty && change.subjects.isEmpty)
        let all = try table.apply(try update(["groups": [["name": "g", "full": true, "added": ["10.244.0.8"]]]]))
        XCTAssertEqual(all.groups["g"]?.removed.count, 2)
        let empty = try table.apply(try update(["full": true]))
        XCTAssertEqual(empty.removedGroups, ["g", "http"])
        XCTAssertEqual(empty.subjects.count, 1)
        XCTAssertNil(empty.policies[0].new)
        XCTAssertTrue(table.isEmpty)
    }

    func testWhatIsNamedMustBeThere() throws {
        let rows: [(JSON, String?, String)] = [
            (["policies": [["name": "q", "egress": [["peers": [["group": "none"]]]]]]], "none", "an unknown group"),
            (
                ["policies": [["name": "q", "egress": [["ports": [["group": "g"]]]]]]], "endpoints",
                "addresses as ports"
            ),
            (["subjects": [["address": "10.0.0.1", "ingress": ["none"]]]], "none", "an unknown policy"),
            (["subjects": [["address": "10.0.0.1", "egress": ["d/p"]]]], "no egress rules", "the other direction"),
            (["removed": ["policies": ["d/p"]]], "cannot go", "a subject names it"),
            (["removed": ["groups": ["g"]]], "cannot go", "a policy names it"),
            (["groups": [["name": "g", "type": "endpoints"]]], "holds addresses", "another kind"),
            (["removed": ["policies": ["d/p"], "subjects": ["10.244.0.5"], "groups": ["g"]]], nil, "all of it goes"),
            (["removed": ["policies": ["x"], "subjects": ["10.0.0.9"], "groups": ["y"]]], nil, "what is not there"),
            (
                [
                    "policies": [["name": "q", "egress": []]],
                    "subjects": [["address": "10.244.0.5", "egress": ["q"]]],
                    "removed": ["policies": ["d/p"], "groups": ["g", "http"]],
                ], nil, "one policy takes another's place"
            ),
        ]
        for (json, expected, reason) in rows {
            var table = PolicyTable()
            _ = try table.apply(try update(base))
            do {
                _ = try table.apply(try update(json))
                XCTAssertNil(expected, reason)
            } catch {
                XCTAssertTrue("\(error)".contains(expected ?? "nothing"), "\(reason): \(error)")
            }
        }
    }

    func testIntervals() {
        typealias Row = ([ClosedRange<UInt16>], [ClosedRange<UInt16>], [ClosedRange<UInt16>], String)
        let rows: [Row] = [
            ([], [], [], "nothing"),
            ([5...9, 1...2], [], [1...2, 5...9], "in order"),
            ([1...4, 5...9, 7...8], [], [1...9], "neighbours and overlaps are one"),
            ([0...65535, 3...3], [], [0...65535], "everything"),
            ([1...9], [4...5], [1...3, 6...9], "a hole"),
            ([1...9], [0...1, 9...20], [2...8], "both ends"),
            ([1...9], [0...20], [], "all of it"),
            ([1...9, 20...30], [5...25], [1...4, 26...30], "a hole over two"),
            ([1...3, 5...7], [2...2, 6...6], [1...1, 3...3, 5...5, 7...7], "a hole in each"),
            ([0...65535], [0...0, 65535...65535], [1...65534], "the ends of the numbers"),
            ([10...20], [1...2, 12...13], [10...11, 14...20], "a hole before"),
        ]
        for (ranges, holes, expected, reason) in rows {
            XCTAssertEqual(Intervals(ranges).subtracting(Intervals(holes)).ranges, expected, reason)
        }
        XCTAssertEqual(
            Intervals<UInt16>([80...81, 65535...65535]).elements,
            [
                FilterElement(key: [0, 80]), FilterElement(key: [0, 82], data: .intervalEnd),
                FilterElement(key: [255, 255]),
            ], "the last number has none behind it")
    }

    func testAnExceptionHoldsForItsOwnBlock() throws {
        func range(_ text: String) throws -> IPv4Range { try XCTUnwrap(IPv4Range(parsing: text)) }
        let blocks = Intervals(blocks: [
            (try range("10.0.0.0/8"), [try range("10.1.0.0/16"), try range("10.2.0.0/16")]),
            (try range("10.1.2.0/24"), []),
        ])
        let rows: [(String, Bool)] = [
            ("10.0.0.1", true), ("10.1.0.1", false), ("10.1.2.3", true), ("10.1.3.0", false), ("10.2.255.255", false),
            ("10.3.0.0", true), ("9.255.255.255", false), ("11.0.0.0", false),
        ]
        for (address, expected) in rows {
            XCTAssertEqual(blocks.contains(try XCTUnwrap(IPv4Address(parsing: address))), expected, address)
        }
    }

    func testNamesOfChains() {
        XCTAssertEqual(FilterPolicies.chain("default/web-1.x", .ingress), "ingress/default/web-1.x")
        let long = String(repeating: "a", count: 300)
        for name in [long, "a b", "x;y"] {
            let chain = FilterPolicies.chain(name, .egress)
            XCTAssertTrue(chain.hasPrefix("egress/=") && chain.utf8.count < 40, chain)
        }
        XCTAssertNotEqual(FilterPolicies.chain(long, .egress), FilterPolicies.chain(long + "a", .egress))
    }
}
