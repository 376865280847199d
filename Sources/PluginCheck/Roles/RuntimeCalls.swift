import CPluginCheck
import Glibc
import Kernel
import PluginAPI

/// Calls of hostd.runtime/1 that run shell commands in containers.
struct RuntimeCalls {
    let calls: JSONCalls
    /// What containers are made of.
    let image: String
    /// Messages of a watch of the runtime.
    let events: OpaquePointer

    /// Nanoseconds that a container has to come to a state.
    static let patience: UInt64 = 12_000_000_000
    private static let errorValue = Value.error(UInt64(MemoryLayout<hostd_error>.size))

    /// Looks after an image and a watch. nil when the runtime has no image for a check, which is told of.
    init?(_ calls: JSONCalls) throws(Breach) {
        self.calls = calls
        guard let image = try Self.image(calls) else { return nil }
        self.image = image
        guard let slot = calls.table.slot("watch"), calls.table.isThere(slot) else {
            throw Breach("there is no watch, and without one nobody learns that a container has ended")
        }
        let answer = calls.subject.call(calls.table, slot, [.sink, .output, Self.errorValue])
        guard answer.isOK, let stream = answer.stream else { throw Breach("watch failed: \(answer.outcome.words)") }
        events = stream
    }

    /// The archive of the command line; for runtimes that load none, a name.
    private static func image(_ calls: JSONCalls) throws(Breach) -> String? {
        if let path = calls.session.options.image, let slot = calls.table.slot("load_image"), calls.table.isThere(slot)
        {
            let answer = try load(calls, slot, path)
            if answer.outcome.status != HOSTD_ERROR_NOT_SUPPORTED { return try name(answer, path) }
        }
        if let slot = calls.table.slot("pull_image"), calls.table.isThere(slot) {
            let answer = calls.subject.call(
                calls.table, slot, [.text("{\"image\":\"check\"}"), .completion, .output, errorValue])
            if answer.isOK, let operation = answer.operation, check_operation_wait(operation, 1, patience) == 1,
                check_operation_status(operation) == HOSTD_OK
            {
                return "check"
            }
        }
        calls.session.reporter.skip("containers of hostd.runtime/1", "they need an image with a shell: --image ARCHIVE")
        return nil
    }

    private static func load(
        _ calls: JSONCalls, _ slot: CheckedTable.Slot, _ path: String
    ) throws(Breach) -> SlotAnswer {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        try expect(file >= 0, "\(path) cannot be opened: \(String(cString: strerror(errno)))")
        let deadline = monotonicNanoseconds() + 20_000_000_000
        return calls.subject.call(
            calls.table, slot, [.number(deadline), .text("{}"), .number(UInt64(file)), .output, errorValue])
    }

    /// A shell among the images that were loaded, else the first.
    private static func name(_ answer: SlotAnswer, _ path: String) throws(Breach) -> String {
        let names = (try? JSON(parsing: answer.output))?["images"].arrayValue
            .flatMap { $0["repoTags"].arrayValue.compactMap(\.stringValue) }
        guard answer.isOK, let names, let name = names.first(where: { $0.contains("busybox") }) ?? names.first else {
            throw Breach("load_image of \(path) failed: \(answer.outcome.words)")
        }
        return name
    }

    // MARK: Sandboxes and containers

    var logDirectory: String { "\(calls.session.scratch)/work/logs" }

    func sandbox(_ name: String) throws(Breach) -> JSON {
        mkdir(logDirectory, 0o755)
        let answer = try calls.succeed(
            "run_sandbox",
            [
                "config": [
                    "podUID": .string("uid-\(name)"), "name": .string(name), "namespace": "check", "attempt": 0,
                    "hostname": .string(name), "logDirectory": .string(logDirectory),
                    "labels": ["check": .string(name)],
                ]
            ])
        try expect(
            answer["sandbox"]["id"].stringValue?.isEmpty == false,
            "run_sandbox answers no id: \(answer.serializedString())")
        return answer["sandbox"]
    }

