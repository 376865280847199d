import Kernel

extension Commands {
    private static let config = CommandSpecification.Option(
        name: "--config", value: "FILE", help: "The configuration, for the keys of encrypted values.")

    static let storeFiles = [
        CommandSpecification(
            words: ["store", "restore"], arguments: ["FILE"],
            summary: "Puts a backup in the place of the state, while hostd is stopped.",
            details: """
                FILE is verified before anything is changed. A store that is there is refused, or with --replace kept aside as
                DIR/store.replaced-TIME. The state goes on at the backup's revision: restart clients that remember later ones.
                Exit code 4: the backup is damaged, or the data directory is in use.
                """,
            options: [
                data, config, .init(name: "--replace", help: "Moves the store that is there aside."), output,
            ], run: StoreCommands.restore),
        CommandSpecification(
            words: ["store", "verify"], arguments: ["FILE"], optionalArguments: 1,
            summary: "Checks a backup, or the state while hostd is stopped; changes nothing.",
            details: """
                Every checksum, every record, the order of keys and revisions. What is wrong is printed with file and offset.
                Exit code 0: nothing is wrong; 4: something is, or the data directory is in use.
                """,
            options: [data, config, output], run: StoreCommands.verify),
        CommandSpecification(
            words: ["store", "dump"], arguments: ["KEY..."], optionalArguments: 1, repeatsLastArgument: true,
            summary: "Prints stored records as JSON, one a line.",
            details: """
                KEY is RESOURCE/NAMESPACE/NAME, or a prefix: RESOURCE/ or RESOURCE/NAMESPACE/. Without one: everything. Reads
                the running hostd or, when none runs, the files. Exit code 1: nothing lies at a KEY.
                """,
            options: [
                data, config,
                .init(name: "--revision", value: "NUMBER", help: "The state at a past revision. Default: the latest."),
            ], run: StoreCommands.dump),
        CommandSpecification(
            words: ["store", "history"], arguments: ["KEY"],
            summary: "Shows each version of a key that is kept: when, who, and what changed.",
            details: """
                KEY is RESOURCE/NAMESPACE/NAME, such as pods/default/web or nodes//alpha. The newest comes last. How much is
                kept says store.history in the configuration.
                """,
            options: [
                data, config, .init(name: "--limit", value: "NUMBER", help: "At most so many, the newest."), output,
            ], run: StoreCommands.history),
        CommandSpecification(
            words: ["store", "rotate-keys"],
            summary: "Reads the key file again and encrypts all under its first key.",
            details: """
                Put the new key's line first, leave the old ones behind it, and run this (or hostd reload). When it returns,
                files are rewritten; keys that hostd store status does not list any more can go.
                """,
            options: [data], run: StoreCommands.rotateKeys),
    ]

    static let past = [
        CommandSpecification(
            words: ["at"], arguments: ["TIME", "get", "RESOURCE", "NAME"], optionalArguments: 1,
            summary: "Shows objects as they were at a past time.",
            details: """
                TIME is a revision (1234), a time (2026-01-02T03:04:05Z), or how long ago (10m). For instance:
                  hostd at 10m get pods -n web
                  hostd at 1234 get deployment shop -o yaml
                Reads the running hostd or, when none runs, the files.
                """,
            options: [
                data, config, .init(name: "-n", value: "NAMESPACE", help: "Default: default."),
                .init(name: "-A", help: "All namespaces."),
                .init(name: "-o", value: "FORMAT", help: "Default: table.", choices: ["table", "json", "yaml"]),
            ], run: AtCommand.run)
    ]
}
