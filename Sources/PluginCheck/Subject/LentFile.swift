import CPluginCheck
import Glibc

/// A descriptor that a slot is given: borrowed it must be there afterwards, given away and refused it must not.
final class LentFile {
    let descriptor: Int32
    /// Hundredths of a second that may pass, over all calls, until what was refused is closed. Touched by one thread.
    nonisolated(unsafe) private static var patience = 300
    private var peer: Int32 = -1
    private var identity = stat()

    init(_ kind: Value.FileKind) {
        switch kind {
        case .none: descriptor = -1
        case .closed: descriptor = 9_999
        case .regular: descriptor = check_nameless_file()
        case .socket:
            var ends: [Int32] = [-1, -1]
            _ = check_socket_pair(&ends)
            descriptor = ends[0]
            peer = ends[1]
            // Whoever reads comes to the end: waiting for more, without a deadline, would be allowed.
            shutdown(peer, Int32(SHUT_WR))
        }
        fstat(descriptor, &identity)
    }

    deinit {
        if peer >= 0 { close(peer) }
    }

    private var isOpen: Bool {
        var now = stat()
        return fstat(descriptor, &now) == 0 && now.st_ino == identity.st_ino && now.st_dev == identity.st_dev
    }

    /// What the plugin did wrong with it; nil when nothing.
    func judge(isGiven: Bool, isRefused: Bool) -> String? {
        guard descriptor >= 0, descriptor != 9_999 else { return nil }
        guard isGiven else {
            guard isOpen else { return "it closed a descriptor that it had borrowed" }
            close(descriptor)
            return nil
        }
        guard isRefused else { return nil }  // The operation may hold it.
        while isOpen, Self.patience > 0 {
            Self.patience -= 1
            usleep(10_000)
        }
        guard isOpen else { return nil }
        close(descriptor)
        return "it refused the call and did not close a descriptor that was given away"
    }
}
