import Objects
import PluginAPI
import PluginKit

extension PodWorker {
    /// The image of a container, present on the node; nil while it is pulled or must wait.
    func image(_ entry: PodEntry, _ container: PodContainer, in sandbox: ObservedSandbox) throws -> JSON? {
        let pod = entry.pod
        let policy = container.object["imagePullPolicy"].stringValue ?? Self.defaultPolicy(container.image)
        let runtime = try services.runtime.provider(ofSandbox: sandbox.id)
        let present: JSON
        do {
            present = try runtime.imageStatus(
                ["image": .string(container.image)], deadline: WallClock.deadline(seconds: 30))["image"]
        } catch let error as PluginError where error.code == HOSTD_ERROR_INVALID_ARGUMENT {
            let message = "Failed to apply default image tag \"\(container.image)\": \(error)"
            services.events.warning(pod, "InspectFailed", message, container: container)
            wait(entry, container, WaitingReason(reason: "InvalidImageName", message: message), seconds: 60)
            return nil
        }
        let wasPulled = entry.read { $0.pulled.contains(container.name) }
        if present.exists, policy != "Always" || wasPulled {
            entry.update { memory in
                _ = memory.pulled.remove(container.name)
                memory.imageBackOff[container.name] = nil
            }
            if !wasPulled {
                services.events.normal(
                    pod, "Pulled", "Container image \"\(container.image)\" already present on machine",
                    container: container)
            }
            return present
        }
        if policy == "Never" {
            let message = "Container image \"\(container.image)\" is not present with pull policy of Never"
            services.events.warning(pod, "ErrImageNeverPull", message, container: container)
            wait(entry, container, WaitingReason(reason: "ErrImageNeverPull", message: message), seconds: 10)
            return nil
        }
        pull(entry, container, by: runtime)
        return nil
    }

    /// The API fills the policy in; this is for objects that were stored without.
    static func defaultPolicy(_ image: String) -> String {
        let name = image.split(separator: "/").last ?? ""
        if name.contains("@") { return "IfNotPresent" }
        return name.hasSuffix(":latest") || !name.contains(":") ? "Always" : "IfNotPresent"
    }

    private func pull(_ entry: PodEntry, _ container: PodContainer, by runtime: any RuntimeProvider) {
        let name = container.name
        guard entry.update({ $0.pulling.insert(name).inserted }) else { return }
        let pod = entry.pod
        services.events.normal(pod, "Pulling", "Pulling image \"\(container.image)\"", container: container)
        var request: JSON = ["image": .string(container.image)]
        if let credentials = ImageCredentials.find(for: container.image, pod: pod, objects: services.objects) {
            request["authentication"] = credentials
        }
        do {
            _ = try runtime.pullImage(request) { [weak self] result in
                self?.pullEnded(entry, container, result, by: runtime)
            }
        } catch {
            pullEnded(entry, container, .failure(PluginError(error)), by: runtime)
        }
    }

    private func pullEnded(
        _ entry: PodEntry, _ container: PodContainer, _ result: Result<JSON, PluginError>,
        by runtime: any RuntimeProvider
    ) {
        let pod = entry.pod
        let now = WallClock.now()
        switch result {
        case .success:
            markPulled(entry, container)
            services.events.normal(
                pod, "Pulled", "Successfully pulled image \"\(container.image)\"", container: container)
        case .failure(let error) where error.code == HOSTD_ERROR_NOT_SUPPORTED && isPresent(container, in: runtime):
            // A runtime that cannot pull at all has just what was loaded into it; the policy cannot ask for more.
            markPulled(entry, container)
            services.events.warning(
                pod, "PullNotSupported",
                "The runtime cannot pull images; using image \"\(container.image)\" as it is on this machine",
                container: container)
        case .failure(let error):
            let message = "failed to pull image \"\(container.image)\": \(error)"
            let isName = error.code == HOSTD_ERROR_INVALID_ARGUMENT
            entry.update { memory in
                memory.pulling.remove(container.name)
                memory.waiting[container.name] = WaitingReason(
                    reason: isName ? "InvalidImageName" : "ErrImagePull", message: message)
                memory.imageBackOff[container.name, default: CrashBackOff()].registerTry(failedAt: now, now: now)
                memory.retryAt[container.name] = now + (memory.imageBackOff[container.name]?.delay ?? 10)
            }
            services.events.warning(pod, "Failed", message, container: container)
            services.events.warning(pod, "Failed", "Error: ErrImagePull", container: container)
        }
        enqueue(entry.uid, 0)
    }

    private func markPulled(_ entry: PodEntry, _ container: PodContainer) {
        entry.update { memory in
            memory.pulling.remove(container.name)
            memory.pulled.insert(container.name)
            memory.retryAt[container.name] = nil
            memory.waiting[container.name] = nil
        }
    }

    private func isPresent(_ container: PodContainer, in runtime: any RuntimeProvider) -> Bool {
        do {
            let status = try runtime.imageStatus(
                ["image": .string(container.image)], deadline: WallClock.deadline(seconds: 30))
            return status["image"].exists
        } catch {
            // The pull's own failure is then what the user is told.
            return false
        }
    }

    /// Users see ErrImagePull first, and that it waits a moment later.
    func secondsToImageBackOff(_ entry: PodEntry) -> Double? {
        entry.read { $0.waiting.values.contains { $0.reason == "ErrImagePull" } } ? 1.5 : nil
    }

    /// Turns ErrImagePull into ImagePullBackOff while the back-off lasts.
    func showImageBackOff(_ entry: PodEntry) {
        let now = WallClock.now()
        let pod = entry.pod
        for container in pod.containers {
            let changed = entry.update { memory -> Bool in
                guard memory.waiting[container.name]?.reason == "ErrImagePull",
                    let retry = memory.retryAt[container.name], let delay = memory.imageBackOff[container.name]?.delay,
                    retry - delay + 1 < now
                else { return false }
                memory.waiting[container.name] = WaitingReason(
                    reason: "ImagePullBackOff",
                    message: "Back-off pulling image \"\(container.image)\": "
                        + (memory.waiting[container.name]?.message ?? ""))
                return true
            }
            if changed {
                services.events.normal(
                    pod, "BackOff", "Back-off pulling image \"\(container.image)\"", container: container)
            }
        }
    }

    /// Notes why a container waits and when to try again.
    func wait(_ entry: PodEntry, _ container: PodContainer, _ reason: WaitingReason, seconds: Double) {
        entry.update { memory in
            memory.waiting[container.name] = reason
            memory.retryAt[container.name] = WallClock.now() + seconds
        }
    }
}
