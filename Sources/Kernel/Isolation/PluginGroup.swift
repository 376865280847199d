import Glibc
import Objects

/// The control group of one process of a plugin, PARENT/plugin-NAME-NUMBER in every hierarchy: limits, the reason of an end,
/// and the end of everything in it. Made for one process and removed after it.
struct PluginGroup: Sendable {
    struct Failure: Error, Equatable { let message: String }

    /// One write that sets a limit.
    struct Setting: Equatable {
        let file: String
        let value: String
        /// Some kernels lack the file, and the limit holds without it.
        var isOptional = false
    }

    let layout: ControlGroupLayout
    let files: any ControlGroupFiles
    /// Relative to each hierarchy's mount point.
    let path: String

    private static let prefix = "plugin-"
    /// Over which processor time is bounded, microseconds.
    private static let period: Int64 = 100_000

    init(layout: ControlGroupLayout, files: any ControlGroupFiles, parent: String, plugin: String, number: UInt64) {
        self.layout = layout
        self.files = files
        path = Self.parent(parent) + "/\(Self.prefix)\(plugin)-\(number)"
    }

    private static func parent(_ text: String) -> String { text.split(separator: "/").joined(separator: "/") }

    private var directories: [String] { layout.roots.map { "\($0)/\(path)" } }

    // MARK: Beginning

    /// Makes the group and sets its limits. A failure leaves nothing behind.
    func create(_ limits: IsolationSettings.Limits) throws(Failure) {
        guard !layout.roots.isEmpty else { throw Failure(message: "no control group file system is mounted") }
        do throws(Failure) {
            for root in layout.roots { try makeDirectories(root) }
            for setting in settings(limits) {
                do throws(Failure) { try files.write(setting.file, setting.value) } catch {
                    if !setting.isOptional { throw error }
                }
            }
        } catch {
            remove()
            throw error
        }
    }

    private func makeDirectories(_ root: String) throws(Failure) {
        let delegates = layout.isUnified && root == layout.unified
        var directory = root
        for component in path.split(separator: "/") {
            if delegates { try enableControllers(directory) }
            directory += "/\(component)"
            try files.makeDirectory(directory)
        }
    }

    /// v2 hands a controller to the children of a group only when told so, level by level.
    private func enableControllers(_ directory: String) throws(Failure) {
        let present = words(files.read("\(directory)/cgroup.subtree_control"))
        let available = words(files.read("\(directory)/cgroup.controllers"))
        let missing = ["cpu", "memory", "pids"].filter { !present.contains($0) && available.contains($0) }
        if missing.isEmpty { return }
        try files.write("\(directory)/cgroup.subtree_control", missing.map { "+\($0)" }.joined(separator: " "))
    }

    private func words(_ text: String?) -> [String] {
        (text ?? "").split(whereSeparator: \.isWhitespace).map(String.init)
    }

    /// The writes that bring about `limits`, in order.
    func settings(_ limits: IsolationSettings.Limits) -> [Setting] {
        let quota = max(limits.milliCPU * Self.period / 1000, 1000)
        if layout.isUnified, let unified = layout.unified {
            let directory = "\(unified)/\(path)"
            var settings = [
                Setting(file: "\(directory)/memory.max", value: "\(limits.memory)"),
                Setting(file: "\(directory)/memory.swap.max", value: "0", isOptional: true),
                Setting(file: "\(directory)/pids.max", value: "\(limits.processes)"),
            ]
            if limits.milliCPU > 0 {
                settings.append(Setting(file: "\(directory)/cpu.max", value: "\(quota) \(Self.period)"))
            }
            return settings
        }
        func file(_ controller: String, _ name: String) -> String? {
            layout.controllers[controller].map { "\($0)/\(path)/\(name)" }
        }
        var settings: [Setting] = []
        if let file = file("memory", "memory.limit_in_bytes") {
            settings.append(Setting(file: file, value: "\(limits.memory)"))
        }
        if let file = file("memory", "memory.memsw.limit_in_bytes") {
            settings.append(Setting(file: file, value: "\(limits.memory)", isOptional: true))
        }
        if let file = file("pids", "pids.max") { settings.append(Setting(file: file, value: "\(limits.processes)")) }
        if limits.milliCPU > 0, let period = file("cpu", "cpu.cfs_period_us"),
            let file = file("cpu", "cpu.cfs_quota_us")
        {
            settings.append(Setting(file: period, value: "\(Self.period)"))
            settings.append(Setting(file: file, value: "\(quota)"))
        }
        return settings
    }

    /// Files that a process writes "0" to, so as to join.
    var joinFiles: [String] {
        // A process of one thread that moves itself through `tasks` spares the kernel a global lock.
        layout.roots.map { "\($0)/\(path)/\($0 == layout.unified ? "cgroup.procs" : "tasks")" }
    }

    // MARK: End

    /// How many of its processes the kernel has killed for want of memory.
    var memoryKills: UInt64 {
        let file =
            layout.controllers["memory"].map { "\($0)/\(path)/memory.oom_control" }
            ?? layout.unified.map { "\($0)/\(path)/memory.events" }
        for line in (file.flatMap { files.read($0) } ?? "").split(separator: "\n") {
            let parts = line.split(separator: " ")
            if parts.count == 2, parts[0] == "oom_kill" { return UInt64(parts[1]) ?? 0 }
        }
        return 0
    }

    /// Kills what is left in it, and removes it from every hierarchy; false when something would not go.
    @discardableResult
    func remove() -> Bool {
        if let unified = layout.unified, files.exists("\(unified)/\(path)/cgroup.kill") {
            if (try? files.write("\(unified)/\(path)/cgroup.kill", "1")) == nil { killOneByOne() }
            files.waitUntilEmpty(eventsFile: "\(unified)/\(path)/cgroup.events", milliseconds: 5_000)
        } else {
            killOneByOne()
        }
        var isGone = true
        for directory in directories { isGone = files.removeDirectory(directory) && isGone }
        return isGone
    }

    private func killOneByOne() {
        for directory in directories {
            for process in words(files.read("\(directory)/cgroup.procs")).compactMap({ pid_t($0) }) where process > 1 {
                kill(process, SIGKILL)
            }
        }
    }

    /// Removes groups of this plugin that a hostd of before left behind; their processes ended with it.
    static func removeStale(layout: ControlGroupLayout, files: any ControlGroupFiles, parent: String, plugin: String) {
        let parent = Self.parent(parent)
        var numbers: Set<UInt64> = []
        for root in layout.roots {
            for name in files.directories(in: "\(root)/\(parent)") where name.hasPrefix("\(prefix)\(plugin)-") {
                if let number = UInt64(name.dropFirst(prefix.utf8.count + plugin.utf8.count + 1)) {
                    numbers.insert(number)
                }
            }
        }
        for number in numbers {
            PluginGroup(layout: layout, files: files, parent: parent, plugin: plugin, number: number).remove()
        }
    }
}
