import Glibc
import Objects
import PluginKit

/// A life-cycle hook that failed.
struct HookError: Error, CustomStringConvertible {
    let description: String
}

/// Runs postStart and preStop hooks: a command in the container, an HTTP request to it, or a pause. Blocks its thread.
struct HookRunner {
    let runtime: any RuntimeProvider

    func run(
        _ hook: JSON, containerID: String, container: PodContainer, podIP: String, timeoutSeconds: Double,
        isCancelled: () -> Bool
    ) throws {
        if hook["exec"].exists {
            let answer = try runtime.execSync(
                [
                    "id": .string(containerID), "command": hook["exec"]["command"],
                    "timeoutSeconds": .integer(Int64(timeoutSeconds.rounded(.up))),
                ], deadline: WallClock.deadline(seconds: timeoutSeconds + 5))
            let code = answer["exitCode"].integerValue ?? 0
            guard code == 0 else {
                let output = answer["stderr"].stringValue.flatMap { Base64.decode($0) } ?? []
                let text = String(decoding: output.prefix(512), as: UTF8.self)
                throw HookError(description: "command exited with \(code)\(text.isEmpty ? "" : ": \(text)")")
            }
        } else if hook["httpGet"].exists {
            try HTTPExchange.get(
                hook["httpGet"], at: try place(hook["httpGet"], container: container, podIP: podIP),
                timeoutSeconds: timeoutSeconds, isCancelled: isCancelled)
        } else if hook["sleep"].exists {
            pause(min(Double(hook["sleep"]["seconds"].integerValue ?? 0), timeoutSeconds), isCancelled: isCancelled)
        }
    }

    private func place(_ action: JSON, container: PodContainer, podIP: String) throws -> HTTPPlace {
        guard let port = container.port(action["port"]) else {
            throw HookError(description: "port \(action["port"].stringValue ?? "") is not a port of the container")
        }
        let host = action["host"].stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? podIP
        return HTTPPlace(
            isTLS: action["scheme"].stringValue == "HTTPS", host: host, port: port,
            path: action["path"].stringValue ?? "/")
    }

    /// The sleep hook: the thread rests, and looks up once a second whether the container has ended meanwhile.
    private func pause(_ seconds: Double, isCancelled: () -> Bool) {
        let end = WallClock.now() + seconds
        while !isCancelled() {
            let left = end - WallClock.now()
            if left <= 0 { return }
            poll(nil, 0, Int32(min(left, 1) * 1000) + 1)
        }
    }
}
