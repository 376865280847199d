import Glibc

/// What the process that serves the API uses, in the names that every client of Prometheus knows.
/// See https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics and proc_pid_stat(5).
struct ProcessMetrics {
    var cpuSeconds = 0.0
    /// Seconds since 1970.
    var startSeconds = 0.0
    var residentBytes = 0
    var virtualBytes = 0
    var openDescriptors = 0
    var maximumDescriptors = 0

    /// - Parameters:
    ///   - stat: `/proc/self/stat`
    ///   - boot: `/proc/stat`, for the time at which the machine was started
    /// - Returns: nil when the text is not as the kernel writes it.
    init?(stat: String, boot: String, ticks: Double, pageSize: Int) {
        // The name of the command, in parentheses, may have blanks and parentheses itself.
        guard let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: end)...].split(whereSeparator: { $0 == " " || $0 == "\n" })
        guard fields.count > 21, let user = Double(fields[11]), let system = Double(fields[12]),
            let start = Double(fields[19]), let size = Int(fields[20]), let pages = Int(fields[21]),
            let line = boot.split(separator: "\n").first(where: { $0.hasPrefix("btime ") }),
            let booted = Double(line.dropFirst(6))
        else { return nil }
        cpuSeconds = (user + system) / ticks
        startSeconds = booted + start / ticks
        residentBytes = pages * pageSize
        virtualBytes = size
    }

    /// Of this process; nil where there is no /proc.
    static func read() -> ProcessMetrics? {
        guard let stat = contents("/proc/self/stat"), let boot = contents("/proc/stat"),
            var metrics = ProcessMetrics(
                stat: stat, boot: boot, ticks: Double(max(sysconf(Int32(_SC_CLK_TCK)), 1)), pageSize: Int(getpagesize())
            )
        else { return nil }
        metrics.openDescriptors = descriptors()
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            metrics.maximumDescriptors = Int(clamping: limit.rlim_cur)
        }
        return metrics
    }

    /// As Prometheus' text.
    var text: String {
        func series(_ name: String, _ kind: String, _ value: String) -> String {
            "# TYPE \(name) \(kind)\n\(name) \(value)\n"
        }
        return series("process_cpu_seconds_total", "counter", "\(cpuSeconds)")
            + series("process_max_fds", "gauge", "\(maximumDescriptors)")
            + series("process_open_fds", "gauge", "\(openDescriptors)")
            + series("process_resident_memory_bytes", "gauge", "\(residentBytes)")
            + series("process_start_time_seconds", "gauge", "\(startSeconds)")
            + series("process_virtual_memory_bytes", "gauge", "\(virtualBytes)")
    }

    private static func contents(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func descriptors() -> Int {
        guard let directory = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while let entry = readdir(directory) {
            if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
        }
        // One of them is the directory's own.
        return max(count - 1, 0)
    }
}
