import CPluginCheck
import Glibc
import Kernel
import PluginAPI

/// What callers of hostd.api-extension/1 and hostd.api/1 build upon: rules 60 and 61.
enum ExtensionChecks {
    static func run(_ session: Session) {
        RoleChecks.run(session, HOSTD_API_EXTENSION_1, [(60, "routes", routes), (60, "serve", serve)])
    }

    private static let error = Value.error(UInt64(MemoryLayout<hostd_error>.size))

    private static func readRoutes(_ calls: JSONCalls) throws(Breach) -> [JSON] {
        guard let slot = calls.table.slot("routes"), calls.table.isThere(slot) else {
            throw Breach("routes is missing")
        }
        let answer = calls.subject.call(calls.table, slot, [.output, error])
        try expect(answer.isOK, "routes failed: \(answer.outcome.words)")
        guard let json = try? JSON(parsing: answer.output), case .array(let routes) = json["routes"] else {
            throw Breach("routes are no JSON object with \"routes\": \(Value.bytes(answer.output).words)")
        }
        return routes
    }

    private static func routes(_ calls: JSONCalls) throws(Breach) {
        for route in try readRoutes(calls) {
            let text = route.serializedString()
            try expect(
                route["path"].stringValue?.hasPrefix("/") == true, "the path of a route does not begin with /: \(text)")
            let methods = route["methods"].arrayValue.compactMap(\.stringValue)
            try expect(
                !methods.isEmpty && methods.allSatisfy { $0 == $0.uppercased() }, "a route has no methods: \(text)")
            try expect(
                ["", "none", "websocket", "ports"].contains(route["upgrade"].stringValue ?? ""),
                "a route's upgrade is unknown: \(text)")
        }
    }

    /// Each route, with parameters that name nothing, gets a head or a refusal, and its stream ends.
    private static func serve(_ calls: JSONCalls) throws(Breach) {
        guard let slot = calls.table.slot("serve"), calls.table.isThere(slot) else { throw Breach("serve is missing") }
        for route in try readRoutes(calls) {
            let request: JSON = [
                "method": route["methods"][0], "path": route["path"],
                "parameters": parameters(route["path"].stringValue ?? ""),
                "query": ["command": ["true"]], "headers": [:], "user": ["name": "check", "groups": ["check"]],
                "subprotocol": route["subprotocols"][0].isNull ? "" : route["subprotocols"][0],
            ]
            let deadline = Value.number(monotonicNanoseconds() + 5_000_000_000)
            let answer = calls.subject.call(
                calls.table, slot, [deadline, .bytes(request.serialized()), .bytes([]), .file(.socket), .output, error])
            guard answer.isOK else { continue }
            guard let head = try? JSON(parsing: answer.output) else {
                throw Breach(
                    "\(route["path"].stringValue ?? ""): the head is no JSON: \(Value.bytes(answer.output).words)")
            }
            let status = head["status"].integerValue ?? 0
            try expect(
                (100...599).contains(status),
                "\(route["path"].stringValue ?? ""): the head's status is \(head.serializedString())")
        }
    }

    /// The braces of a path with values.
    private static func parameters(_ path: String) -> JSON {
        let names = path.split(separator: "/").filter { $0.hasPrefix("{") }.map { $0.filter { !"{}.".contains($0) } }
        return .object(JSONObject(names.map { (String($0), JSON.string("none")) }))
    }
}

enum APIChecks {
    static func run(_ session: Session) {
        RoleChecks.run(session, HOSTD_API_1, [(61, "requests", requests)])
    }

    private static func requests(_ calls: JSONCalls) throws(Breach) {
        guard let slot = calls.table.slot("request"), calls.table.isThere(slot) else {
            throw Breach("request is missing")
        }
        for (method, path, wanted) in [
            ("GET", "/api/v1/namespaces/default/pods/none", 404), ("GET", "/api/v1/nothing", 404),
            ("GET", "/api/v1/namespaces", 200),
        ] {
            let deadline = Value.number(monotonicNanoseconds() + 10_000_000_000)
            let answer = calls.subject.call(
                calls.table, slot,
                [
                    deadline, .text(method), .text(path), .bytes([]), .output, .output,
                    .error(UInt64(MemoryLayout<hostd_error>.size)),
                ])
            try expect(answer.isOK, "\(method) \(path) failed: \(answer.outcome.words)")
            let status = Int32(truncatingIfNeeded: answer.number)
            try expect(Int(status) == wanted, "\(method) \(path) was answered with \(status)")
            try expect((try? JSON(parsing: answer.output)) != nil, "\(method) \(path) was answered with no JSON")
        }
    }
}
