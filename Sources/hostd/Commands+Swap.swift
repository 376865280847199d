extension Commands {
    private static let timeout = CommandSpecification.Option(
        name: "--timeout", value: "SECONDS", help: "How long calls may take to leave the old one. Default: 5.")

    /// Commands that replace plugins of the running hostd.
    static let swaps = [
        CommandSpecification(
            words: ["plugin", "swap"], arguments: ["ROLE"],
            summary: "Replaces the plugin that serves a role, while everything runs.",
            details: """
                ROLE is a role such as hostd.scheduler/1, whose selected provider is replaced, or the name of a plugin.
                The new library is opened and checked beside the old one, takes over its state, and gets new calls from
                one moment on; then the old one ends. When any step fails, the old one stays and the reason is printed.
                The swap holds until the plugin's entry in the configuration is changed.
                """,
            options: [
                data, output,
                .init(
                    name: "--to", value: "PATH|NAME",
                    help: "The library, or another plugin of the configuration. Default: the same, opened again."),
                .init(name: "--options", value: "JSON", help: "Options in place of the plugin's own."),
                .init(name: "--discard-state", help: "The new one begins without what the old one knew."), timeout,
            ], run: PluginCommands.swap),
        CommandSpecification(
            words: ["plugin", "rollback"], arguments: ["ROLE"],
            summary: "Returns to what was there before the last swap.",
            options: [
                data, output,
                .init(name: "--discard-state", help: "The other one begins without what this one knew."), timeout,
            ], run: PluginCommands.rollback),
    ]
}
