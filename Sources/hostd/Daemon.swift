import Glibc
import Kernel

/// The running hostd: its parts, in the order of their start and, backwards, of their end.
final class Daemon {
    private let configuration: HostConfiguration
    private let requestedDirectory: String
    private let listen: String?
    private let stopWorkloads: Bool
    private let log: Log
    private let stopRequest = StopRequest()

    init(
        configuration: HostConfiguration, dataDirectory: String, listen: String?, stopWorkloads: Bool, log: Log
    ) {
        self.configuration = configuration
        self.requestedDirectory = dataDirectory
        self.listen = listen
        self.stopWorkloads = stopWorkloads
        self.log = log
    }

    /// Runs to the end; the exit code of the process.
    func run() -> Int32 {
        let search = PluginSearch.beside()
        let host = PluginHost(
            configuration: configuration, search: search, dataDirectory: requestedDirectory, log: log)
        host.open()
        let mistakes = host.preferenceMistakes() + host.optionMistakes()
        guard mistakes.isEmpty else {
            for mistake in mistakes { Output.errorLine("hostd: \(mistake)") }
            return ExitCode.usage
        }
        do throws(DataDirectory.Failure) {
            let directory = try DataDirectory(requestedDirectory)
            return run(host, in: directory, libexec: search.libexecDirectory)
        } catch {
            log.error("\(error)")
            return ExitCode.data
        }
    }

    private func run(_ host: PluginHost, in directory: borrowing DataDirectory, libexec: String) -> Int32 {
        let services: KernelServices
        do throws(StoreError) {
            services = try KernelServices(directory: directory.path, store: configuration.store, log: log)
        } catch {
            log.error("the state store cannot be opened: \(error.message)")
            return ExitCode.data
        }
        defer { services.close() }
        services.showRoles(of: host, log: log)
        services.holdElections(with: host)
        let request = stopRequest
        let environment = HostEnvironment(
            dataDirectory: directory.path, listen: listen ?? configuration.settings.listen, stopWorkloads: stopWorkloads
        ) { exitCode, reason in request.ask(exitCode: exitCode, reason: reason) }
        let log = log
        let commands = ControlCommands(host: host) { () throws(ControlFailure) in
            try Self.reload(host, services, log)
        } stop: { stopWorkloads in
            if stopWorkloads { environment.stopWorkloads() }
            request.ask(exitCode: ExitCode.success, reason: "asked for over the control socket")
        } rotateKeys: { () throws(StoreError) in
            try services.rotateKeys()
        }
        let server: ControlServer
        do throws(ControlFailure) {
            server = try ControlServer(directory: directory.path, log: log) { message throws(ControlFailure) in
                try commands.answer(&message)
            }
            try server.start()
        } catch {
            log.error("\(error.message)")
            return ExitCode.failure
        }
        let paths = PluginHost.Paths(data: directory.path, libexec: libexec)
        let status = serve(host, services, environment, paths)
        ProcessSetup.letSignalsEndTheProcess()
        server.stop()
        host.stop()
        log.info("stopped")
        return status
    }

    /// Starts the plugins, says that all is ready, and waits for the end.
    private func serve(
        _ host: PluginHost, _ services: KernelServices, _ environment: HostEnvironment, _ paths: PluginHost.Paths
    ) -> Int32 {
        do throws(PluginHost.StartFailure) {
            try host.start(
                services: services.forPlugins, environment: environment, paths: paths,
                isCancelled: { ProcessSetup.isStopPending })
        } catch {
            log.error("\(error)")
            return ExitCode.plugin
        }
        if ProcessSetup.isStopPending { return waitForSignals(host, services) }
        if host.activeProviders(of: "hostd.api/1").isEmpty {
            Output.line("hostd ready")
        } else {
            do throws(StoreError) {
                try services.onEndpoint { url, kubeconfig in Output.line("hostd ready \(url) kubeconfig=\(kubeconfig)")
                }
            } catch {
                log.error("cannot wait for the endpoint of the API", ["reason": .string(error.message)])
                return ExitCode.failure
            }
        }
        return waitForSignals(host, services)
    }

    private func waitForSignals(_ host: PluginHost, _ services: KernelServices) -> Int32 {
        var set = ProcessSetup.waitedSignals
        while true {
            var signal: Int32 = 0
            guard sigwait(&set, &signal) == 0 else { continue }
            if signal == SIGHUP {
                do throws(ControlFailure) { _ = try Self.reload(host, services, log) } catch {
                    log.error("the configuration was not taken", ["reason": .string(error.message)])
                }
                continue
            }
            let request = stopRequest.current
            log.info("stopping", ["reason": .string(request?.reason ?? (signal == SIGINT ? "SIGINT" : "SIGTERM"))])
            return request?.exitCode ?? ExitCode.success
        }
    }

    /// Reads and checks the file again, and takes what changed into use.
    private static func reload(
        _ host: PluginHost, _ services: KernelServices, _ log: Log
    ) throws(ControlFailure) -> JSON {
        // First, so that a mistake in the key file leaves everything as it was.
        do throws(StoreError) { try services.rotateKeys() } catch {
            throw ControlFailure(code: error.code, error.message)
        }
        let outcome: PluginHost.ReloadOutcome
        do {
            outcome = try host.reload(try HostConfiguration(file: host.configuration.file))
        } catch let error as PluginFailure {
            throw ControlFailure(code: error.code, error.message)
        } catch {
            throw ControlFailure(code: -2, "\(error)")
        }
        log.info("took the configuration again", outcome.json.objectValue ?? [:])
        return outcome.json
    }
}
