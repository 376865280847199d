import Glibc
import Kernel

/// `hostd plugin-host`: becomes the small program that holds an isolated plugin. For hostd itself and for whoever looks into
/// how a plugin's process is started; help does not list it.
enum PluginHostCommand {
    static func run(_ words: [String]) -> Int32 {
        let program = PluginSearch.beside().libexecDirectory + "/hostd-plugin-process"
        var arguments = (["hostd-plugin-process"] + words).map { strdup($0) } + [nil]
        execv(program, &arguments)
        Output.errorLine("hostd plugin-host: cannot run \(program): \(String(cString: strerror(errno)))")
        return ExitCode.failure
    }
}
