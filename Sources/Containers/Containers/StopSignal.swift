import Glibc
import PluginKit

/// Signals by the names that images and pods give them: signal(7).
package enum StopSignal {
    private static let numbers: [String: Int32] = [
        "HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10,
        "SEGV": 11,
        "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "STKFLT": 16, "CHLD": 17, "CONT": 18, "STOP": 19, "TSTP": 20,
        "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26, "PROF": 27, "WINCH": 28, "IO": 29,
        "POLL": 29, "PWR": 30, "SYS": 31,
    ]

    /// SIGTERM for "".
    package static func number(_ text: String) throws(PluginError) -> Int32 {
        if text.isEmpty { return SIGTERM }
        if let number = Int32(text), (1...64).contains(number) { return number }
        let upper = text.uppercased()
        let name = upper.hasPrefix("SIG") ? String(upper.dropFirst(3)) : upper
        if let number = numbers[name] { return number }
        // As C libraries count them for programs: 34 to 64.
        if name.hasPrefix("RTMIN"), let offset = Int32(name == "RTMIN" ? "0" : name.dropFirst(6)),
            (0...30).contains(offset)
        {
            return 34 + offset
        }
        if name.hasPrefix("RTMAX"), let offset = Int32(name == "RTMAX" ? "0" : name.dropFirst(6)),
            (0...30).contains(offset)
        {
            return 64 - offset
        }
        throw .invalid("\"\(text)\" is not a signal, such as SIGTERM")
    }
}
