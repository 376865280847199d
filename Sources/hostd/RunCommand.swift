import Glibc
import Kernel

/// `hostd run`: reads the command line and the configuration, checks both, and runs the daemon.
enum RunCommand {
    static func run(_ command: ParsedCommand) -> Int32 {
        guard let file = command["--config"] else {
            return usage("--config FILE is missing, such as config/hostd.yaml")
        }
        guard let directory = Client.dataDirectory(command), !directory.isEmpty else {
            return usage("--data DIR is missing (or HOSTD_DATA)")
        }
        if let listen = command["--listen"], !SharedSettings.isListenAddress(listen) {
            return usage("--listen \(listen) is not ADDRESS:PORT with a numeric address, such as 127.0.0.1:6443")
        }
        let configuration: HostConfiguration
        do throws(ConfigurationError) {
            configuration = try HostConfiguration(file: file)
        } catch {
            Output.errorLine("hostd: \(error)")
            return ExitCode.usage
        }
        ProcessSetup.prepare()
        let log = Log(
            format: Log.Format(rawValue: command["--log-format"] ?? "text") ?? .text,
            level: Log.Level(name: command["--log-level"] ?? "info") ?? .info)
        let daemon = Daemon(
            configuration: configuration, dataDirectory: directory, listen: command["--listen"],
            stopWorkloads: command.flags.contains("--stop-workloads"), log: log)
        return daemon.run()
    }

    private static func usage(_ message: String) -> Int32 {
        Output.errorLine("hostd run: \(message)")
        Output.errorLine("See: hostd run --help")
        return ExitCode.usage
    }
}
