/// The dynamic symbols that an ELF image offers to others, read without opening it.
enum ExportedSymbols {
    struct Unreadable: Error, CustomStringConvertible { let description: String }

    /// Names of global and weak symbols that are defined and visible.
    static func read(_ image: [UInt8]) throws(Unreadable) -> [String] {
        guard let sections = sections(of: image) else {
            throw Unreadable(description: "the section headers are damaged")
        }
        // 11: SHT_DYNSYM.
        guard let table = sections.first(where: { $0.type == 11 }), Int(table.link) < sections.count else {
            throw Unreadable(description: "there is no table of dynamic symbols")
        }
        let strings = sections[Int(table.link)]
        var names: [String] = []
        for offset in stride(from: table.offset, to: table.offset + table.size, by: 24) {
            guard let name = number(image, offset, 4), let section = number(image, offset + 6, 2),
                offset + 6 <= UInt64(image.count)
            else { throw Unreadable(description: "the table of dynamic symbols is damaged") }
            let (info, visibility) = (image[Int(offset) + 4], image[Int(offset) + 5] & 3)
            let isOffered = (1...2).contains(info >> 4) && section != 0 && (visibility == 0 || visibility == 3)
            if isOffered, name != 0 { names.append(text(image, strings.offset &+ name)) }
        }
        return names
    }

    private struct Section {
        let type: UInt64
        let offset: UInt64
        let size: UInt64
        let link: UInt64
    }

    private static func sections(of image: [UInt8]) -> [Section]? {
        guard image.count > 64, let start = number(image, 40, 8), let count = number(image, 60, 2), count < 4096 else {
            return nil
        }
        var sections: [Section] = []
        for index in 0..<count {
            let head = start &+ index * 64
            guard let type = number(image, head &+ 4, 4), let offset = number(image, head &+ 24, 8),
                let size = number(image, head &+ 32, 8), let link = number(image, head &+ 40, 4)
            else { return nil }
            let end = offset.addingReportingOverflow(size)
            // 8: SHT_NOBITS, which takes no room in the file.
            guard type == 8 || (!end.overflow && end.partialValue <= UInt64(image.count)) else { return nil }
            sections.append(Section(type: type, offset: offset, size: size, link: link))
        }
        return sections
    }

    private static func number(_ image: [UInt8], _ at: UInt64, _ size: UInt64) -> UInt64? {
        guard at < UInt64(image.count), UInt64(image.count) - at >= size else { return nil }
        return (0..<size).reversed().reduce(0) { $0 << 8 | UInt64(image[Int(at + $1)]) }
    }

    private static func text(_ image: [UInt8], _ at: UInt64) -> String {
        guard at < UInt64(image.count) else { return "" }
        return String(decoding: image[Int(at)...].prefix(256).prefix { $0 != 0 }, as: UTF8.self)
    }
}
