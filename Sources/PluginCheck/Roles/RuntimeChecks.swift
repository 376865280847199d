import Kernel
enum RuntimeChecks { static func run(_ session: Session) {} }
