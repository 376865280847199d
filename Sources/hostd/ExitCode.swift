/// Exit codes of every command, as `hostd --help` and docs/operations.md list them.
enum ExitCode {
    static let success: Int32 = 0
    /// A failure at run time, or one that a running hostd reported.
    static let failure: Int32 = 1
    /// The command line or the configuration is wrong; nothing was started.
    static let usage: Int32 = 2
    /// A plugin that is not optional, or a role that is required, could not be started.
    static let plugin: Int32 = 3
    /// The data directory cannot be used: locked, of another format, damaged, or not accessible.
    static let data: Int32 = 4

    static let explanations: [(code: Int32, meaning: String)] = [
        (success, "success; for `run`: stopped in good order"),
        (failure, "a failure at run time, or one that a running hostd reported"),
        (usage, "the command line or the configuration is wrong; nothing was started"),
        (plugin, "a plugin that is not optional failed, or a required role has no provider"),
        (data, "the data directory is locked, of another format, damaged, or not accessible"),
    ]
}
