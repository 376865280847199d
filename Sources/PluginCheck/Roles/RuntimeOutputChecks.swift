import CPluginCheck
import Glibc
import Kernel
import PluginAPI

/// Rule 49: `exec_sync` and `exec` tell output and exit code; the log has every line that the container wrote.
enum RuntimeOutputChecks {
    static let all: [(rule: Int, name: String, body: RuntimeChecks.Body)] = [
        (49, "exec_sync", execSync), (49, "exec and its streams", exec), (49, "an exec that is cancelled", cancelled),
        (49, "the log has every line", log), (49, "the log is opened anew", reopened),
    ]

    private static let idle = "while :; do sleep 1; done"

    private static func execSync(_ runtime: RuntimeCalls) throws(Breach) {
        let id = try runtime.run(try runtime.sandbox("sync"), "sync", idle)
        for (script, code, output, errors) in [
            ("exit 0", 0, "", ""), ("echo out; echo err >&2; exit 9", 9, "out\n", "err\n"),
            ("printf 'a\\0b'", 0, "a\0b", ""),
        ] {
            let answer = try runtime.execSync(id, script)
            try expect(
                answer.isOK && answer.json["exitCode"].integerValue == Int64(code)
                    && answer.json["stdout"].stringValue == base64(output)
                    && answer.json["stderr"].stringValue == base64(errors),
                "exec_sync of `\(script)` answers \(answer.words)")
        }
        let large = try runtime.execSync(
            id, "i=0; while [ $i -lt 4000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done")
        let size = large.json["stdout"].stringValue?.utf8.count ?? 0
        try expect(size == (4000 * 41 + 2) / 3 * 4, "exec_sync of 164,000 bytes answers \(size) bytes of base64")
        let begin = monotonicNanoseconds()
        let late = try runtime.execSync(id, "sleep 60", seconds: 1)
        let seconds = (monotonicNanoseconds() - begin) / 1_000_000_000
        try expect(
            !late.isOK && seconds < 15, "exec_sync with a second to run answers \(late.words) after \(seconds) seconds")
        try expect(
            try !runtime.calls.call("exec_sync", ["id": "nothing", "command": ["/bin/sh"]]).isOK,
            "exec_sync ran nowhere")
    }

    private static func exec(_ runtime: RuntimeCalls) throws(Breach) {
        let id = try runtime.run(try runtime.sandbox("exec"), "exec", idle)
        var pipes: [[Int32]] = []
        for _ in 0..<3 {
            var ends: [Int32] = [-1, -1]
            try expect(pipe(&ends) == 0, "no pipe can be made here")
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            pipes.append(ends)
        }
        defer { for end in [pipes[0][1], pipes[1][0], pipes[2][0]] where end >= 0 { close(end) } }
        let script = "while read line; do echo \"got $line\"; done; echo end >&2; exit 4"
        guard let answer = runtime.exec(id, script, [pipes[0][0], pipes[1][1], pipes[2][1]]) else {
            return runtime.calls.session.reporter.skip("exec", "it is missing")
        }
        guard answer.isOK, let operation = answer.operation else {
            throw Breach("exec failed: \(answer.outcome.words)")
        }
        try expect(Glibc.write(pipes[0][1], "one\ntwo\n", 8) == 8, "nobody reads the standard input of an exec")
        close(pipes[0][1])
        pipes[0][1] = -1
        let output = LogFile.readToEnd(pipes[1][0], RuntimeCalls.patience)
        let errors = LogFile.readToEnd(pipes[2][0], RuntimeCalls.patience)
        try expect(output == "got one\ngot two\n", "an exec that echoes two lines wrote \(output.debugDescription)")
        try expect(errors == "end\n", "the standard error of an exec is \(errors.debugDescription)")
        let code = try code(operation)
        try expect(code == 4, "an exec that ended with 4 completes with \(code)")
    }

    private static func cancelled(_ runtime: RuntimeCalls) throws(Breach) {
        let id = try runtime.run(try runtime.sandbox("cancel"), "cancel", idle)
        guard let answer = runtime.exec(id, "sleep 60", [-1, -1, -1]) else { return }
        guard answer.isOK, let operation = answer.operation else {
            throw Breach("exec failed: \(answer.outcome.words)")
        }
        for _ in 0..<2 {
            let outcome = runtime.cancel(exec: answer.number)
            try expect(outcome.isOK, "exec_cancel failed: \(outcome.words)")
        }
        try expect(
            check_operation_wait(operation, 1, RuntimeCalls.patience) == 1,
            "an exec that was cancelled does not complete",
            rule: 12)
        try expect(try runtime.container(id)["state"] == "running", "exec_cancel ended the container")
    }

