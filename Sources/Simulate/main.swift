// Runs the kernel under simulation; script/simulate builds and calls this.
//
//     Simulate [--seeds N] [--seed S] [--fault NAME | --faults] [--replay] [--jobs N] [--trace]

import Glibc

// Hash values differ from process to process unless this is set, and with them the order of sets.
if getenv("SWIFT_DETERMINISTIC_HASHING") == nil {
    setenv("SWIFT_DETERMINISTIC_HASHING", "1", 1)
    execv("/proc/self/exe", CommandLine.unsafeArgv)
    fail("cannot start again: \(String(cString: strerror(errno)))")
}
Simulate(CommandLine.arguments.dropFirst()).run()
