import Glibc
import PluginKit

/// Turns "step, errno, path" of the helper into a sentence that names the thing and the remedy.
package enum LaunchFailure {
    /// - Parameter subject: what was being started, for instance `container web`.
    package static func error(_ report: InitReport, subject: String) -> PluginError {
        let reason = String(cString: strerror(report.code))
        let path = report.path
        func failed(_ text: String) -> PluginError {
            switch report.code {
            case ENOSPC, EDQUOT: .noSpace("\(subject): \(text): \(reason); free space on the node's disk")
            case ENOMEM, EMFILE, ENFILE, EAGAIN: .exhausted("\(subject): \(text): \(reason)")
            default: .internal("\(subject): \(text): \(reason)")
            }
        }
        switch InitStep(rawValue: report.step) {
        case .search: return .invalid("exec: \"\(path)\": executable file not found in $PATH")
        case .executable: return executable(path, report.code, reason)
        case .user:
            return report.code == ENOENT
                ? .invalid(
                    "\(subject): the image has no user \"\(path)\" in /etc/passwd; use a number, or another name")
                : failed("cannot become the user (\(path))")
        case .group where report.code == E2BIG:
            return .invalid(
                "\(subject): the image's /etc/group puts its user into more than 64 groups (\(path) is one too many); use another user, or supplementalGroupsPolicy Strict"
            )
        case .group:
            return .invalid(
                "\(subject): the image has no group \"\(path)\" in /etc/group; use a number, or another name")
        case .nonRoot:
            return .invalid(
                "\(subject): it must not run as root (runAsNonRoot), but its user is root; set runAsUser, or another image"
            )
        case .workingDirectory:
            return report.code == EXDEV
                ? .forbidden("\(subject): the working directory \"\(path)\" lies outside of the container's root")
                : .invalid("\(subject): cannot enter the working directory \"\(path)\": \(reason)")
        case .mountSource:
            return .invalid("\(subject): cannot mount \"\(path)\": \(reason); it must exist on the node")
        case .mountTarget:
            return .invalid("\(subject): cannot make the mount point \"\(path)\" in the container: \(reason)")
        case .image: return failed("cannot mount the image \"\(path)\" as a volume")
        case .imagePath:
            return .invalid("\(subject): the image that is mounted as a volume has no \"\(path)\": \(reason)")
        case .users: return failed("cannot make or enter the pod's user namespace (\(path))")
        case .mappedMount:
            return failed(
                "cannot mount \"\(path)\" for the pod's own users (hostUsers: false): its file system maps no users, as ext4, xfs, btrfs and tmpfs do"
            )
        case .mount: return failed("cannot mount on \"\(path)\"")
        case .device: return failed("cannot make the device \"\(path)\"")
        case .mask: return failed("cannot hide or protect \"\(path)\"")
        case .root:
            return failed(
                "cannot mount the root file system (\(path)); the data directory needs a file system that overlayfs can use, such as ext4, xfs or btrfs"
            )
        case .pivot: return failed("cannot change the root")
        case .cgroup: return failed("cannot join the cgroup \"\(path)\"")
        case .cgroupMount: return failed("cannot mount the cgroup file system on \"\(path)\"")
        case .namespace: return failed("cannot enter or make a namespace (\(path))")
        case .capabilities: return failed("cannot set the capabilities (\(path))")
        case .seccomp: return failed("the kernel refuses the seccomp filter")
        case .sysctl:
            return .invalid(
                "\(subject): cannot set the sysctl \"\(path.split(separator: "/").joined(separator: "."))\": \(reason)")
        case .hostName: return failed("cannot set the host name \"\(path)\"")
        case .loopback: return failed("cannot bring up the loopback interface")
        case .sharedMemory: return failed("cannot mount the shared memory of the pod on \"\(path)\"")
        case .terminal: return failed("cannot open a terminal (\(path))")
        case .log: return failed("cannot open the log file \"\(path)\"")
        case .target: return .wrongState("\(subject): the container is not running")
        case .fork: return failed("cannot start a process")
        case .monitor: return failed("cannot set up its monitor (\(path))")
        case .runtime: return .internal("\(subject): the OCI runtime ended with exit code \(report.code)")
        case .configuration, nil:
            return failed("hostd-container-init does not understand hostd: are they of one installation?")
        }
    }

    private static func executable(_ path: String, _ code: Int32, _ reason: String) -> PluginError {
        switch code {
        case ENOENT:
            .invalid("exec: \"\(path)\": no such file or directory, or its interpreter is missing in the image")
        case EACCES:
            .invalid("exec: \"\(path)\": permission denied: the file is not executable for the container's user")
        case ENOEXEC:
            .invalid(
                "exec: \"\(path)\": exec format error: not a program for this machine's architecture, or a script without #!"
            )
        case E2BIG: .invalid("exec: \"\(path)\": the arguments and the environment are too long")
        default: .invalid("exec: \"\(path)\": \(reason)")
        }
    }
}