    private static func code(_ operation: OpaquePointer) throws(Breach) -> Int64 {
        let runs = check_operation_wait(operation, 1, RuntimeCalls.patience)
        try expect(runs == 1, "an exec whose process has ended completed \(runs) times", rule: 12)
        var size: UInt64 = 0
        let data = check_operation_data(operation, &size)
        let bytes = Array(UnsafeBufferPointer(start: data, count: data == nil ? 0 : Int(size)))
        guard check_operation_status(operation) == HOSTD_OK, let json = try? JSON(parsing: bytes),
            let code = json["exitCode"].integerValue
        else { throw Breach("an exec completes with \(Value.bytes(bytes).words)") }
        return code
    }

    private static func log(_ runtime: RuntimeCalls) throws(Breach) {
        let script = """
            i=0; while [ $i -lt 1500 ]; do echo "out $i"; echo "err $i" >&2; i=$((i+1)); done
            x=0123456789abcdef; x=$x$x$x$x$x$x$x$x; x=$x$x$x$x$x$x$x$x; x=$x$x$x$x$x$x$x$x; x=$x$x$x$x$x; echo "$x"
            echo; printf 'no end'
            """
        let id = try runtime.run(try runtime.sandbox("log"), "log", script)
        let end = try runtime.ended(id)
        let path = end["logPath"].stringValue ?? ""
        try expect(path == "\(runtime.logDirectory)/log.log", "its log is told to be \(path)")
        let lines = try LogFile.lines(path)
        let numbers = (0..<1500).map(String.init)
        let errors = lines.filter { $0.stream == "stderr" }.map(\.text)
        try expect(
            errors == numbers.map { "err \($0)" },
            "of 1,500 lines on standard error the log has \(errors.count), the last is \(errors.last ?? "none")")
        var output: [String] = []
        var isPart = false
        for line in lines where line.stream == "stdout" {
            if isPart { output[output.count - 1] += line.text } else { output.append(line.text) }
            isPart = line.isPartial
        }
        let long = String(repeating: "0123456789abcdef", count: 8 * 8 * 8 * 5)
        let due = numbers.map { "out \($0)" } + [long, "", "no end"]
        let wrong = zip(output, due).enumerated().first { $0.element.0 != $0.element.1 }
        try expect(
            output == due,
            """
            of \(due.count) lines on standard output the log has \(output.count); number \(wrong?.offset ?? output.count) is \
            \(wrong?.element.0.prefix(40).debugDescription ?? "missing")
            """)
    }

    private static func reopened(_ runtime: RuntimeCalls) throws(Breach) {
        let script = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done"
        let id = try runtime.run(try runtime.sandbox("reopen"), "reopen", script)
        let path = "\(runtime.logDirectory)/reopen.log"
        try LogFile.wait(path, forLines: 2)
        try expect(rename(path, "\(path).1") == 0, "\(path) cannot be renamed: \(String(cString: strerror(errno)))")
        let answer = try runtime.calls.call("reopen_log", ["id": .string(id)])
        if answer.outcome.status == HOSTD_ERROR_NOT_SUPPORTED { return }
        try expect(answer.isOK, "reopen_log failed: \(answer.words)")
        try LogFile.wait(path, forLines: 2)
        try runtime.calls.succeed("stop_container", ["id": .string(id), "timeoutSeconds": 0])
        _ = try runtime.ended(id)
        let (before, after) = (try LogFile.lines("\(path).1").map(\.text), try LogFile.lines(path).map(\.text))
        let due = (0..<before.count + after.count).map(String.init)
        try expect(
            before + after == due,
            "before reopen_log the log ends with \(before.last ?? "nothing"), after it it begins with \(after.first ?? "nothing")"
        )
    }

    private static func base64(_ text: String) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        let bytes = Array(text.utf8)
        var result = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let part = bytes[start..<min(start + 3, bytes.count)]
            let group = part.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - part.count))
            for place in 0..<4 {
                result.append(place <= part.count ? digits[group >> (18 - 6 * place) & 63] : "=")
            }
        }
        return result
    }
}
