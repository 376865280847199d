// Gives one reader of bytes from outside to libFuzzer: Fuzz TARGET [OPTION OF LIBFUZZER | FILE | DIRECTORY]…
// `Fuzz list` names the targets; `Fuzz seeds DIRECTORY` writes what real stores leave on disk as inputs for `log` and
// `snapshot`. script/fuzz builds and runs it.

import CFuzz
import Glibc

let words = CommandLine.arguments
if words.dropFirst().elementsEqual(["list"]) {
    print(FuzzTarget.allCases.map(\.rawValue).joined(separator: "\n"))
    exit(0)
}
if words.count == 3, words[1] == "seeds" {
    do { try StoreSeeds.write(to: words[2]) } catch { fatalError("\(error)") }
    exit(0)
}
guard words.count >= 2, let target = FuzzTarget(rawValue: words[1]) else {
    let usage = "usage: Fuzz TARGET [OPTION|FILE|DIRECTORY]…, Fuzz list, or Fuzz seeds DIRECTORY\n"
    _ = write(2, usage, usage.utf8.count)
    exit(2)
}
// libFuzzer's callback has no context: the target goes through the environment, which also reaches its child processes.
setenv(FuzzTarget.variable, target.rawValue, 1)
var arguments: [UnsafeMutablePointer<CChar>?] = ([words[0]] + words.dropFirst(2)).map { strdup($0) } + [nil]
var count = Int32(arguments.count - 1)
let status = arguments.withUnsafeMutableBufferPointer { arguments in
    var first = arguments.baseAddress!
    return LLVMFuzzerRunDriver(&count, &first) { data, size in
        FuzzTarget.chosen.run(UnsafeRawBufferPointer(start: data, count: size))
        return 0
    }
}
exit(status)
