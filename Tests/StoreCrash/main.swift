// Kills a store's process while it works and checks that nothing is lost:
//
//     StoreCrash rounds [--rounds N] [--seed N] --directory D     kill -9 at random moments
//     StoreCrash disk [--rounds N] [--seed N] --directory D       on a small disk that fills up and is enlarged (root,
//                                                                 under unshare --mount)
//
// A failure says what was lost and leaves the directory. script/crash builds and runs it. The children are this program
// too: `write DIRECTORY …` and `open DIRECTORY`.

import Glibc
import Kernel

var arguments = Arguments(CommandLine.arguments.dropFirst())
let isGrowing = arguments.flag("growing")
let seed = arguments.number("seed", otherwise: UInt64.random(in: 1..<1_000_000))
let rounds = Int(clamping: arguments.number("rounds", otherwise: 30))
let round = Int(clamping: arguments.number("round", otherwise: 0))
let writers = Int(clamping: arguments.number("writers", otherwise: 8))
let resume = arguments.number("resume", otherwise: 0)
let place = arguments.option("directory")

switch (arguments.words.first, arguments.words.count) {
case ("write", 2):
    Load(round: round, seed: seed, writers: writers, resume: resume, isGrowing: isGrowing).run(in: arguments.words[1])
case ("open", 2):
    do throws(StoreError) {
        let store = try StateStore(directory: arguments.words[1], options: CrashStore.options())
        Journal.report(.opened(0))
        store.close()
    } catch {
        Journal.report(.failure(error.message))
    }
case ("rounds"?, 1), ("disk"?, 1):
    guard let place else { fail("--directory is needed") }
    report("\(arguments.words[0]): \(rounds) rounds, seed \(seed), in \(place)")
    do {
        if arguments.words[0] == "rounds" {
            var run = try Rounds(count: rounds, seed: seed, directory: place)
            try run.run()
        } else {
            var run = try SmallDisk(rounds: rounds, seed: seed, directory: place)
            try run.run()
        }
    } catch {
        fail("seed \(seed): \(error). The files are in \(place).")
    }
default: fail("usage: StoreCrash rounds|disk [--rounds N] [--seed N] --directory D")
}
