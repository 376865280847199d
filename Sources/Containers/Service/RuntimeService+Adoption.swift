import CRuntime
import Glibc
import Objects
import PluginKit

/// After a restart of hostd: what runs is taken over with the same ids and start times, what ended meanwhile gets its
/// end from the monitor's record, what was half made is removed. After a reboot everything has ended.
extension RuntimeService {
    package func adopt() throws(PluginError) {
        let boot = CgroupDriver.trim(try readSmallFile("/proc/sys/kernel/random/boot_id") ?? "")
        let bootFile = "\(options.directory)/boot"
        let isSameBoot = try readSmallFile(bootFile) == boot
        if !isSameBoot { try AtomicFile.write(Array(boot.utf8), to: bootFile) }
        try adoptSandboxes(isSameBoot)
        try adoptContainers(isSameBoot)
        removeStrayGroups()
    }

    private func adoptSandboxes(_ isSameBoot: Bool) throws(PluginError) {
        for name in try FileTree.names(in: sandboxesDirectory) {
            let directory = "\(sandboxesDirectory)/\(name)"
            do throws(PluginError) {
                let sandbox = try Sandbox(
                    record: try readRecord(directory), directory: directory, isSameBoot: isSameBoot)
                state.withLock { $0.sandboxes[sandbox.id] = sandbox }
            } catch {
                log(
                    true, "A half-made sandbox was removed.",
                    ["sandbox": .string(name), "reason": .string(error.message)])
                dismantle(directory, holder: nil)
            }
        }
    }

    private func adoptContainers(_ isSameBoot: Bool) throws(PluginError) {
        var adopted: Int64 = 0
        for name in try FileTree.names(in: containersDirectory) {
            let directory = "\(containersDirectory)/\(name)"
            do throws(PluginError) {
                let container = try Container(record: try readRecord(directory), directory: directory)
                guard state.withLock({ $0.sandboxes[container.sandboxID] }) != nil else {
                    throw .notFound("its sandbox is gone")
                }
                do throws(PluginError) {
                    _ = try images.acquire(container.image.description, for: container.id)
                } catch {
                    log(
                        true, "The image of a container is gone; it goes on, but nothing can be executed in it.",
                        ["container": .string(name)])
                }
                if try settle(container, isSameBoot) { adopted += 1 }
                state.withLock { $0.containers[container.id] = container }
            } catch {
                log(
                    true, "A half-made container was removed.",
                    ["container": .string(name), "reason": .string(error.message)])
                try discard(directory)
            }
        }
        try images.releaseAll(except: Set(state.withLock { $0.containers.keys }))
        if adopted > 0 { log(false, "Containers that kept running were adopted.", ["count": .integer(adopted)]) }
    }

    private func readRecord(_ directory: String) throws(PluginError) -> JSON {
        let bytes = try AtomicFile.read("\(directory)/record.json")
        do {
            return try JSON(parsing: bytes)
        } catch {
            throw .invalid("\(directory)/record.json is damaged: \(error)")
        }
    }

    /// Brings the container into the state that it is in. Returns whether it runs.
    private func settle(_ container: Container, _ isSameBoot: Bool) throws(PluginError) -> Bool {
        let directory = container.directory
        awaitStart(container)
        let start = try readSmallFile("\(directory)/started").flatMap { ContainerStart(parsing: $0) }
        if let text = try readSmallFile("\(directory)/exit"), let exit = ContainerExit(parsing: text) {
            enter(container, exit, start)
            return false
        }
        if let message = try readSmallFile("\(directory)/start-error") {
            enter(container, .startFailure(message), nil)
            return false
        }
        guard let start else {
            // Without a trace of a start it can still be started, now as before; a reboot changes nothing in that.
            guard access("\(directory)/control", F_OK) == 0 || access("\(directory)/work/work", F_OK) == 0 else {
                return false
            }
            try cgroups.killAll(container.cgroup)
            enter(container, .startFailure("hostd was ended while it started this container"), nil)
            return false
        }
        if isSameBoot, let monitor = try start.monitor.open() {
            try supervise(container, start, monitor: monitor)
            return true
        }
        // The monitor may have ended between the two looks.
        if isSameBoot { try cgroups.killAll(container.cgroup) }
        let exit = try readSmallFile("\(directory)/exit").flatMap { ContainerExit(parsing: $0) }
        enter(
            container,
            exit ?? .unknown(isSameBoot ? "its monitor ended without a record" : "the machine was restarted"), start)
        return false
    }

    /// A start that was under way when hostd ended goes on without it: the monitor answers once it has succeeded, and
    /// closes its socket when it has failed. One that does neither within five seconds is killed.
    private func awaitStart(_ container: Container) {
        guard access("\(container.directory)/started", F_OK) != 0,
            let connection = try? container.connectToMonitor()
        else { return }
        var command = UInt8(ascii: "L")
        var answer: Int32 = 0
        guard send(connection.number, &command, 1, Int32(MSG_NOSIGNAL)) == 1,
            recv(connection.number, &answer, 4, 0) < 0, errno == EAGAIN
        else { return }
        let monitor = runtime_peer_process(connection.number)
        if monitor > 0 { kill(monitor, SIGKILL) }
    }

    private func enter(_ container: Container, _ exit: ContainerExit, _ start: ContainerStart?) {
        giveBack(container)
        if let start { note(start, of: container) }
        container.state.withLock { $0 = .exited(exit, startedAt: start?.at) }
        container.ended.open()
    }

    /// Cgroups of pods that no record knows.
    private func removeStrayGroups() {
        do throws(PluginError) {
            let known = state.withLock { Set($0.sandboxes.values.map { $0.cgroup.components.last ?? "" }) }
            for name in try cgroups.pods() where !known.contains(name) {
                try cgroups.remove(cgroups.parent.child(name))
            }
        } catch {
            log(true, "A stray cgroup could not be removed.", ["error": .string(error.message)])
        }
    }
}
