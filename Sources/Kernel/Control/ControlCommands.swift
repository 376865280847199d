import Glibc
import Objects
import PluginAPI

/// What can be asked of a running hostd over its control socket.
public struct ControlCommands: Sendable {
    let host: PluginHost
    let reload: @Sendable () throws(ControlFailure) -> JSON
    let stop: @Sendable (_ stopWorkloads: Bool) -> Void
    let rotateKeys: @Sendable () throws(StoreError) -> Void

    public init(
        host: PluginHost, reload: @escaping @Sendable () throws(ControlFailure) -> JSON,
        stop: @escaping @Sendable (_ stopWorkloads: Bool) -> Void,
        rotateKeys: @escaping @Sendable () throws(StoreError) -> Void = {}
    ) {
        self.rotateKeys = rotateKeys
        self.host = host
        self.reload = reload
        self.stop = stop
    }

    public func answer(_ message: inout ControlMessage) throws(ControlFailure) -> JSON {
        let request = message.json
        switch request["command"].stringValue {
        case "version": return ["version": .string(HostEnvironment.version), "processID": JSON(getpid())]
        case "plugins": return host.describe()
        case "call": return try call(request, &message.files)
        case "reload": return try reload()
        case "rotateKeys":
            do throws(StoreError) { try rotateKeys() } catch { throw ControlFailure(code: error.code, error.message) }
            return [:]
        case "swap": return try swap(request["request"])
        case "stop":
            stop(request["stopWorkloads"].boolValue ?? false)
            return [:]
        default:
            throw ControlFailure(
                code: HOSTD_ERROR_NOT_SUPPORTED,
                "unknown command \(request["command"].serializedString()); there are call, plugins, reload, rotateKeys, stop, swap and version"
            )
        }
    }

    /// A request of hostd.plugins/1, carried out before the answer.
    private func swap(_ request: JSON) throws(ControlFailure) -> JSON {
        do throws(PluginFailure) { return try host.perform(try SwapRequest(request)) } catch {
            throw ControlFailure(code: error.code, error.description)
        }
    }

    /// {"role","slot","plugin"?,"arguments":[…],"timeoutMilliseconds"?} and files.
    private func call(_ request: JSON, _ files: inout [Int32]) throws(ControlFailure) -> JSON {
        guard let role = request["role"].stringValue, let slot = request["slot"].stringValue else {
            throw ControlFailure(code: HOSTD_ERROR_INVALID_ARGUMENT, "a call needs \"role\" and \"slot\"")
        }
        let timeout = UInt64(clamping: request["timeoutMilliseconds"].integerValue ?? 0)
        let deadline =
            timeout == 0
            ? 0 : time(monotonicNow(), plus: timeout.multipliedReportingOverflow(by: 1_000_000).partialValue)
        let lent = files
        if let shape = host.shape(role: role, plugin: request["plugin"].stringValue, slot: slot) {
            let kinds = shape.filter { $0 == "f" || $0 == "F" }
            // Files of letter F belong to the provider once it was called with them.
            if kinds.count == lent.count { files = zip(kinds, lent).filter { $0.0 == "f" }.map(\.1) }
        }
        do {
            let result = try host.call(
                role: role, plugin: request["plugin"].stringValue, slot: slot,
                arguments: request["arguments"].arrayValue,
                files: lent, deadline: deadline)
            if request["encoding"] == "base64" {
                return ["base64": .string(Base64.encode(result.output ?? []))]
            }
            return Self.json(result)
        } catch {
            if !error.wasCalled { files = lent }
            throw ControlFailure(code: error.code, "\(role) \(slot): \(error)")
        }
    }

    /// {"value": JSON} where the output is JSON, {"text"} where it is text, {"bytes": count} where it is neither, and
    /// {"number"}.
    private static func json(_ result: PluginHost.CallResult) -> JSON {
        var json: JSON = [:]
        if let output = result.output {
            if let value = try? JSON(parsing: output) {
                json["value"] = value
            } else if let text = String(validating: output, as: UTF8.self) {
                json["text"] = .string(text)
            } else {
                json["bytes"] = JSON(output.count)
            }
        }
        if let number = result.number { json["number"] = JSON(number) }
        return json
    }
}
