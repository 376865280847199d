import Objects
import PluginKit

/// Whether and how controllers stand for election; the plugin's options.
struct ElectionOptions: Sendable, Equatable {
    enum Mode: String {
        /// When the store can be shared: with every engine but the embedded one, which a second hostd cannot open.
        case auto
        case always
        case never
    }

    let mode: Mode
    /// How long the others wait for a leader that is gone.
    let leaseMilliseconds: UInt64

    static let schema = """
        {"type":"object","additionalProperties":false,"properties":{
        "leaderElection":{"type":"string","enum":["auto","always","never"],"default":"auto",
        "description":"Whether several hostd that share a store elect one whose controllers work. auto: unless the store is the embedded one, which only one hostd can open."},
        "leaseSeconds":{"type":"integer","default":10,"minimum":1,"maximum":3600,
        "description":"How long after the end of a leader that could not say so another one begins."}
        }}
        """

    init(_ options: JSON) throws {
        let text = options["leaderElection"].stringValue ?? Mode.auto.rawValue
        guard let mode = Mode(rawValue: text) else {
            throw PluginError.invalid("options: leaderElection must be auto, always or never, not \"\(text)\"")
        }
        let seconds = options["leaseSeconds"].integerValue ?? 10
        guard (1...3600).contains(seconds) else {
            throw PluginError.invalid("options: leaseSeconds must be 1 to 3600, not \(seconds)")
        }
        self.mode = mode
        leaseMilliseconds = UInt64(seconds) * 1000
    }

    /// - Parameter status: of the store, as `hostd_store_1.status` tells it.
    func holdsElection(over status: JSON) -> Bool {
        switch mode {
        case .auto: status["engine"].stringValue != "embedded"
        case .always: true
        case .never: false
        }
    }
}
