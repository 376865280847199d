import CThreadSanitizer
import Glibc

// PlantedRaces CASE: does something with two threads under the thread sanitizer. script/sanitize runs each case and holds the
// sanitizer to what is expected of it; `PlantedRaces list` prints "found NAME" or "clean NAME" for each.

func end(_ message: String, code: Int32) -> Never {
    let line = "PlantedRaces: \(message)\n"
    _ = write(2, line, line.utf8.count)
    exit(code)
}

guard CommandLine.arguments.count == 2, let word = CommandLine.arguments.last else {
    end("usage: PlantedRaces list | CASE", code: 2)
}
if word == "list" {
    for race in PlantedRace.allCases { print(race.isFound ? "found" : "clean", race.rawValue) }
    exit(0)
}
guard let race = PlantedRace(rawValue: word) else { end("no case \(word)", code: 2) }
let before = thread_sanitizer_contended_locks()
race.run()
// A case about waiting that never waited proves nothing.
if race.mustContend, thread_sanitizer_contended_locks() == before { end("no thread ever waited for the lock", code: 3) }
