/// The values that simulated clients write: each can be told from all others, and a part of one from the whole.
public enum Payload {
    private static let sizes = [8, 8, 40, 40, 40, 300, 1200, 9000]

    /// The value of a write: its tag, then bytes that follow from it.
    public static func bytes(_ tag: UInt64) -> [UInt8] {
        var bytes = withUnsafeBytes(of: tag.littleEndian) { Array($0) }
        let size = sizes[Int(tag % UInt64(sizes.count))]
        bytes.reserveCapacity(size)
        var next = UInt8(truncatingIfNeeded: tag)
        while bytes.count < size {
            next = next &* 5 &+ 1
            bytes.append(next)
        }
        return bytes
    }

    /// The tag of a value, nil when it is not exactly what was written.
    public static func tag(_ value: [UInt8]) -> UInt64? {
        guard value.count >= 8 else { return nil }
        let tag = value[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return bytes(tag) == value ? tag : nil
    }

    /// The index value under "app" that goes with a write.
    public static func app(_ tag: UInt64) -> String { tag == 0 ? "" : ["web", "db", "cache"][Int(tag / 8 % 3)] }
}
