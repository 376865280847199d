/// Where the kernel's state code draws random numbers: the system's, under simulation those of the seed.
struct KernelRandom: RandomNumberGenerator {
    func next() -> UInt64 {
        #if SIMULATION
            simulatedThreads.random()
        #else
            var system = SystemRandomNumberGenerator()
            return system.next()
        #endif
    }

    /// A number of a range.
    static func number<Number: FixedWidthInteger>(in range: ClosedRange<Number>) -> Number {
        var source = KernelRandom()
        return Number.random(in: range, using: &source)
    }
}
