/// How long a failed key waits: 5 ms doubling to 1000 s, less up to a tenth at random so that many do not come at once.
enum Backoff {
    static let first: UInt64 = 5_000_000
    static let longest: UInt64 = 1_000_000_000_000

    /// Nanoseconds before the try after `failures` failures in a row (from 1).
    static func delay(failures: Int) -> UInt64 {
        let shift = min(max(failures - 1, 0), 18)
        let base = min(first << UInt64(shift), longest)
        return base - KernelRandom.number(in: 0...base / 10)
    }
}
