import ObjectSchema
import Objects
import XCTest

final class JobValidationTests: XCTestCase {
    private static let pod: JSON = ["restartPolicy": "Never", "containers": [["name": "c", "image": "i:1"]]]
    private static let job: JSON = [
        "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "j", "uid": "u"],
        "spec": [
            "completions": 3, "completionMode": "Indexed", "manualSelector": true,
            "selector": ["matchLabels": ["a": "b"]],
            "template": ["metadata": ["labels": ["a": "b"]], "spec": pod],
        ],
    ]
    private static let generated: JSON = [
        "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "j", "uid": "u"],
        "spec": [
            "selector": ["matchLabels": ["batch.kubernetes.io/controller-uid": "u"]],
            "template": [
                "metadata": [
                    "labels": [
                        "batch.kubernetes.io/controller-uid": "u", "controller-uid": "u",
                        "batch.kubernetes.io/job-name": "j", "job-name": "j",
                    ]
                ], "spec": pod,
            ],
        ],
    ]

    private func spec(_ text: String) -> String { #"{"spec":{\#(text)}}"# }

    func testIndexes() throws {
        try ValidationCases.check(
            Self.job,
            [
                (spec(#""backoffLimitPerIndex":1,"maxFailedIndexes":2,"managedBy":"example.com/queue""#), []),
                (
                    spec(#""completionMode":"NonIndexed","backoffLimitPerIndex":1,"maxFailedIndexes":0"#),
                    [
                        "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
                        "spec.maxFailedIndexes: Invalid value: 0: requires indexed completion mode",
                    ]
                ),
                (
                    spec(#""completionMode":"NonIndexed","successPolicy":{"rules":[{"succeededCount":1}]}"#),
                    [
                        #"spec.successPolicy: Invalid value: {"rules":[{"succeededCount":1}]}: requires indexed completion mode"#
                    ]
                ),
                (
                    spec(#""completionMode":"Other""#),
                    [
                        #"spec.completionMode: Unsupported value: "Other": supported values: "NonIndexed", "Indexed""#
                    ]
                ),
                (
                    spec(#""maxFailedIndexes":2"#),
                    ["spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"]
                ),
                (
                    spec(#""backoffLimitPerIndex":1,"maxFailedIndexes":4"#),
                    ["spec.maxFailedIndexes: Invalid value: 4: must be less than or equal to completions"]
                ),
                (
                    spec(#""backoffLimitPerIndex":-1"#),
                    ["spec.backoffLimitPerIndex: Invalid value: -1: must be greater than or equal to 0"]
                ),
                (
                    spec(#""completions":null,"parallelism":100001"#),
                    [
                        "spec.completions: Required value: when completion mode is Indexed",
                        "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed",
                    ]
                ),
                (
                    spec(#""completions":1000000,"parallelism":10001,"backoffLimitPerIndex":1"#),
                    [
                        "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
                        "spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index",
                    ]
                ),
                (
                    #"{"metadata":{"name":"\#(String(repeating: "j", count: 62))"}}"#,
                    [
                        #"metadata.name: Invalid value: "\#(String(repeating: "j", count: 62))": will not able to create pod with invalid DNS label: \#(String(repeating: "j", count: 62))-2"#
                    ]
                ),
                (
                    spec(#""managedBy":"queue""#),
                    [
                        #"spec.managedBy: Invalid value: "queue": must be a domain-prefixed path (such as "acme.io/foo")"#
                    ]
                ),
                (
                    spec(#""managedBy":"a.b/\#(String(repeating: "x", count: 60))""#),
                    ["spec.managedBy: Too long: may not be more than 63 bytes"]
                ),
            ])
    }

    func testSuccessPolicies() throws {
        func rule(_ text: String) -> String { spec(#""successPolicy":{"rules":[\#(text)]}"#) }
        let path = "spec.successPolicy.rules"
        func wrong(_ indexes: String, _ detail: String) -> ValidationCases.Row {
            (
                rule(#"{"succeededIndexes":"\#(indexes)"}"#),
                [
                    #"\#(path)[0].succeededIndexes: Invalid value: "\#(indexes)": error parsing succeededIndexes: \#(detail)"#
                ]
            )
        }
        try ValidationCases.check(
            Self.job,
            [
                (rule(#"{"succeededIndexes":"0,2","succeededCount":1}"#), []),
                (
                    rule(""),
                    [
                        "\(path): Required value: at least one rules must be specified when the successPolicy is specified"
                    ]
                ),
                (
                    rule("{}"),
                    [
                        "\(path)[0]: Required value: at least one of succeededCount or succeededIndexes must be specified"
                    ]
                ),
                wrong("2-3", #"too large index: "3""#), wrong("1,0", "non-increasing order, previous: 1, current: 0"),
                wrong("1-1", "non-increasing order, previous: 1, current: 1"),
                wrong("x", #"cannot convert string to integer for index: "x""#),
                wrong(
                    "0-1-2",
                    #"the fragment "0-1-2" violates the requirement that an index interval can have at most two parts separated by '-'"#
                ),
                (
                    rule(#"{"succeededIndexes":"0-1","succeededCount":4}"#),
                    [
                        "\(path)[0].succeededCount: Invalid value: 4: must be less than or equal to 3 (the number of specified completions)",
                        "\(path)[0].succeededCount: Invalid value: 4: must be less than or equal to 2 (the number of indexes in the specified succeededIndexes field)",
                    ]
                ),
            ])
    }

    func testFailurePolicies() throws {
        func rule(_ text: String) -> String { spec(#""podFailurePolicy":{"rules":[\#(text)]}"#) }
        let path = "spec.podFailurePolicy.rules[0]"
        try ValidationCases.check(
            Self.job,
            [
                (rule(#"{"action":"Ignore","onPodConditions":[{"type":"DisruptionTarget"}]}"#), []),
                (
                    rule(#"{"action":"FailIndex","onExitCodes":{"operator":"In","values":[0,2,1]}}"#),
                    [
                        #"\#(path).action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set"#,
                        "\(path).onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
                        "\(path).onExitCodes.values: Invalid value: [0,2,1]: must be ordered",
                    ]
                ),
                (
                    rule(#"{"action":"","onExitCodes":{"operator":"","values":[1,1]}}"#),
                    [
                        #"\#(path).action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]"#,
                        #"\#(path).onExitCodes.operator: Required value: valid values: ["In" "NotIn"]"#,
                        "\(path).onExitCodes.values[1]: Duplicate value: 1",
                    ]
                ),
                (
                    rule(#"{"action":"Count"}"#),
                    ["\(path): Invalid value: specifying one of OnExitCodes and OnPodConditions is required"]
                ),
                (
                    rule(
                        #"{"action":"Count","onExitCodes":{"operator":"In","values":[1],"containerName":"d"},"onPodConditions":[{"type":"A B","status":"No"}]}"#
                    ),
                    [
                        #"\#(path).onExitCodes.containerName: Invalid value: "d": must be one of the container or initContainer names in the pod template"#,
                        #"\#(path).onPodConditions[0].type: Invalid value: "A B": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"#,
                        #"\#(path).onPodConditions[0].status: Unsupported value: "No": supported values: "False", "True", "Unknown""#,
                        "\(path): Invalid value: specifying both OnExitCodes and OnPodConditions is not supported",
                    ]
                ),
                (
                    spec(#""podReplacementPolicy":"TerminatingOrFailed","podFailurePolicy":{"rules":[]}"#),
                    [
                        #"spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed""#
                    ]
                ),
                (
                    spec(#""podReplacementPolicy":"Other""#),
                    [
                        #"spec.podReplacementPolicy: Unsupported value: "Other": supported values: "Failed", "TerminatingOrFailed""#
                    ]
                ),
                (
                    spec(#""podFailurePolicy":{"rules":[]},"template":{"spec":{"restartPolicy":"OnFailure"}}"#),
                    [
                        #"spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified"#
                    ]
                ),
                (
                    spec(#""template":{"spec":{"restartPolicy":null}}"#),
                    [#"spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never""#]
                ),
            ])
    }

    func testSelectors() throws {
        let mismatch = "`selector` does not match template `labels`"
        try ValidationCases.check(
            Self.job,
            [
                (
                    spec(#""selector":null"#),
                    [
                        "spec.selector: Required value",
                        #"spec.template.metadata.labels: Invalid value: {"a":"b"}: \#(mismatch)"#,
                    ]
                ),
                (
                    spec(#""selector":{"matchLabels":{"a":"c"}}"#),
                    [#"spec.template.metadata.labels: Invalid value: {"a":"b"}: \#(mismatch)"#]
                ),
            ])
        var labels = Self.generated["spec"]["template"]["metadata"]["labels"]
        labels["job-name"] = "k"
        try ValidationCases.check(
            Self.generated,
            [
                ("{}", []),
                (
                    spec(#""template":{"metadata":{"labels":{"job-name":"k"}}}"#),
                    [
                        "spec.template.metadata.labels[job-name]: Invalid value: \(labels.serializedString()): must be 'j'"
                    ]
                ),
                (
                    spec(#""template":{"metadata":{"labels":{"controller-uid":null}}}"#),
                    ["spec.template.metadata.labels[controller-uid]: Required value: must be 'u'"]
                ),
                (
                    spec(#""selector":{"matchLabels":{"x":"y"}},"template":{"metadata":{"labels":{"x":"y"}}}"#),
                    [
                        #"spec.selector: Invalid value: {"matchLabels":{"batch.kubernetes.io/controller-uid":"u","x":"y"}}: `selector` not auto-generated"#
                    ]
                ),
            ])
    }

    func testCronJobs() throws {
        let cronJob: JSON = [
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": ["name": "c"],
            "spec": [
                "schedule": "0 9 * * 1-5", "timeZone": "America/New_York",
                "jobTemplate": ["spec": ["template": ["spec": Self.pod]]],
            ],
        ]
        let long = String(repeating: "c", count: 53)
        let template = "spec.jobTemplate.spec"
        let zoned = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        try ValidationCases.check(
            cronJob,
            [
                ("{}", []),
                (
                    spec(#""timeZone":"Nowhere/Town""#),
                    [#"spec.timeZone: Invalid value: "Nowhere/Town": unknown time zone Nowhere/Town"#]
                ),
                (
                    spec(#""timeZone":"""#),
                    [#"spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string"#]
                ),
                (
                    spec(#""timeZone":"Local""#),
                    [
                        #"spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"#
                    ]
                ),
                (
                    spec(#""schedule":"TZ=Europe/Berlin 0 9 * * *""#),
                    [#"spec.schedule: Invalid value: "TZ=Europe/Berlin 0 9 * * *": \#(zoned)"#]
                ),
                (
                    spec(#""schedule":"daily""#),
                    [#"spec.schedule: Invalid value: "daily": expected exactly 5 fields, found 1: [daily]"#]
                ),
                (spec(#""schedule":"""#), ["spec.schedule: Required value"]),
                (
                    #"{"metadata":{"name":"\#(long)"}}"#,
                    [#"metadata.name: Invalid value: "\#(long)": must be no more than 52 characters"#]
                ),
                (
                    spec(#""jobTemplate":{"spec":{"selector":{"matchLabels":{"a":"b"}},"manualSelector":true}}"#),
                    [
                        #"\#(template).selector: Invalid value: {"matchLabels":{"a":"b"}}: `selector` will be auto-generated"#,
                        #"\#(template).manualSelector: Unsupported value: true: supported values: "nil", "false""#,
                    ]
                ),
                (
                    #"{"spec":null}"#,
                    [
                        "spec.schedule: Required value",
                        #"\#(template).template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never""#,
                        "\(template).template.spec.containers: Required value",
                    ]
                ),
            ])
        var old = cronJob
        old["spec"]["schedule"] = "TZ=Europe/Berlin 0 9 * * *"
        old["spec"]["timeZone"] = "Nowhere/Town"
        old["metadata"]["name"] = .string(long)
        try ValidationCases.checkUpdates(
            old,
            [
                (
                    spec(#""suspend":true"#),
                    [
                        #"spec.schedule: Invalid value: "TZ=Europe/Berlin 0 9 * * *": cannot use both timeZone field and TZ or CRON_TZ in schedule"#
                    ]
                ), (spec(#""suspend":true,"timeZone":null"#), []),
            ])
    }

    func testDefaults() throws {
        let (job, _) = try ValidationCases.object(Self.generated, "{}")
        XCTAssertEqual(job["spec"]["backoffLimit"], 6)
        XCTAssertEqual(job["spec"]["completions"], 1)
        XCTAssertEqual(job.labels, Self.generated["spec"]["template"]["metadata"]["labels"])
        let (cronJob, _) = try ValidationCases.object(
            [
                "apiVersion": "batch/v1", "kind": "CronJob", "metadata": ["name": "c"],
                "spec": ["schedule": "* * * * *", "jobTemplate": ["spec": ["template": ["spec": Self.pod]]]],
            ], "{}")
        XCTAssertEqual(
            cronJob["spec"]["jobTemplate"]["spec"].objectValue?.keys, ["template"],
            "a template of a Job gets the defaults of its pods alone")
    }

    // MARK: - Changes

    func testUpdates() throws {
        try ValidationCases.checkUpdates(
            Self.job,
            [
                (spec(#""parallelism":2"#), []), (spec(#""completions":5,"parallelism":5"#), []),
                (
                    spec(#""completions":5"#),
                    ["spec.completions: Invalid value: 5: can only be modified in tandem with spec.parallelism"]
                ),
                (
                    spec(#""managedBy":"a.b/c""#),
                    [#"spec.managedBy: Invalid value: "a.b/c": field is immutable"#]
                ),
                (
                    spec(#""backoffLimitPerIndex":1"#),
                    ["spec.backoffLimitPerIndex: Invalid value: 1: field is immutable"]
                ),
            ])
        let place = spec(#""template":{"spec":{"nodeSelector":{"a":"b"}}}"#)
        let resources = spec(
            #""template":{"spec":{"containers":[{"name":"c","image":"i:1","resources":{"requests":{"cpu":"1"}}}]}}"#)
        func templateErrors(_ job: JSON, _ patch: String) throws -> [String] {
            let (old, node) = try ValidationCases.object(job, "{}")
            let new = try ValidationCases.object(job, patch).object
            return Schema.shared.validateUpdate(from: old, to: new, as: node).map(\.path)
        }
        XCTAssertEqual(try templateErrors(Self.job, place), ["spec.template"])
        var waiting = Self.job
        waiting["spec"]["suspend"] = true
        XCTAssertEqual(try templateErrors(waiting, place), [])
        XCTAssertEqual(try templateErrors(waiting, resources), [])
        XCTAssertEqual(
            try templateErrors(waiting, spec(#""template":{"spec":{"hostNetwork":true}}"#)), ["spec.template.spec"])
        waiting["status"] = ["startTime": "2026-01-02T03:04:05Z"]
        XCTAssertEqual(try templateErrors(waiting, place), ["spec.template"], "it has been started")
        waiting["status"]["conditions"] = [["type": "Suspended", "status": "True"]]
        XCTAssertEqual(try templateErrors(waiting, place), [])
        waiting["status"]["active"] = 1
        XCTAssertEqual(try templateErrors(waiting, place), ["spec.template"], "it still has pods")
    }

    // MARK: - Statuses

    private func status(_ text: String) -> String { #"{"status":{\#(text)}}"# }
    private func condition(_ types: String...) -> String {
        #""conditions":["# + types.map { #"{"type":"\#($0)","status":"True"}"# }.joined(separator: ",") + "]"
    }
    private let start = #""startTime":"2026-01-02T03:04:05Z""#
    private let end = #""completionTime":"2026-01-02T03:05:05Z""#

    func testStatuses() throws {
        let begun = #"{"startTime":"2026-01-02T03:04:05Z","succeeded":2,"failed":1,"active":1}"#
        var job = Self.job
        job["spec"]["parallelism"] = 2
        job["status"] = try JSON(parsing: begun)
        try ValidationCases.checkStatuses(
            job,
            [
                (status(#""ready":1"#), []),
                (status(#""ready":2"#), ["status.ready: Invalid value: 2: cannot set more ready pods than active"]),
                (
                    status(#""active":-1,"terminating":-2"#),
                    [
                        "status.active: Invalid value: -1: must be greater than or equal to 0",
                        "status.terminating: Invalid value: -2: must be greater than or equal to 0",
                    ]
                ),
                (
                    status(#""succeeded":1,"failed":0"#),
                    [
                        "status.failed: Invalid value: 0: cannot decrease the failed counter",
                        "status.succeeded: Invalid value: 1: cannot decrease the succeeded counter",
                    ]
                ),
                (
                    status(#""startTime":"2026-01-02T03:04:06Z""#),
                    ["status.startTime: Required value: startTime cannot be removed for unsuspended job"]
                ),
                (
                    status(#""uncountedTerminatedPods":{"succeeded":["a",""],"failed":["a"]}"#),
                    [
                        #"status.uncountedTerminatedPods.succeeded[1]: Invalid value: "": must not be empty"#,
                        #"status.uncountedTerminatedPods.failed[0]: Duplicate value: "a""#,
                    ]
                ),
                (
                    status(#""completedIndexes":"0-3""#),
                    [
                        #"status.completedIndexes: Invalid value: "0-3": error parsing completedIndexes: too large index: "3""#
                    ]
                ),
                (
                    status(#""failedIndexes":"""#),
                    [
                        #"status.failedIndexes: Invalid value: "": cannot set non-null failedIndexes when backoffLimitPerIndex is null"#
                    ]
                ),
            ])
    }

    func testEnds() throws {
        var job = Self.job
        job["status"] = ["startTime": "2026-01-02T03:04:05Z"]
        let noEnd = "status.completionTime: Required value: completionTime is required for Complete jobs"
        try ValidationCases.checkStatuses(
            job,
            [
                (status(condition("SuccessCriteriaMet", "Complete") + "," + end), []),
                (status(condition("FailureTarget", "Failed")), []),
                (status(condition("SuccessCriteriaMet", "Complete")), [noEnd]),
                (
                    status(condition("Complete") + "," + end),
                    [
                        "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
                    ]
                ),
                (
                    status(condition("Failed")),
                    [
                        "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition"
                    ]
                ),
                (
                    status(condition("SuccessCriteriaMet", "FailureTarget")),
                    [
                        "status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"
                    ]
                ),
                (
                    status(end),
                    [
                        #"status.completionTime: Invalid value: "2026-01-02T03:05:05Z": cannot set completionTime when there is no Complete=True condition"#
                    ]
                ),
                (
                    status(
                        condition("SuccessCriteriaMet", "Complete") + #","completionTime":"2026-01-02T03:04:04Z""#),
                    [
                        #"status.completionTime: Invalid value: "2026-01-02T03:04:04Z": completionTime cannot be set before startTime"#
                    ]
                ),
                (
                    status(
                        condition("FailureTarget", "Failed")
                            + #","active":1,"terminating":1,"uncountedTerminatedPods":{"failed":["u"]}"#),
                    [
                        "status.active: Invalid value: 1: active>0 is invalid for finished job",
                        #"status.uncountedTerminatedPods: Invalid value: {"failed":["u"]}: uncountedTerminatedPods needs to be empty for finished job"#,
                        "status.terminating: Invalid value: 1: terminating>0 is invalid for finished job",
                    ]
                ),
            ])
        let done = try MergePatch.apply(
            JSON(parsing: status(condition("SuccessCriteriaMet", "Complete") + "," + end)), to: job)
        try ValidationCases.checkStatuses(
            done,
            [
                (status(#""terminating":0"#), []),
                (
                    status(#""conditions":null"#),
                    [
                        "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
                        "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
                        #"status.completionTime: Invalid value: "2026-01-02T03:05:05Z": cannot set completionTime when there is no Complete=True condition"#,
                    ]
                ),
                (
                    status(#""completionTime":"2026-01-02T03:05:06Z""#),
                    [
                        #"status.completionTime: Invalid value: "2026-01-02T03:05:06Z": completionTime cannot be mutated"#
                    ]
                ),
            ])
    }

    func testOverlappingIndexes() throws {
        var job = Self.job
        job["spec"]["backoffLimitPerIndex"] = 1
        job["status"] = ["completedIndexes": "0", "failedIndexes": ""]
        try ValidationCases.checkStatuses(
            job,
            [
                (status(#""failedIndexes":"1-2""#), []),
                (
                    status(#""failedIndexes":"0,2""#),
                    [
                        #"status.failedIndexes: Invalid value: "0,2": failedIndexes and completedIndexes overlap at index: 0"#
                    ]
                ),
            ])
        job["spec"]["completionMode"] = "NonIndexed"
        try ValidationCases.checkStatuses(
            job,
            [
                (
                    status(#""completedIndexes":"1""#),
                    [
                        #"status.completedIndexes: Invalid value: "1": cannot set non-empty completedIndexes when non-indexed completion mode"#
                    ]
                )
            ])
    }
}
