import CPluginCheck
import Glibc
import Kernel
import PluginAPI

/// What callers of hostd.runtime/1 build upon: rules 47 to 49. Containers are shells of an image, in namespaces and control
/// groups of the check's own.
enum RuntimeChecks {
    typealias Body = @Sendable (RuntimeCalls) throws(Breach) -> Void

    static func run(_ session: Session) {
        guard session.isPrivileged else {
            session.reporter.skip(
                "containers of hostd.runtime/1", "they need root and namespaces: \(session.sandboxFailure)")
            return
        }
        guard session.open(), session.description?.provides.contains(HOSTD_RUNTIME_1) == true,
            let (subject, table) = session.active(HOSTD_RUNTIME_1)
        else { return }
        let calls = JSONCalls(subject: subject, table: table, session: session)
        let made = session.prepare(47, "image and watch", interface: HOSTD_RUNTIME_1) { () throws(Breach) in
            try RuntimeCalls(calls)
        }
        if case .some(.some(let runtime)) = made {
            for (rule, name, body) in all {
                session.check(rule, name, interface: HOSTD_RUNTIME_1) {
                    // What a check that broke off leaves behind is no business of the next.
                    defer { clear(calls) }
                    try body(runtime)
                }
            }
        }
        session.judge(subject.deactivate())
        subject.destroy()
    }

    private static func clear(_ calls: JSONCalls) {
        guard let answer = try? calls.call("list_sandboxes", [:]) else { return }
        for sandbox in answer.json["sandboxes"].arrayValue {
            _ = try? calls.call("remove_sandbox", ["id": sandbox["id"]])
        }
    }

    private static let all: [(rule: Int, name: String, body: Body)] =
        [
            (47, "states of a sandbox", sandboxStates), (47, "states of a container", containerStates),
            (47, "a container that is stopped", stopped), (47, "what cannot be made or started", refused),
            (47, "the watch", watch), (48, "what is gone already", gone), (48, "removing a sandbox", removeSandbox),
        ] + RuntimeOutputChecks.all

    private static func sandboxStates(_ runtime: RuntimeCalls) throws(Breach) {
        let (first, second) = (try runtime.sandbox("one"), try runtime.sandbox("two"))
        try expect(first["id"] != second["id"], "two sandboxes have the id \(first["id"].serializedString())")
        try expect(first["createdAt"].stringValue?.isEmpty == false, "a sandbox has no createdAt")
        for (request, due) in [
            ([:], [first, second]), (["id": first["id"]], [first]), (["podUID": "uid-two"], [second]),
            (["id": "nothing"], []),
        ] as [(JSON, [JSON])] {
            let shown = try runtime.sandboxes(request)
            let (ids, dueIDs) = (Set(shown.map { $0["id"] }), Set(due.map { $0["id"] }))
            try expect(
                ids == dueIDs && shown.count == due.count,
                "list_sandboxes of \(request.serializedString()) shows \(shown.count), where \(due.count) exist")
            try expect(
                shown.allSatisfy { $0["state"] == "ready" && $0["namespace"] == "check" },
                "a sandbox that runs is not ready, or of another namespace: \(JSON.array(shown).serializedString())")
        }
        try runtime.calls.succeed("stop_sandbox", ["id": first["id"]])
        let states = try runtime.sandboxes([:]).map { ($0["id"], $0["state"].stringValue ?? "") }
        for (id, state) in states {
            let due = id == first["id"] ? "notReady" : "ready"
            try expect(state == due, "when one of two was stopped, a sandbox is \(state) where \(due) is due")
        }
        try runtime.remove(first)
        try expect(
            try runtime.sandboxes([:]).map { $0["id"] } == [second["id"]], "list_sandboxes shows one that was removed")
    }

    private static func containerStates(_ runtime: RuntimeCalls) throws(Breach) {
        let sandbox = try runtime.sandbox("life")
        for (name, script, code, reason) in [
            ("fine", "exit 0", 0, "Completed"), ("wrong", "exit 7", 7, "Error"),
            ("killed", "kill -9 $$; exit 7", -1, "Error"),
        ] {
            let id = try runtime.create(sandbox, name, ["/bin/sh", "-c", "read go </dev/null; sleep 1; \(script)"])
            try expect(
                try runtime.container(id)["state"] == "created", "a container that was not started is not \"created\"")
            let answer = try runtime.calls.succeed("start_container", ["id": .string(id)])
            try expect(answer["container"]["id"].stringValue == id, "start_container answers another container")
            let running = try runtime.container(id)
            try expect(
                running["state"] == "running" && running["startedAt"].stringValue?.isEmpty == false
                    && (running["processID"].integerValue ?? 0) > 0 && running["sandboxID"] == sandbox["id"],
                "a container that was started is \(running.serializedString())")
            let again = try runtime.calls.call("start_container", ["id": .string(id)])
            try expect(!again.isOK, "a container that runs was started again")
            let end = try runtime.ended(id)
            // The first process of a namespace of its own is beyond its own kill.
            let isDue = code >= 0 ? end["exitCode"].integerValue == Int64(code) : end["exitCode"].integerValue != 0
            try expect(
                isDue,
                "a container whose process ended with \(code) tells the exit code \(end["exitCode"].serializedString())"
            )
            try expect(
                end["reason"].stringValue == reason,
                "its reason is \(end["reason"].serializedString()), where \(reason) is due")
            let times = ["createdAt", "startedAt", "finishedAt"].map { end[$0].stringValue ?? "" }
            try expect(
                times.allSatisfy { $0.hasPrefix("20") && $0.hasSuffix("Z") } && times == times.sorted(),
                "the times of its creation, start and end are \(times)")
        }
        try expect(
            try runtime.containers(["sandboxID": sandbox["id"]]).count == 3,
            "list_containers shows not all of a sandbox")
        try expect(try runtime.containers(["sandboxID": "nothing"]).isEmpty, "an unknown sandbox has containers")
        try expect(try runtime.containers(["id": "nothing"]).isEmpty, "an unknown id is a container")
    }

