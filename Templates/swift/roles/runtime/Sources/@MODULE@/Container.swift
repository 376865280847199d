import Glibc
import Objects
import PluginKit

struct Sandbox {
    let id: String
    let config: JSON
    var isReady = true
    let created = Timestamp.now()

    var json: JSON {
        [
            "id": .string(id), "podUID": config["podUID"], "name": config["name"], "namespace": config["namespace"],
            "attempt": .integer(config["attempt"].integerValue ?? 0), "state": isReady ? "ready" : "notReady",
            "createdAt": .string(created.formatted(fraction: .nano)), "networkNamespace": "",
            "labels": object(config["labels"]), "annotations": object(config["annotations"]),
        ]
    }
}

struct Container {
    enum State { case created, running(pid_t), exited(code: Int64) }

    let id: String
    let sandboxID: String
    let config: JSON
    /// Absolute; nil when no log is wanted.
    let logPath: String?
    var log: Int32 = -1
    var state = State.created
    let created = Timestamp.now()
    var started: Timestamp?
    var finished: Timestamp?

    /// The process, while it runs.
    var process: pid_t? { if case .running(let process) = state { process } else { nil } }

    mutating func openLog() throws {
        guard let logPath else { return }
        let file = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        if file < 0 { throw PluginError.system("open the log", logPath, errno: errno) }
        closeLog()
        log = file
    }

    mutating func closeLog() {
        if log >= 0 { close(log) }
        log = -1
    }

    /// As hostd/roles/runtime.h describes it.
    var json: JSON {
        let (name, code, reason): (String, Int64, String) =
            switch state {
            case .created: ("created", 0, "")
            case .running: ("running", 0, "")
            case .exited(let code): ("exited", code, code == 0 ? "Completed" : "Error")
            }
        let time = { (time: Timestamp?) -> JSON in .string(time?.formatted(fraction: .nano) ?? "") }
        var json: JSON = [
            "id": .string(id), "sandboxID": .string(sandboxID), "name": config["name"],
            "attempt": .integer(config["attempt"].integerValue ?? 0), "state": .string(name),
            "createdAt": time(created),
            "startedAt": time(started), "finishedAt": time(finished), "exitCode": .integer(code),
        ]
        json["reason"] = .string(reason)
        json["message"] = ""
        json["image"] = config["image"]
        json["imageID"] = config["image"]
        json["processID"] = .integer(Int64(process ?? 0))
        json["labels"] = object(config["labels"])
        json["annotations"] = object(config["annotations"])
        json["logPath"] = .string(logPath ?? "")
        json["mounts"] = []
        return json
    }
}

private func object(_ json: JSON) -> JSON { json.objectValue == nil ? [:] : json }

/// Cuts the output of a container into lines of CRI's log format: time, stream, F for a full line or P for a part of one.
struct LogLines {
    private static let longest = 16 << 10
    private var pending: [[UInt8]] = [[], []]

    /// The entries that are complete with more output; the rest too when nothing follows.
    mutating func entries(of stream: Int, _ more: ArraySlice<UInt8>, isEnd: Bool = false) -> [UInt8] {
        pending[stream] += more
        var out: [UInt8] = []
        var rest = pending[stream][...]
        while !rest.isEmpty {
            let end = rest.firstIndex(of: UInt8(ascii: "\n"))
            if end == nil, rest.count < Self.longest, !isEnd { break }
            let time = Timestamp.now().formatted(fraction: .nano)
            out += "\(time) \(stream == 0 ? "stdout" : "stderr") \(end == nil ? "P" : "F") ".utf8
            out += rest[..<(end ?? rest.endIndex)]
            out.append(UInt8(ascii: "\n"))
            rest = end.map { rest[($0 + 1)...] } ?? []
        }
        pending[stream] = Array(rest)
        return out
    }
}
