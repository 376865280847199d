import Glibc
import Objects
import PluginKit

/// Reads what a process writes until it has ended, within time and size.
struct ExecCollection {
    /// Most bytes of both streams together.
    static let limit = 16 << 20

    let output: Descriptor
    let error: Descriptor
    let reports: Descriptor
    let control: Descriptor
    let subject: String
    let failure: (_ report: InitReport, _ subject: String) -> PluginError
    /// Monotonic nanoseconds.
    var deadline = UInt64.max
    private(set) var outputBytes: [UInt8] = []
    private(set) var errorBytes: [UInt8] = []
    private var chunk = [UInt8](repeating: 0, count: 32_768)

    init(
        output: Descriptor, error: Descriptor, reports: Descriptor, control: Descriptor, subject: String,
        failure: @escaping (_ report: InitReport, _ subject: String) -> PluginError
    ) {
        self.output = output
        self.error = error
        self.reports = reports
        self.control = control
        self.subject = subject
        self.failure = failure
        for stream in [output, error] { _ = fcntl(stream.number, F_SETFL, O_NONBLOCK) }
    }

    mutating func run() throws(PluginError) -> InitReport {
        var polled = [output, error, reports].map { pollfd(fd: $0.number, events: Int16(POLLIN), revents: 0) }
        while true {
            let now = monotonicNanoseconds()
            if now >= deadline {
                try kill()
                throw .deadlineExceeded("\(subject): the command did not end in time and was killed")
            }
            let wait = deadline == .max ? -1 : Int32(clamping: (deadline - now) / 1_000_000 + 1)
            if poll(&polled, nfds_t(polled.count), wait) < 0, errno != EINTR {
                throw .system("wait for", subject, errno: errno)
            }
            if polled[0].revents != 0, try take(output, isError: false) { polled[0].fd = -1 }
            if polled[1].revents != 0, try take(error, isError: true) { polled[1].fd = -1 }
            if polled[2].revents != 0 {
                guard let report = try Launcher.receive(reports, milliseconds: 0) else {
                    throw .internal("\(subject): its helper ended without a word")
                }
                if report.kind == .failed { throw failure(report, subject) }
                if report.kind == .exited {
                    // What it had written before its end; a process that it left behind may hold the pipes open.
                    _ = try take(output, isError: false)
                    _ = try take(error, isError: true)
                    return report
                }
            }
        }
    }

    /// Reads all there is now; true at the end of the stream.
    private mutating func take(_ stream: Descriptor, isError: Bool) throws(PluginError) -> Bool {
        while true {
            let count = read(stream.number, &chunk, chunk.count)
            if count < 0 { return errno != EAGAIN && errno != EINTR }
            if count == 0 { return true }
            if isError { errorBytes += chunk[0..<count] } else { outputBytes += chunk[0..<count] }
            if outputBytes.count + errorBytes.count > Self.limit {
                try kill()
                throw .exhausted(
                    "\(subject): the command wrote more than \(Self.limit >> 20) MiB and was killed"
                )
            }
        }
    }

    private func kill() throws(PluginError) {
        var command = UInt8(ascii: "K")
        if send(control.number, &command, 1, Int32(MSG_NOSIGNAL)) < 0, errno != EPIPE {
            throw .system("kill", subject, errno: errno)
        }
    }
}
