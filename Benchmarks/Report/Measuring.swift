import Glibc

/// Nanoseconds of a clock, of the monotonic one unless another is named.
public func now(_ clock: clockid_t = CLOCK_MONOTONIC) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// The duration, in the unit of `durations`, that `share` of them do not exceed. 0 when there are none.
public func quantile(_ durations: [UInt64], _ share: Double) -> Double {
    if durations.isEmpty { return 0 }
    let sorted = durations.sorted()
    return Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))])
}

public func median(_ values: [Double]) -> Double {
    if values.isEmpty { return 0 }
    return values.sorted()[values.count / 2]
}

/// Resident memory of this process, bytes.
public func residentMemory() -> Int {
    guard let file = fopen("/proc/self/statm", "r") else { fail("/proc/self/statm cannot be read") }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 128)
    guard fgets(&line, 128, file) != nil else { fail("/proc/self/statm cannot be read") }
    let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        .split(separator: " ")
    return words.count > 1 ? (Int(words[1]) ?? 0) * 4096 : 0
}

/// A thread of the benchmark's own.
public final class LoadThread: @unchecked Sendable {
    // The closure is sendable; the identity is used by the owner alone.
    private var identity = pthread_t()
    private let body: @Sendable () -> Void

    public init(_ body: @escaping @Sendable () -> Void) {
        self.body = body
        let result = pthread_create(
            &identity, nil,
            { argument in
                if let argument { Unmanaged<LoadThread>.fromOpaque(argument).takeUnretainedValue().body() }
                return nil
            }, Unmanaged.passUnretained(self).toOpaque())
        if result != 0 { fail("pthread_create failed: \(result)") }
    }

    /// Waits for its end; to be called once.
    public func join() { pthread_join(identity, nil) }
}

/// Removes a directory and the files in it.
public func removeDirectory(_ path: String) {
    guard let stream = opendir(path) else { return }
    while let entry = readdir(stream) {
        let file = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if file != "." && file != ".." && unlink(path + "/" + file) != 0 { removeDirectory(path + "/" + file) }
    }
    closedir(stream)
    rmdir(path)
}