    func create(_ sandbox: JSON, _ name: String, _ command: [String]) throws(Breach) -> String {
        let answer = try calls.succeed("create_container", request(sandbox, name, command, image: image))
        guard let id = answer["id"].stringValue, !id.isEmpty else {
            throw Breach("create_container answers no id: \(answer.serializedString())")
        }
        return id
    }

    func request(_ sandbox: JSON, _ name: String, _ command: [String], image: String) -> JSON {
        [
            "sandboxID": sandbox["id"],
            "config": [
                "name": .string(name), "attempt": 0, "image": .string(image), "command": JSON(command),
                "logPath": .string("\(name).log"), "labels": ["check": .string(name)],
            ],
        ]
    }

    /// Makes a container that runs a shell command, and starts it.
    func run(_ sandbox: JSON, _ name: String, _ script: String) throws(Breach) -> String {
        let id = try create(sandbox, name, ["/bin/sh", "-c", script])
        try calls.succeed("start_container", ["id": .string(id)])
        return id
    }

    func containers(_ request: JSON) throws(Breach) -> [JSON] {
        try calls.succeed("list_containers", request)["containers"].arrayValue
    }

    func sandboxes(_ request: JSON) throws(Breach) -> [JSON] {
        try calls.succeed("list_sandboxes", request)["sandboxes"].arrayValue
    }

    func container(_ id: String) throws(Breach) -> JSON {
        let all = try containers(["id": .string(id)])
        try expect(
            all.count == 1 && all[0]["id"].stringValue == id,
            "list_containers of \(id) shows \(all.map { $0["id"].serializedString() })", rule: 47)
        return all[0]
    }

    /// Waits, from one message of the watch to the next, until a container has ended.
    func ended(_ id: String) throws(Breach) -> JSON {
        let deadline = monotonicNanoseconds() + Self.patience
        var seen = check_stream_wait(events, 0, 0)
        while true {
            let now = try container(id)
            if now["state"].stringValue == "exited" { return now }
            let left = deadline - min(deadline, monotonicNanoseconds())
            try expect(
                left > 0, "its process has ended, and the container is \(now["state"].serializedString())", rule: 47)
            seen = check_stream_wait(events, seen + 1, left)
        }
    }

    /// Types of the messages that told of a container, in order.
    func told(_ id: String) -> [String] {
        var types: [String] = []
        var message = check_message()
        var index: UInt64 = 0
        while check_stream_message(events, index, &message) == 1 {
            index += 1
            let bytes = Array(
                UnsafeBufferPointer(start: message.data, count: message.data == nil ? 0 : Int(message.size)))
            guard let json = try? JSON(parsing: bytes), json["containerID"].stringValue == id else { continue }
            types.append(json["type"].stringValue ?? "")
        }
        return types
    }

    func remove(_ sandbox: JSON) throws(Breach) {
        try calls.succeed("remove_sandbox", ["id": sandbox["id"]])
    }

    // MARK: Processes in them

    func execSync(_ id: String, _ script: String, seconds: Int64 = 10) throws(Breach) -> JSONCalls.Answer {
        try calls.call(
            "exec_sync",
            [
                "id": .string(id), "command": ["/bin/sh", "-c", .string(script)], "timeoutSeconds": .integer(seconds),
            ])
    }

    /// The slot `exec` with the ends of streams, which are given away. nil when it is missing.
    func exec(_ id: String, _ script: String, _ streams: [Int32]) -> SlotAnswer? {
        guard let slot = calls.table.slot("exec"), calls.table.isThere(slot) else {
            for stream in streams where stream >= 0 { close(stream) }
            return nil
        }
        let request: JSON = ["id": .string(id), "command": ["/bin/sh", "-c", .string(script)]]
        return calls.subject.call(
            calls.table, slot,
            [.bytes(request.serialized())] + streams.map { .number(UInt64(bitPattern: Int64($0))) }
                + [.completion, .output, Self.errorValue])
    }

    func cancel(exec operation: UInt64) -> Outcome {
        guard let slot = calls.table.slot("exec_cancel"), calls.table.isThere(slot) else {
            return Outcome(status: HOSTD_ERROR_NOT_SUPPORTED, message: "exec_cancel is missing")
        }
        return calls.subject.call(calls.table, slot, [.number(operation), Self.errorValue]).outcome
    }
}
