import Glibc

// The process ends here, without the exit handlers of plugin images: their code has ended in good order before.
let status = CommandLineProgram.run(Array(CommandLine.arguments.dropFirst()))
fflush(nil)
_exit(status)
