import Kernel
import PluginAPI

#if SIMULATION
    /// The way of one candidate to the store: a table that forwards, and fails while the way is cut.
    final class ElectionLink: @unchecked Sendable {  // Only the thread that has the turn touches it.
        let base: UnsafePointer<hostd_store_1>
        var isCut = false
        private let scheduler: Scheduler
        private let table = UnsafeMutablePointer<hostd_store_1>.allocate(capacity: 1)

        init(_ store: StateStore, _ scheduler: Scheduler) {
            base = UnsafeRawPointer(store.makeInterface()).assumingMemoryBound(to: hostd_store_1.self)
            self.scheduler = scheduler
            var copy = base.pointee
            copy.interface.`self` = Unmanaged.passUnretained(self).toOpaque()
            Self.fillKeys(&copy)
            Self.fillLeases(&copy)
            table.initialize(to: copy)
        }

        deinit { table.deallocate() }

        var interface: UnsafePointer<hostd_interface> {
            UnsafeRawPointer(table).assumingMemoryBound(to: hostd_interface.self)
        }

        /// Each call takes its time on the way there and on the way back; either way may be cut by then.
        private static func cross(
            _ this: UnsafeMutableRawPointer?, mayLoseAnswer: Bool = true,
            _ call: (hostd_store_1, UnsafeMutableRawPointer?) -> Int32
        ) -> Int32 {
            guard let this else { return HOSTD_ERROR_INTERNAL }
            let link = Unmanaged<ElectionLink>.fromOpaque(this).takeUnretainedValue()
            link.scheduler.sleep(nanoseconds: 1000 + link.scheduler.random() % 3_000_000)
            if link.isCut { return HOSTD_ERROR_UNAVAILABLE }
            let status = call(link.base.pointee, link.base.pointee.interface.`self`)
            link.scheduler.sleep(nanoseconds: 1000 + link.scheduler.random() % 3_000_000)
            return link.isCut && mayLoseAnswer ? HOSTD_ERROR_UNAVAILABLE : status
        }

        private static func fillKeys(_ table: inout hostd_store_1) {
            table.get = { this, key, keySize, revision, record, error in
                ElectionLink.cross(this) { $0.get($1, key, keySize, revision, record, error) }
            }
            table.create = { this, key, keySize, value, valueSize, index, indexSize, lease, revision, error in
                ElectionLink.cross(this) {
                    $0.create($1, key, keySize, value, valueSize, index, indexSize, lease, revision, error)
                }
            }
            table.update = { this, key, keySize, value, valueSize, index, indexSize, lease, expected, revision, error in
                ElectionLink.cross(this) {
                    $0.update($1, key, keySize, value, valueSize, index, indexSize, lease, expected, revision, error)
                }
            }
            table.remove = { this, key, keySize, expected, revision, error in
                ElectionLink.cross(this) { $0.remove($1, key, keySize, expected, revision, error) }
            }
            // News of the key come as they come: elections must not need them.
            table.watch = { this, prefix, prefixSize, selector, selectorSize, from, sink, context, watch, error in
                // A refusal means that there is no watch.
                ElectionLink.cross(this, mayLoseAnswer: false) {
                    $0.watch($1, prefix, prefixSize, selector, selectorSize, from, sink, context, watch, error)
                }
            }
            // This ends on this side, whatever the other one hears of it.
            table.watch_cancel = { this, watch, error in
                guard let this else { return HOSTD_ERROR_INTERNAL }
                let base = Unmanaged<ElectionLink>.fromOpaque(this).takeUnretainedValue().base
                return base.pointee.watch_cancel(base.pointee.interface.`self`, watch, error)
            }
        }

        private static func fillLeases(_ table: inout hostd_store_1) {
            table.lease_grant = { this, life, lease, error in
                ElectionLink.cross(this) { $0.lease_grant($1, life, lease, error) }
            }
            table.lease_keep_alive = { this, lease, error in
                ElectionLink.cross(this) { $0.lease_keep_alive($1, lease, error) }
            }
            table.lease_revoke = { this, lease, error in ElectionLink.cross(this) { $0.lease_revoke($1, lease, error) }
            }
        }
    }
#endif
