import PluginAPI
import XCTest

@testable import Kernel

/// Proves that each role's descriptor and its C declaration are the same thing, by reading the headers.
final class HeaderTests: XCTestCase {
    func testDescriptorsMatchTheDeclarations() throws {
        let headers: [(file: String, id: String)] = [
            ("roles/api.h", HOSTD_API_1), ("roles/api_extension.h", HOSTD_API_EXTENSION_1),
            ("roles/device.h", HOSTD_DEVICE_1),
            ("roles/network.h", HOSTD_NETWORK_1), ("roles/runtime.h", HOSTD_RUNTIME_1),
            ("roles/scheduler.h", HOSTD_SCHEDULER_1),
            ("roles/state.h", HOSTD_STATE_1), ("roles/store.h", HOSTD_STORE_1), ("roles/volume.h", HOSTD_VOLUME_1),
            ("services/environment.h", HOSTD_ENVIRONMENT_1), ("services/events.h", HOSTD_EVENTS_1),
            ("services/log.h", HOSTD_LOG_1),
            ("services/metrics.h", HOSTD_METRICS_1), ("services/reconcile.h", HOSTD_RECONCILE_1),
            ("services/election.h", HOSTD_ELECTION_1),
            ("services/roles.h", HOSTD_ROLES_1),
            ("services/timers.h", HOSTD_TIMERS_1), ("draft/plugins.h", HOSTD_PLUGINS_1),
        ]
        for (file, id) in headers {
            let text = String(
                decoding: try ScratchDirectory.contents("\(Fixture.include)/hostd/\(file)"), as: UTF8.self)
            let declared = try Declaration.slots(in: text)
            let descriptor = try SlotDescriptor(try XCTUnwrap(RoleCatalog.slots(id), id))
            XCTAssertEqual(declared.map(\.name), descriptor.names, id)
            for (index, slot) in declared.enumerated() where index < descriptor.count {
                let letters = Array(descriptor.letters(UInt32(index)))
                XCTAssertEqual(letters.count, slot.letters.count, "\(id) \(slot.name)")
                for (letter, possible) in zip(letters, slot.letters) {
                    XCTAssertTrue(possible.contains(letter), "\(id) \(slot.name): \(letter) is not one of \(possible)")
                }
            }
        }
    }

    func testTablesAreHeadsAndSlots() {
        let sizes: [(String, Int)] = [
            (HOSTD_API_1, MemoryLayout<hostd_api_1>.size),
            (HOSTD_API_EXTENSION_1, MemoryLayout<hostd_api_extension_1>.size),
            (HOSTD_DEVICE_1, MemoryLayout<hostd_device_1>.size), (HOSTD_NETWORK_1, MemoryLayout<hostd_network_1>.size),
            (HOSTD_RUNTIME_1, MemoryLayout<hostd_runtime_1>.size),
            (HOSTD_SCHEDULER_1, MemoryLayout<hostd_scheduler_1>.size),
            (HOSTD_STATE_1, MemoryLayout<hostd_state_1>.size), (HOSTD_STORE_1, MemoryLayout<hostd_store_1>.size),
            (HOSTD_VOLUME_1, MemoryLayout<hostd_volume_1>.size),
            (HOSTD_ENVIRONMENT_1, MemoryLayout<hostd_environment_1>.size),
            (HOSTD_EVENTS_1, MemoryLayout<hostd_events_1>.size), (HOSTD_LOG_1, MemoryLayout<hostd_log_1>.size),
            (HOSTD_METRICS_1, MemoryLayout<hostd_metrics_1>.size),
            (HOSTD_RECONCILE_1, MemoryLayout<hostd_reconcile_1>.size),
            (HOSTD_ELECTION_1, MemoryLayout<hostd_election_1>.size),
            (HOSTD_ROLES_1, MemoryLayout<hostd_roles_1>.size), (HOSTD_TIMERS_1, MemoryLayout<hostd_timers_1>.size),
            (HOSTD_PLUGINS_1, MemoryLayout<hostd_plugins_1>.size),
        ]
        XCTAssertEqual(sizes.count, RoleCatalog.roles.count + RoleCatalog.services.count + RoleCatalog.state.count)
        for (id, size) in sizes {
            let slots = RoleCatalog.slots(id)?.split(separator: ";").count ?? 0
            XCTAssertEqual(size, MemoryLayout<hostd_interface>.size + slots * MemoryLayout<UnsafeRawPointer>.size, id)
        }
    }
}

/// A slot as a header declares it: for each letter of its descriptor those that its C types allow.
private struct Declaration {
    let name: String
    let letters: [String]

    struct Unreadable: Error { let text: String }

    /// The function pointers of the struct that begins with `hostd_interface interface;`.
    static func slots(in header: String) throws -> [Declaration] {
        guard let start = header.firstRange(of: "hostd_interface interface;") else {
            throw Unreadable(text: "no table")
        }
        let lines = header[start.upperBound...].split(separator: "\n").filter { !$0.drop { $0 == " " }.hasPrefix("//") }
        let body = lines.joined(separator: " ").prefix { $0 != "}" }
        return try body.split(separator: ";").map(String.init).filter { $0.contains("(*") }.map { try Declaration($0) }
    }

    private init(_ text: String) throws {
        guard let name = text.firstRange(of: "(*"), let close = text[name.upperBound...].firstIndex(of: ")"),
            let open = text[close...].firstIndex(of: "("), let end = text.lastIndex(of: ")")
        else { throw Unreadable(text: text) }
        self.name = String(text[name.upperBound..<close])
        let arguments = text[text.index(after: open)..<end].split(separator: ",").map { Self.type($0) }
        guard arguments.first == "void *" else { throw Unreadable(text: "\(text): self comes first") }
        letters = try Self.letters(Array(arguments.dropFirst()))
    }

    /// An argument's type without its name and nullability: "const uint8_t *".
    private static func type(_ argument: Substring) -> String {
        let words = argument.split(separator: " ").filter { !$0.hasPrefix("HOSTD_N") }.map(String.init)
        var type = words.dropLast().joined(separator: " ")
        if let last = words.last, last.hasPrefix("*") {
            type += " *"
        } else if let last = words.last, last == "*" {
            type += " *"
        }
        // "void *HOSTD_NULLABLE self" splits into "void", "*HOSTD_NULLABLE", "self".
        return type.split(separator: " ").map { $0.hasPrefix("*") ? "*" : String($0) }.joined(separator: " ")
    }

    private static func letters(_ types: [String]) throws -> [String] {
        var letters: [String] = []
        var rest = types[...]
        while let type = rest.popFirst() {
            switch (type, rest.first) {
            case ("const uint8_t *", "uint64_t"), ("hostd_completion", "void *"), ("hostd_sink", "void *"),
                ("hostd_callback", "void *"):
                letters.append(["const uint8_t *": "b", "hostd_completion": "c", "hostd_sink": "v"][type] ?? "q")
                rest.removeFirst()
            case ("uint64_t", _): letters.append("wht")
            case ("int64_t", _): letters.append("l")
            case ("int32_t", _): letters.append("ifF")
            case ("uint32_t", _): letters.append("u")
            case ("double", _): letters.append("d")
            case ("hostd_buffer *", _): letters.append("o")
            case ("hostd_error *", _): letters.append("e")
            case ("uint64_t *", _): letters.append("HW")
            case ("int32_t *", _): letters.append("I")
            default:
                guard type.hasPrefix("const hostd_") && type.hasSuffix("*") else { throw Unreadable(text: type) }
                letters.append("s")
            }
        }
        return letters
    }
}
