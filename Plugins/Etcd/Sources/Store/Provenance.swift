/// Who wrote a value and when: 8 bytes of milliseconds since 1970, 2 bytes of size, the writer's text. Etcd keeps neither, so
/// it lies with the value; a deletion has none.
struct Provenance: Equatable {
    /// Milliseconds since 1970.
    var time: UInt64
    /// The user, then, behind a NUL, the field manager.
    var writer: String

    var bytes: [UInt8] {
        let text = Array(writer.utf8.prefix(Int(UInt16.max)))
        return withUnsafeBytes(of: time.littleEndian) { Array($0) }
            + withUnsafeBytes(of: UInt16(text.count).littleEndian) { Array($0) } + text
    }

    init(time: UInt64, writer: String) {
        self.time = time
        self.writer = writer
    }

    /// Takes it from the front; nil when the bytes end early.
    init?(_ bytes: inout ArraySlice<UInt8>) {
        func number(_ size: Int) -> UInt64? {
            guard bytes.count >= size else { return nil }
            defer { bytes = bytes.dropFirst(size) }
            return bytes.prefix(size).reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        guard let time = number(8), let size = number(2), bytes.count >= size else { return nil }
        self.time = time
        writer = String(decoding: bytes.prefix(Int(size)), as: UTF8.self)
        bytes = bytes.dropFirst(Int(size))
    }
}
