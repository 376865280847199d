import CPluginCheck
import Glibc
import Kernel

// The conformance kit as a program: `hostd plugin check` executes it. Exit codes: 0 every rule holds, 1 a rule is broken,
// 2 the command line is wrong or there is no such file.

/// Makes the checks of one group, in a sandbox; never returns.
func work(_ options: CommandLineOptions, _ worker: CommandLineOptions.Worker) -> Never {
    let line: Int32 = 3
    var failure = [CChar](repeating: 0, count: 256)
    check_enter_sandbox(worker.scratch, line, &failure, UInt64(failure.count))
    check_explain_faults(line)
    let reporter = Reporter(descriptor: line, done: worker.done)
    guard let group = Group.all.first(where: { $0.name == worker.group }) else { _exit(2) }
    do throws(Session.Failure) {
        let session = try Session(
            options, scratch: worker.scratch, reporter: reporter, sandboxFailure: lines(failure))
        group.run(session)
        reporter.send(["done": true])
        _exit(0)
    } catch {
        Output.errorLine(error.message)
        _exit(2)
    }
}

func main() -> Int32 {
    let options: CommandLineOptions
    do throws(CommandLineOptions.Mistake) {
        options = try CommandLineOptions(Array(CommandLine.arguments.dropFirst()))
    } catch {
        Output.errorLine("hostd plugin check: \(error.message)\n\(CommandLineOptions.usage)")
        return 2
    }
    if options.listsRules {
        let rules = Rule.all.map { rule -> JSON in
            ["number": .integer(Int64(rule.number)), "title": .string(rule.title), "remedy": .string(rule.remedy)]
        }
        Output.line(JSON.array(rules).serializedString())
        return 0
    }
    if let worker = options.worker { work(options, worker) }
    guard access(options.file, R_OK) == 0 else {
        Output.errorLine("hostd plugin check: \(options.file): \(String(cString: strerror(errno)))")
        return 2
    }
    do throws(Worker.Failure) {
        let report = try Supervisor(options).run()
        Output.line(options.isJSON ? report.json.serializedString() : report.text)
        return report.hasPassed ? 0 : 1
    } catch {
        Output.errorLine("hostd plugin check: \(error.message)")
        return 2
    }
}

exit(main())
