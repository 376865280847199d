import CNGHTTP2

/// The fields of a header block, as nghttp2 takes them: it copies names and values. Names are made lower case.
struct HTTP2Fields {
    private var bytes: [UInt8] = []
    private var sizes: [(name: Int, value: Int)] = []

    mutating func add(_ name: some Collection<UInt8>, _ value: some Collection<UInt8>) {
        for byte in name { bytes.append(HTTPRequestHead.lowercased(byte)) }
        bytes.append(contentsOf: value)
        sizes.append((name.count, value.count))
    }

    mutating func add(_ name: String, _ value: String) { add(name.utf8, value.utf8) }

    /// Lends the fields to `body`.
    mutating func withFields<Result>(_ body: (UnsafePointer<nghttp2_nv>?, Int) -> Result) -> Result {
        bytes.withUnsafeMutableBufferPointer { [sizes] bytes in
            var position = bytes.baseAddress
            let fields = sizes.map { size in
                let name = position
                let value = name.map { $0 + size.name }
                position = value.map { $0 + size.value }
                return nghttp2_nv(name: name, value: value, namelen: size.name, valuelen: size.value, flags: 0)
            }
            return fields.withUnsafeBufferPointer { body($0.baseAddress, $0.count) }
        }
    }
}
