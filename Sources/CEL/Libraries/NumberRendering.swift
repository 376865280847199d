import Glibc

extension StringFormat {
    /// A number with a fixed count of digits behind the point, as the C library rounds it.
    static func rendered(_ number: Double, _ precision: Int, isExponential: Bool) -> String {
        var buffer = [CChar](repeating: 0, count: 512)
        let written = withVaList([Int32(precision), number]) {
            vsnprintf(&buffer, buffer.count, isExponential ? "%.*e" : "%.*f", $0)
        }
        return String(decoding: buffer.prefix(Int(written)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
