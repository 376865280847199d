import Kernel

/// Every command of `hostd`.
enum Commands {
    static let data = CommandSpecification.Option(
        name: "--data", value: "DIR", help: "The data directory. Default: $HOSTD_DATA.")
    static let output = CommandSpecification.Option(
        name: "--output", value: "FORMAT", help: "How to print. Default: text.", choices: ["text", "json"])

    static let all: [CommandSpecification] = [run] + images + plugins + swaps + stores + storeFiles + past + others

    private static let run = CommandSpecification(
        words: ["run"], summary: "Runs hostd in the foreground.",
        details: """
            Prints one line on standard output when everything is active:
              hostd ready https://ADDRESS:PORT kubeconfig=PATH
            and one line an event on standard error. SIGTERM and SIGINT stop it in good order and leave workloads
            running, to be adopted at the next start. SIGHUP reads the configuration again.
            """,
        options: [
            .init(name: "--config", value: "FILE", help: "The configuration (YAML). Required."),
            .init(name: "--data", value: "DIR", help: "Where all state lies. Default: $HOSTD_DATA."),
            .init(name: "--listen", value: "ADDRESS:PORT", help: "Where the API listens, in place of settings.listen."),
            .init(
                name: "--log-format", value: "FORMAT", help: "Default: text.",
                choices: Log.Format.allCases.map(\.rawValue)),
            .init(
                name: "--log-level", value: "LEVEL", help: "The least level that is written. Default: info.",
                choices: Log.Level.allCases.map(\.name)),
            .init(name: "--stop-workloads", help: "Ends all workloads when hostd stops."),
        ], run: RunCommand.run)

    private static let images = [
        CommandSpecification(
            words: ["image", "load"], arguments: ["FILE"],
            summary: "Puts the images of an archive into the image store.",
            details:
                "FILE is an OCI archive or a docker-archive: tar, plain or compressed with gzip or zstd. - reads standard input.",
            options: [data, output], run: ImageCommands.load),
        CommandSpecification(
            words: ["image", "list"], summary: "Lists the images in the image store.", options: [data, output],
            run: ImageCommands.list),
        CommandSpecification(
            words: ["image", "remove"], arguments: ["IMAGE"], summary: "Removes an image, by reference or id.",
            options: [data], run: ImageCommands.remove),
    ]

    private static let plugins = [
        CommandSpecification(
            words: ["plugin", "list"], summary: "Shows each plugin, its state, and the calls to its roles.",
            details:
                "Calls, errors and latencies are counted per role since the plugin was opened. * marks the selected provider.",
            options: [data, output], run: PluginCommands.list),
        CommandSpecification(
            words: ["plugin", "check"], arguments: ["FILE"],
            summary: "Proves that a plugin keeps the rules of the ABI, or names those that it breaks.",
            details: """
                FILE is the plugin's shared library. Each group of checks runs it in a process and namespaces of its own, with
                real host services. A broken rule is named by its number in docs/abi.md. What cannot be checked here is
                listed as skipped. Exit code 0: all rules hold; 1: a rule is broken; 2: nothing was checked.
                """,
            options: [
                .init(name: "--role", value: "ROLE", help: "A role that the plugin must provide."),
                .init(name: "--report", value: "FORMAT", help: "Default: text.", choices: ["text", "json"]),
                .init(
                    name: "--options", value: "JSON", help: "The plugin's own options. Default: those of its schema."),
                .init(
                    name: "--with", value: "FILES",
                    help: "Plugins that provide what it requires, with commas. Default: those beside FILE."),
                .init(
                    name: "--image", value: "ARCHIVE",
                    help: "An image with /bin/sh, for runtimes that load images; without it their checks are skipped."
                ),
                .init(name: "--group", value: "NAMES", help: "Only these groups of checks, with commas."),
                .init(name: "--timeout", value: "SECONDS", help: "The longest that one check may take. Default: 30."),
            ], run: PluginCommands.check),
        CommandSpecification(
            words: ["plugin", "new"], arguments: ["DIR"], summary: "Writes a project that builds into a plugin.",
            details: """
                DIR is made, or is empty. Then:
                  DIR/build                      makes DIR/NAME.so
                  hostd plugin check DIR/NAME.so
                docs/plugin-author-guide.md goes on from there.
                """,
            options: [
                .init(
                    name: "--role", value: "ROLE",
                    help: "What it provides: scheduler, runtime, network, volume, device, store, api-extension, or a "
                        + "role of your own such as com.example.thing/1."),
                .init(
                    name: "--language", value: "LANGUAGE", help: "What it is written in.",
                    choices: PluginTemplates.languages),
                .init(name: "--name", value: "NAME", help: "Its name: a-z, 0-9 and -."),
            ], run: PluginNewCommand.run),
    ]

    private static let stores = [
        CommandSpecification(
            words: ["store", "status"], summary: "Shows the state store's revision, size and health.",
            options: [data, output], run: StoreCommands.status),
        CommandSpecification(
            words: ["store", "backup"], arguments: ["FILE"],
            summary: "Writes a consistent copy of the state to a new file.",
            details: "FILE appears when it is complete and on disk; an existing one is not touched.",
            options: [data, output], run: StoreCommands.backup),
        CommandSpecification(
            words: ["store", "migrate"], summary: "Moves the state to another engine, while hostd is stopped.",
            details: """
                ENGINE is embedded, or the name of a plugin of the configuration that provides hostd.store/1. The target
                must be empty. Everything is compared at the end; the source is left as it is. Afterwards set store.engine.
                """,
            options: [
                .init(name: "--config", value: "FILE", help: "The configuration (YAML). Required."), data,
                .init(name: "--to", value: "ENGINE", help: "Where the state goes. Required."),
                .init(
                    name: "--from", value: "ENGINE",
                    help: "Where it is. Default: store.engine, or embedded when that is the target."), output,
            ], run: StoreCommands.migrate),
    ]

    private static let others = [
        CommandSpecification(
            words: ["reload"], summary: "Reads the configuration again.",
            details: """
                Checks the whole file, then takes its changes into use: plugins that are new, changed or gone, and the order
                of roles. What fails leaves its plugin as it was. Settings and the store change at the next start.
                """,
            options: [data, output], run: OtherCommands.reload),
        CommandSpecification(
            words: ["stop"], summary: "Stops the running hostd in good order.",
            options: [data, .init(name: "--stop-workloads", help: "Ends all workloads too.")], run: OtherCommands.stop),
        CommandSpecification(
            words: ["call"], arguments: ["ROLE", "SLOT", "ARGUMENT"], optionalArguments: 1,
            summary: "Calls a function of a role or service by its name.",
            details: """
                For instance: hostd call hostd.runtime/1 list_containers '{}'
                ARGUMENT is JSON or plain text; a function with several takes a JSON list of them with --list.
                """,
            options: [
                data, .init(name: "--plugin", value: "NAME", help: "The provider, in place of the selected one."),
                .init(name: "--file", value: "FILE", help: "A file that the function takes."),
                .init(name: "--list", help: "ARGUMENT is a list of arguments."),
                .init(name: "--timeout", value: "SECONDS", help: "Default: none."),
            ], run: OtherCommands.call),
        CommandSpecification(words: ["version"], summary: "Prints the version.", run: OtherCommands.version),
    ]
}
