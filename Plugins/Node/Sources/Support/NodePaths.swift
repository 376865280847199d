/// Where the node keeps what belongs to pods.
///
///     DATA/pods/UID/            volumes/KIND/NAME  volume-subpaths/…  containers/NAME/ATTEMPT.termination
///                               etc-hosts  etc-hostname  resolv.conf  users
///     DATA/logs/pods/NAMESPACE_NAME_UID/CONTAINER/ATTEMPT.log
///     DATA/seccomp/             the administrator's profiles, which pods name as seccompProfile.localhostProfile
///     DATA/volumes/DRIVER/ID    where a volume is staged, once for all pods
struct NodePaths: Sendable {
    let data: String

    var pods: String { "\(data)/pods" }
    var seccomp: String { "\(data)/seccomp" }
    /// What the node serves as its log files.
    var allLogs: String { "\(data)/logs" }
    var logs: String { "\(data)/logs/pods" }
    func pod(_ uid: String) -> String { "\(data)/pods/\(uid)" }
    /// Where the numbers of a pod's own users begin on the host.
    func userRange(_ uid: String) -> String { "\(data)/pods/\(uid)/users" }
    func volumes(_ uid: String) -> String { "\(data)/pods/\(uid)/volumes" }
    func volume(_ uid: String, kind: String, name: String) -> String { "\(data)/pods/\(uid)/volumes/\(kind)/\(name)" }
    func subPath(_ uid: String, volume: String, container: String, position: Int) -> String {
        "\(data)/pods/\(uid)/volume-subpaths/\(volume)/\(container)/\(position)"
    }
    func container(_ uid: String, _ name: String) -> String { "\(data)/pods/\(uid)/containers/\(name)" }
    func terminationMessage(_ uid: String, _ name: String, attempt: Int64) -> String {
        "\(data)/pods/\(uid)/containers/\(name)/\(attempt).termination"
    }
    func logDirectory(_ pod: Pod) -> String { "\(logs)/\(pod.namespace)_\(pod.name)_\(pod.uid)" }
    func logFile(_ pod: Pod, container: String, attempt: Int64) -> String {
        "\(logDirectory(pod))/\(container)/\(attempt).log"
    }
    func staging(driver: String, volumeID: String) -> String {
        "\(data)/volumes/\(Self.safe(driver))/\(Self.safe(volumeID))"
    }

    /// A file name for arbitrary text: what is not a letter, digit, "-", "_" or "." is written as %XX.
    static func safe(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            case UInt8(ascii: ".") where !result.isEmpty: result += "."
            default: result += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return String(result.prefix(240))
    }
}
