import Objects
import PluginKit
import Synchronization

@testable import CNI

/// `PluginRunner` without programs: keeps what it is asked and answers what it is told, else success with an address.
final class FakeRunner: PluginRunner {
    struct Call: Sendable, Equatable {
        let type: String
        let command: CNICommand
        let environment: [String: String]
        let input: JSON
        let limit: Int64
    }
    struct State {
        var calls: [Call] = []
        /// By type and command, "bridge ADD"; taken once.
        var failures: [String: CNIError] = [:]
        var answers: [String: JSON] = [:]
        var nextHost = 2
        var addresses: [String: String] = [:]
    }
    let state = Mutex(State())
    let directories = ["/plugins", "/more"]

    func run(
        _ type: String, _ command: CNICommand, environment: [String: String], input: [UInt8], limit: Int64
    ) throws(CNIError) -> PluginOutput {
        let json: JSON
        do { json = try JSON(parsing: input) } catch {
            throw .noAnswer(type: type, command: command.rawValue, reason: "\(error)")
        }
        let key = "\(type) \(command.rawValue)"
        let (failure, answer) = state.withLock { state -> (CNIError?, JSON?) in
            state.calls.append(
                Call(type: type, command: command, environment: environment, input: json, limit: limit))
            if let failure = state.failures.removeValue(forKey: key) { return (failure, nil) }
            if let answer = state.answers[key] { return (nil, answer) }
            if command != .add || type != "bridge" { return (nil, json["prevResult"]) }
            let container = environment["CNI_CONTAINERID"] ?? ""
            let address = "10.244.0.\(state.nextHost)"
            state.nextHost += 1
            state.addresses[container] = address
            return (
                nil,
                [
                    "cniVersion": json["cniVersion"],
                    "interfaces": [
                        ["name": "hostd0", "mac": "0a:00:00:00:00:01"],
                        ["name": .string("veth-\(container)"), "mac": "0a:00:00:00:00:02"],
                        [
                            "name": .string(environment["CNI_IFNAME"] ?? ""), "mac": "0a:00:00:00:00:03",
                            "sandbox": .string(environment["CNI_NETNS"] ?? ""),
                        ],
                    ],
                    "ips": [["address": .string("\(address)/24"), "gateway": "10.244.0.1", "interface": 2]],
                    "routes": [["dst": "0.0.0.0/0", "gw": "10.244.0.1"]],
                ]
            )
        }
        if let failure { throw failure }
        return PluginOutput(status: 0, output: answer.map { $0.exists ? $0.serialized() : [] } ?? [], errors: "")
    }

    /// "bridge ADD", … in order.
    var commands: [String] { state.withLock { $0.calls.map { "\($0.type) \($0.command.rawValue)" } } }
    func clear() { state.withLock { $0.calls = [] } }
}
