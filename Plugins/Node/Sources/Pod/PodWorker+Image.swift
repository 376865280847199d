import Objects
import PluginAPI
import PluginKit

extension PodWorker {
    /// The image of a container, present on the node with those that it mounts as volumes; nil while one is pulled or must wait.
    func images(_ entry: PodEntry, _ container: PodContainer, in sandbox: ObservedSandbox) throws -> JSON? {
        let pod = entry.pod
        let runtime = try services.runtime.provider(ofSandbox: sandbox.id)
        let wanted = WantedImage.all(of: container, in: pod)
        if wanted.count > 1 { try checkImageVolumes(runtime) }
        var found: [JSON] = []
        for image in wanted {
            guard let present = try present(image, entry, container, by: runtime) else { return nil }
            found.append(present)
        }
        let pulled = entry.update { memory -> Set<String> in
            defer { memory.pulled.subtract(wanted.map(\.key)) }
            memory.imageBackOff[container.name] = nil
            return memory.pulled
        }
        for image in wanted where !pulled.contains(image.key) {
            services.events.normal(
                pod, "Pulled",
                "Container image \"\(image.reference)\" already present on machine and can be accessed by the pod",
                container: container)
        }
        return found.first
    }

    private func checkImageVolumes(_ runtime: any RuntimeProvider) throws {
        let status = try runtime.status([:], deadline: WallClock.deadline(seconds: 30))
        guard status["features"]["imageVolumes"].boolValue != true else { return }
        throw ContainerConfigurationError(
            reason: "CreateContainerError",
            message: "the runtime \(status["name"].stringValue ?? "") of this pod mounts no images as volumes")
    }

    /// One image, present on the node; nil while it is pulled or must wait.
    private func present(
        _ image: WantedImage, _ entry: PodEntry, _ container: PodContainer, by runtime: any RuntimeProvider
    ) throws -> JSON? {
        let pod = entry.pod
        let present: JSON
        do {
            present = try runtime.imageStatus(
                ["image": .string(image.reference)], deadline: WallClock.deadline(seconds: 30))["image"]
        } catch let error as PluginError where error.code == HOSTD_ERROR_INVALID_ARGUMENT {
            let message = "Failed to apply default image tag \"\(image.reference)\": \(error)"
            services.events.warning(pod, "InspectFailed", message, container: container)
            wait(entry, container, WaitingReason(reason: "InvalidImageName", message: message), seconds: 60)
            return nil
        }
        if present.exists, image.policy != "Always" || entry.read({ $0.pulled.contains(image.key) }) { return present }
        if image.policy == "Never" {
            let message = "Container image \"\(image.reference)\" is not present with pull policy of Never"
            services.events.warning(pod, "ErrImageNeverPull", message, container: container)
            wait(entry, container, WaitingReason(reason: "ErrImageNeverPull", message: message), seconds: 10)
            return nil
        }
        pull(image, entry, container, by: runtime)
        return nil
    }

    private func pull(
        _ image: WantedImage, _ entry: PodEntry, _ container: PodContainer, by runtime: any RuntimeProvider
    ) {
        guard entry.update({ $0.pulling.insert(image.key).inserted }) else { return }
        let pod = entry.pod
        services.events.normal(pod, "Pulling", "Pulling image \"\(image.reference)\"", container: container)
        var request: JSON = ["image": .string(image.reference)]
        if let credentials = ImageCredentials.find(for: image.reference, pod: pod, objects: services.objects) {
            request["authentication"] = credentials
        }
        do {
            _ = try runtime.pullImage(request) { [weak self] result in
                self?.pullEnded(image, entry, container, result, by: runtime)
            }
        } catch {
            pullEnded(image, entry, container, .failure(PluginError(error)), by: runtime)
        }
    }

    private func pullEnded(
        _ image: WantedImage, _ entry: PodEntry, _ container: PodContainer, _ result: Result<JSON, PluginError>,
        by runtime: any RuntimeProvider
    ) {
        let pod = entry.pod
        switch result {
        case .success:
            markPulled(image, entry, container)
            services.events.normal(
                pod, "Pulled", "Successfully pulled image \"\(image.reference)\"", container: container)
        case .failure(let error) where error.code == HOSTD_ERROR_NOT_SUPPORTED && isPresent(image, in: runtime):
            // A runtime that cannot pull at all has just what was loaded into it; the policy cannot ask for more.
            markPulled(image, entry, container)
            services.events.warning(
                pod, "PullNotSupported",
                "The runtime cannot pull images; using image \"\(image.reference)\" as it is on this machine",
                container: container)
        case .failure(let error): pullFailed(image, entry, container, error)
        }
        enqueue(entry.uid, 0)
    }

    private func pullFailed(
        _ image: WantedImage, _ entry: PodEntry, _ container: PodContainer, _ error: PluginError
    ) {
        let now = WallClock.now()
        let message = "failed to pull image \"\(image.reference)\": \(error)"
        let isName = error.code == HOSTD_ERROR_INVALID_ARGUMENT
        entry.update { memory in
            memory.pulling.remove(image.key)
            memory.waiting[container.name] = WaitingReason(
                reason: isName ? "InvalidImageName" : "ErrImagePull", message: message)
            memory.imageBackOff[container.name, default: CrashBackOff()].registerTry(failedAt: now, now: now)
            memory.retryAt[container.name] = now + (memory.imageBackOff[container.name]?.delay ?? 10)
        }
        services.events.warning(entry.pod, "Failed", message, container: container)
        services.events.warning(entry.pod, "Failed", "Error: ErrImagePull", container: container)
    }

    private func markPulled(_ image: WantedImage, _ entry: PodEntry, _ container: PodContainer) {
        entry.update { memory in
            memory.pulling.remove(image.key)
            memory.pulled.insert(image.key)
            memory.retryAt[container.name] = nil
            memory.waiting[container.name] = nil
        }
    }

    private func isPresent(_ image: WantedImage, in runtime: any RuntimeProvider) -> Bool {
        do {
            let status = try runtime.imageStatus(
                ["image": .string(image.reference)], deadline: WallClock.deadline(seconds: 30))
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
