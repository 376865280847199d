import Objects

/// The parameters of requests, as OpenAPI documents show them.
enum OpenAPIParameters {
    /// Where a parameter is given, what it holds and what it is for.
    struct Parameter {
        var name: String
        var place = "query"
        var type = "string"
        var text: String
    }

    /// Version 2 writes these at each operation, and all others in one place that operations refer to: clients look for them
    /// to learn what may be asked of a change.
    static let inline: Set = ["dryRun", "fieldValidation"]

    private static let forChange = ["dryRun", "fieldManager", "fieldValidation", "pretty"]
    private static let forDeletion = [
        "dryRun", "gracePeriodSeconds", "ignoreStoreReadErrorWithClusterBreakingPotential", "orphanDependents",
        "pretty",
        "propagationPolicy",
    ]
    private static let forSelection = [
        "continue", "fieldSelector", "labelSelector", "limit", "pretty", "resourceVersion", "resourceVersionMatch",
        "sendInitialEvents", "shardSelector", "timeoutSeconds",
    ]
    private static let ofSubresources = [
        "attach": ["container", "stderr", "stdin", "stdout", "tty"],
        "exec": ["command", "container", "stderr", "stdin", "stdout", "tty"],
        "log": [
            "container", "follow", "insecureSkipTLSVerifyBackend", "limitBytes", "pretty", "previous", "sinceSeconds",
            "stream", "tailLines", "timestamps",
        ],
        "portforward": ["ports"], "proxy": ["path"],
    ]

    /// The names of what may be in an operation's query, in their order.
    static func query(_ action: String, subresource: String) -> [String] {
        if let own = ofSubresources[subresource] { return own }
        return switch action {
        case "get": ["pretty"]
        case "post", "put": forChange
        case "patch": (forChange + ["force"]).sorted { $0.precedesByBytes($1) }
        case "delete": forDeletion
        case "deletecollection": Set(forDeletion + forSelection).sorted { $0.precedesByBytes($1) }
        case "list", "watch", "watchlist": ["allowWatchBookmarks"] + forSelection + ["watch"]
        default: []
        }
    }

    /// The parameter of a name in a query.
    static func query(_ name: String) -> Parameter {
        Parameter(name: name, type: types[name] ?? "string", text: texts[name] ?? "")
    }

    /// All that version 2 writes in one place.
    static var shared: [Parameter] {
        texts.keys.filter { !inline.contains($0) }.sorted { $0.precedesByBytes($1) }.map(query)
    }

    /// A parameter that is a part of the path.
    static func path(_ name: String, _ text: String) -> Parameter { Parameter(name: name, place: "path", text: text) }

    private static let types = [
        "allowWatchBookmarks": "boolean", "follow": "boolean", "force": "boolean", "gracePeriodSeconds": "integer",
        "ignoreStoreReadErrorWithClusterBreakingPotential": "boolean", "insecureSkipTLSVerifyBackend": "boolean",
        "limit": "integer", "limitBytes": "integer", "orphanDependents": "boolean", "ports": "integer",
        "previous": "boolean", "sendInitialEvents": "boolean", "sinceSeconds": "integer", "stderr": "boolean",
        "stdin": "boolean", "stdout": "boolean", "tailLines": "integer", "timeoutSeconds": "integer",
        "timestamps": "boolean", "tty": "boolean", "watch": "boolean",
    ]

    private static let texts = [
        "allowWatchBookmarks": "Whether a watch tells from time to time how far it has come, too.",
        "command": "The command and its arguments, one value each.",
        "container": "The container that is meant; with several in the pod it must be said.",
        "continue": "The token that the page before gave; the list goes on where that page ended.",
        "dryRun": "With All, everything is done but the writing.",
        "fieldManager": "Who makes the change, as managedFields names it.",
        "fieldSelector": "Narrows the list of returned objects down by their fields.",
        "fieldValidation": "What becomes of unknown and repeated fields: Ignore, Warn or Strict.",
        "follow": "Whether lines follow as they are written.",
        "force": "Whether fields that others have applied are taken over.",
        "gracePeriodSeconds": "How long the object may take to end; 0 ends it at once.",
        "ignoreStoreReadErrorWithClusterBreakingPotential":
            "Whether an object that cannot be read is removed without its finalizers being heard.",
        "insecureSkipTLSVerifyBackend": "Whether the node's certificate is not checked.",
        "labelSelector": "Narrows the list of returned objects down by their labels.",
        "limit": "How many objects a page holds at most.",
        "limitBytes": "How many bytes are sent at most.",
        "orphanDependents": "Whether the objects that it owns stay; propagationPolicy says it now.",
        "path": "The rest of the path that is asked for there.",
        "ports": "The ports to connect to.",
        "pretty": "Whether the answer is indented for people.",
        "previous": "Whether the lines are those of the container that ran before.",
        "propagationPolicy": "What becomes of the objects that it owns: Orphan, Background or Foreground.",
        "resourceVersion": "How new the state must be that is shown, or after which a watch begins.",
        "resourceVersionMatch": "Whether resourceVersion is meant exactly, or as the oldest that will do.",
        "sendInitialEvents": "Whether a watch begins with all objects that there are, and a bookmark behind them.",
        "shardSelector": "Narrows the list of returned objects down to a part of all.",
        "sinceSeconds": "How old the oldest line may be.",
        "stderr": "Whether the command's standard error is sent.",
        "stdin": "Whether the command gets a standard input.",
        "stdout": "Whether the command's standard output is sent.",
        "stream": "The stream that is shown: All, Stdout or Stderr.",
        "tailLines": "How many lines from the end are shown.",
        "timeoutSeconds": "How long a list or a watch may last.",
        "timestamps": "Whether each line begins with its time.",
        "tty": "Whether the command gets a terminal.",
        "watch": "Watch for changes to the described resources: events follow as they happen.",
    ]
}