    private static func stopped(_ runtime: RuntimeCalls) throws(Breach) {
        let sandbox = try runtime.sandbox("stop")
        let gentle = try runtime.run(sandbox, "gentle", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done")
        let stubborn = try runtime.run(sandbox, "stubborn", "trap '' TERM; echo ready; while :; do sleep 1; done")
        for name in ["gentle", "stubborn"] {
            let path = "\(runtime.logDirectory)/\(name).log"
            try LogFile.wait(path, forLines: 1)
        }
        try runtime.calls.succeed("stop_container", ["id": .string(gentle), "timeoutSeconds": 10])
        let end = try runtime.ended(gentle)["exitCode"]
        try expect(end == 5, "a container that ends on its stop signal with 5 tells \(end.serializedString())")
        try expect(try runtime.container(stubborn)["state"] == "running", "stop_container stopped another container")
        let begin = monotonicNanoseconds()
        try runtime.calls.succeed("stop_container", ["id": .string(stubborn), "timeoutSeconds": 1])
        let seconds = Double(monotonicNanoseconds() - begin) / 1e9
        let code = try runtime.ended(stubborn)["exitCode"]
        try expect(code == 137, "a container that was killed tells the exit code \(code.serializedString())")
        try expect(seconds > 0.9, "a container with a second to stop was killed after \(seconds) seconds")
    }

    private static func refused(_ runtime: RuntimeCalls) throws(Breach) {
        let sandbox = try runtime.sandbox("refused")
        let missing = try runtime.calls.call(
            "create_container", runtime.request(sandbox, "missing", ["/bin/sh"], image: "check.invalid/missing:1"))
        try expect(
            missing.outcome.status == HOSTD_ERROR_NOT_FOUND
                && missing.outcome.message.contains("check.invalid/missing"),
            "create_container of an image that is not there answers \(missing.words)")
        let nowhere = try runtime.calls.call(
            "create_container", runtime.request(["id": "nothing"], "nowhere", ["/bin/sh"], image: runtime.image))
        try expect(!nowhere.isOK, "a container was made in a sandbox that does not exist")
        let id = try runtime.create(sandbox, "nothing", ["/check/no-such-program"])
        let start = try runtime.calls.call("start_container", ["id": .string(id)])
        try expect(
            !start.isOK && start.outcome.message.contains("/check/no-such-program"),
            "start_container of a command that is not there answers \(start.words)")
        try expect(
            try runtime.container(id)["state"] != "running", "a container whose command is not there is \"running\"")
    }

    private static func watch(_ runtime: RuntimeCalls) throws(Breach) {
        let sandbox = try runtime.sandbox("watch")
        let id = try runtime.run(sandbox, "watched", "exit 3")
        _ = try runtime.ended(id)
        try runtime.calls.succeed("remove_container", ["id": .string(id)])
        let deadline = monotonicNanoseconds() + RuntimeCalls.patience
        while runtime.told(id).last != "removed", monotonicNanoseconds() < deadline {
            _ = check_stream_wait(runtime.events, check_stream_wait(runtime.events, 0, 0) + 1, 500_000_000)
        }
        let types = runtime.told(id)
        try expect(
            types == ["created", "started", "exited", "removed"], "the watch of a container's life told \(types)")
    }

    private static func gone(_ runtime: RuntimeCalls) throws(Breach) {
        for (slot, more) in [
            ("stop_sandbox", [:]), ("remove_sandbox", [:]), ("stop_container", ["timeoutSeconds": 1]),
            ("remove_container", [:]),
        ] as [(String, JSON)] {
            var request = more
            request["id"] = "0123456789abcdef0123456789abcdef"
            try runtime.calls.succeed(slot, request)
        }
        let sandbox = try runtime.sandbox("gone")
        let id = try runtime.run(sandbox, "gone", "exit 0")
        _ = try runtime.ended(id)
        for slot in ["stop_container", "stop_container", "remove_container", "remove_container", "stop_container"] {
            try runtime.calls.succeed(slot, ["id": .string(id), "timeoutSeconds": 1])
        }
        try expect(try runtime.containers(["id": .string(id)]).isEmpty, "list_containers shows one that was removed")
        for slot in ["stop_sandbox", "stop_sandbox", "remove_sandbox", "remove_sandbox", "stop_sandbox"] {
            try runtime.calls.succeed(slot, ["id": sandbox["id"]])
        }
    }

    private static func removeSandbox(_ runtime: RuntimeCalls) throws(Breach) {
        let (sandbox, other) = (try runtime.sandbox("removed"), try runtime.sandbox("stays"))
        let ids = [
            try runtime.run(sandbox, "runs", "while :; do sleep 1; done"), try runtime.run(sandbox, "ends", "exit 0"),
            try runtime.create(sandbox, "waits", ["/bin/sh"]),
        ]
        let kept = try runtime.run(other, "kept", "while :; do sleep 1; done")
        let process = try runtime.container(ids[0])["processID"].integerValue ?? 0
        try runtime.remove(sandbox)
        for id in ids {
            try expect(try runtime.containers(["id": .string(id)]).isEmpty, "remove_sandbox left one of its containers")
        }
        try expect(
            try runtime.sandboxes(["id": sandbox["id"]]).isEmpty, "list_sandboxes shows a sandbox that was removed")
        try expect(kill(pid_t(process), 0) != 0, "remove_sandbox left the process of a container behind")
        try expect(
            try runtime.container(kept)["state"] == "running", "remove_sandbox ended a container of another sandbox")
    }
}
