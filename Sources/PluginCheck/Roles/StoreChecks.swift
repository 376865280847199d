import Kernel
import PluginAPI
import StoreContract

/// What callers of hostd.store/1 build upon: rules 54 to 59, clause by clause of the contract that hostd's own engines are
/// held to.
enum StoreChecks {
    static func run(_ session: Session) {
        guard session.open(), session.description?.provides.contains(HOSTD_STORE_1) == true,
            let (subject, table) = session.active(HOSTD_STORE_1)
        else { return }
        // What does not come is a finding of its clause, before the supervisor takes the silence for a hang.
        let patience = UInt64(session.options.timeout) * 500_000_000
        for clause in StoreClause.all {
            session.check(clause.rule, clause.title, interface: HOSTD_STORE_1) {
                do throws(Violation) {
                    try clause.hold(against: table.pointer, patience: patience)
                } catch { throw Breach(error.what, rule: error.rule) }
            }
        }
        session.judge(subject.deactivate())
        subject.destroy()
    }
}
