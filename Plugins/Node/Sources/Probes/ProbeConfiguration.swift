import Objects

/// What a probe's verdict decides.
enum ProbeKind: String, Sendable, CaseIterable {
    case startup = "Startup"
    case liveness = "Liveness"
    case readiness = "Readiness"

    /// The member of a container that holds the probe.
    var member: String {
        switch self {
        case .startup: return "startupProbe"
        case .liveness: return "livenessProbe"
        case .readiness: return "readinessProbe"
        }
    }
}

/// Figures of a probe, with the API's defaults. Times are seconds.
struct ProbeConfiguration: Sendable, Equatable {
    var initialDelay: Double
    var period: Double
    var timeout: Double
    var successThreshold: Int
    var failureThreshold: Int
    /// Grace period of a container that this probe kills; nil = the pod's.
    var terminationGraceSeconds: Int64?

    init(_ probe: JSON) {
        func seconds(_ name: String, _ standard: Double) -> Double {
            guard let value = probe[name].integerValue, value > 0 else { return standard }
            return Double(value)
        }
        initialDelay = seconds("initialDelaySeconds", 0)
        period = seconds("periodSeconds", 10)
        timeout = seconds("timeoutSeconds", 1)
        successThreshold = Int(seconds("successThreshold", 1))
        failureThreshold = Int(seconds("failureThreshold", 3))
        terminationGraceSeconds = probe["terminationGracePeriodSeconds"].integerValue
    }
}

/// Counts results and says when they change the verdict.
struct ProbeState: Sendable, Equatable {
    let kind: ProbeKind
    let configuration: ProbeConfiguration
    /// The verdict; nil before there is one.
    private(set) var isHealthy: Bool?
    private var successes = 0
    private var failures = 0
    private(set) var earlyTries = 0

    init(kind: ProbeKind, configuration: ProbeConfiguration, isHealthy: Bool? = nil) {
        self.kind = kind
        self.configuration = configuration
        self.isHealthy = isHealthy
    }

    /// Takes one result; answers the new verdict when it changed.
    mutating func record(success: Bool) -> Bool? {
        if success {
            successes += 1
            failures = 0
        } else {
            failures += 1
            successes = 0
        }
        let threshold = success ? configuration.successThreshold : configuration.failureThreshold
        let count = success ? successes : failures
        if !success, isHealthy == nil, kind == .readiness { earlyTries += 1 }
        // A container that was never ready is not made unready; it is told once that it is not.
        guard count >= threshold, isHealthy != success else { return nil }
        if !success, isHealthy == nil, kind == .readiness { return nil }
        isHealthy = success
        return success
    }

    /// Seconds from one result to the next try. A container that has just started is asked for readiness a few times
    /// sooner than its period says, so that it serves as soon as it can.
    var nextDelay: Double {
        guard kind == .readiness, isHealthy == nil, earlyTries > 0, earlyTries <= 5 else { return configuration.period }
        return min(configuration.period, 0.1 * Double(1 << (earlyTries - 1)))
    }

    /// Whether a failure is worth an event: not while a fresh container is asked early.
    var reportsFailure: Bool { !(kind == .readiness && isHealthy == nil && earlyTries <= 5) }
}

/// Where a container's probes go.
struct ProbeTarget: Sendable, Equatable {
    var podIP: String
    /// Wall-clock seconds.
    var startedAt: Double
    /// Of the pod, for those who count probes.
    var namespace = ""
    var pod = ""
}
