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
            try request(hook["httpGet"], container: container, podIP: podIP, timeoutSeconds: timeoutSeconds)
        } else if hook["sleep"].exists {
            pause(min(Double(hook["sleep"]["seconds"].integerValue ?? 0), timeoutSeconds), isCancelled: isCancelled)
        }
    }

    private func request(_ action: JSON, container: PodContainer, podIP: String, timeoutSeconds: Double) throws {
        guard let port = container.port(action["port"]) else {
            throw HookError(description: "port \(action["port"].stringValue ?? "") is not a port of the container")
        }
        let host = action["host"].stringValue ?? podIP
        let status = try HTTPExchange.get(
            host: host, port: port,
            request: HTTPProbeRequest.build(action, host: host, port: port, agent: "hostd-lifecycle/1"),
            timeoutSeconds: min(timeoutSeconds, 30))
        guard (200..<400).contains(status) else { throw HookError(description: "HTTP status \(status)") }
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
