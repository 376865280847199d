/// The state of one evaluation, used by one thread.
final class Frame {
    /// By position in the environment; nil when the activation has none, or the expression does not read it.
    let variables: [CELValue?]
    /// Variables of loops.
    var slots: [CELValue]
    private(set) var cost: UInt64 = 0
    let costLimit: UInt64

    init(variables: [CELValue?], slotCount: Int, costLimit: UInt64) {
        self.variables = variables
        slots = [CELValue](repeating: .null, count: slotCount)
        self.costLimit = costLimit
    }

    @inline(__always)
    func charge(_ units: UInt64) throws(CELError) {
        let (sum, overflow) = cost.addingReportingOverflow(units)
        cost = overflow ? .max : sum
        if cost > costLimit { throw .costLimit }
    }

    /// Takes back what a name cost whose presence alone was asked for.
    func refund(_ units: UInt64) { cost -= min(units, cost) }
}
