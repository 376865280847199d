import Objects
import PluginKit
import PodNetworking

/// Runs a network's plugins one after the other, as section 3 of the specification says.
struct PluginChain: Sendable {
    let runner: any PluginRunner
    /// For one run, in milliseconds.
    let timeout: Int64

    /// Attaches: each plugin is given the result of the one before. When one fails, the specification asks for DEL.
    /// - Parameter deadline: of the monotonic clock; 0 = none.
    func add(_ list: NetworkList, _ request: CNIRequest, deadline: UInt64) throws -> CNIResult {
        var result: JSON?
        for plugin in list.plugins {
            let input = CNICommand.input(plugin, of: list, request, previous: result)
            let answer = try run(.add, plugin, request, input, deadline)
            guard answer.objectValue != nil else {
                throw CNIError.noAnswer(
                    type: plugin["type"].stringValue ?? "", command: "ADD", reason: "it answered without a result")
            }
            result = answer
            result?["cniVersion"] = .string(list.version.description)
        }
        return CNIResult(result ?? [:])
    }

    /// Throws unless all plugins find the attachment as they left it. Does nothing where there is no CHECK.
    func check(_ list: NetworkList, _ request: CNIRequest, result: CNIResult, deadline: UInt64) throws {
        guard list.version.hasCheck, !list.disablesCheck else { return }
        for plugin in list.plugins {
            let input = CNICommand.input(plugin, of: list, request, previous: result.json)
            _ = try run(.check, plugin, request, input, deadline)
        }
    }

    /// Detaches, the last plugin first. What is gone already is success.
    /// - Parameter result: what ADD gave; nil when it did not come to that.
    func delete(_ list: NetworkList, _ request: CNIRequest, result: CNIResult?, deadline: UInt64) throws {
        for plugin in list.plugins.reversed() {
            let previous = list.version.hasCheck ? result?.json : nil
            _ = try run(
                .delete, plugin, request, CNICommand.input(plugin, of: list, request, previous: previous), deadline)
        }
    }

    /// Tells the plugins which attachments there are. All are asked, and then the first failure thrown.
    func collectGarbage(
        _ list: NetworkList, keeping valid: [(container: String, interface: String)], deadline: UInt64
    ) throws {
        guard list.version.hasGarbageCollection, !list.disablesGarbageCollection else { return }
        var failure: (any Error)?
        for plugin in list.plugins {
            let input = CNICommand.input(plugin, of: list, nil, valid: valid)
            do { _ = try run(.collectGarbage, plugin, nil, input, deadline) } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }

    /// Throws when a plugin says that it cannot attach at the moment.
    func status(_ list: NetworkList, deadline: UInt64) throws {
        guard list.version.hasGarbageCollection else { return }
        for plugin in list.plugins {
            _ = try run(.status, plugin, nil, CNICommand.input(plugin, of: list, nil), deadline)
        }
    }

    /// Throws unless every plugin of the list, and of its address management, is there and speaks the list's version.
    func probe(_ list: NetworkList) throws {
        var seen: Set<String> = []
        for type in list.types + list.plugins.compactMap({ $0["ipam"]["type"].stringValue })
        where seen.insert(type).inserted {
            let question: JSON = ["cniVersion": .string(list.version.description)]
            let answer = try run(.version, ["type": .string(type)], nil, question, 0)
            let supported = answer["supportedVersions"].arrayValue.compactMap(\.stringValue)
            guard supported.contains(list.version.description) else {
                throw CNIError.version(type: type, wanted: list.version.description, supported: supported)
            }
        }
    }

    private func run(
        _ command: CNICommand, _ plugin: JSON, _ request: CNIRequest?, _ input: JSON, _ deadline: UInt64
    ) throws(CNIError) -> JSON {
        let type = plugin["type"].stringValue ?? ""
        var limit = timeout
        if deadline != 0 {
            let now = monotonicNanoseconds()
            limit = min(limit, deadline > now ? Int64((deadline - now) / 1_000_000) : 0)
            if limit <= 0 { throw .timeout(type: type, command: command.rawValue, milliseconds: 0) }
        }
        let output = try runner.run(
            type, command, environment: command.environment(request, directories: runner.directories),
            input: input.serialized(), limit: limit)
        return try Self.answer(output, type, command)
    }

    /// Success with a result or without; or the plugin's own words.
    static func answer(_ output: PluginOutput, _ type: String, _ command: CNICommand) throws(CNIError) -> JSON {
        var json = JSON.null
        let text = output.output.drop { $0 <= 32 }
        if !text.isEmpty {
            do { json = try JSON(parsing: Array(text)) } catch {
                let start = String(decoding: text.prefix(200), as: UTF8.self)
                throw .noAnswer(
                    type: type, command: command.rawValue, reason: "what it wrote is no JSON (\(error)): \(start)")
            }
        }
        if output.status == 0 { return json }
        if let code = json["code"].integerValue {
            throw .plugin(
                type: type, command: command.rawValue, code: code, message: json["msg"].stringValue ?? "",
                details: json["details"].stringValue ?? "")
        }
        let words = output.errors.split(separator: "\n").last.map { ": \($0.prefix(400))" } ?? " and said nothing"
        throw .noAnswer(type: type, command: command.rawValue, reason: "it ended with \(output.status)\(words)")
    }
}
