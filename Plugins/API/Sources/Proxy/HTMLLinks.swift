/// Leads the links of a proxied page back through the front, as it comes: in the attributes of tags that hold a URL, and nowhere
/// else (HTML Standard, section 13.2.5). All other bytes stay as they are. Keeps one tag at most. Pure.
struct HTMLLinks {
    /// Longer tags are passed on as they are.
    static let tagLimit = 64 * 1024

    /// The attributes that hold a URL, by element, as Kubernetes' proxy has them.
    private static let attributes: [String: Set<String>] = [
        "a": ["href"], "applet": ["codebase"], "area": ["href"], "audio": ["src"], "base": ["href"],
        "blockquote": ["cite"], "body": ["background"], "button": ["formaction"], "command": ["icon"], "del": ["cite"],
        "embed": ["src"], "form": ["action"], "frame": ["longdesc", "src"], "head": ["profile"], "html": ["manifest"],
        "iframe": ["longdesc", "src"], "img": ["longdesc", "src", "usemap"], "input": ["formaction", "src", "usemap"],
        "ins": ["cite"], "link": ["href"], "object": ["classid", "codebase", "data", "usemap"], "q": ["cite"],
        "script": ["src"], "source": ["src"], "video": ["poster", "src"],
    ]
    /// Elements whose content is text, whatever it looks like.
    private static let textElements: Set = [
        "iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "textarea", "title", "xmp",
    ]
    private static let comment = Array("<!--".utf8)

    private enum Place {
        case markup
        case comment
        /// Within an element whose content is text.
        case text(of: [UInt8])
    }

    private var place = Place.markup
    /// The beginning of what cannot be told before more comes.
    private var held: [UInt8] = []
    private let rewrite: @Sendable (String) -> String

    /// - Parameter response: says where links lead.
    init(_ response: ProxyResponse) {
        var response = response
        // It is put into attributes, with or without quotes.
        response.prefix = Self.escaped(response.prefix)
        let links = response
        rewrite = { links.rewritten($0) }
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "&": result += "&amp;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "=": result += "&#61;"
            case "`": result += "&#96;"
            default: result.append(character)
            }
        }
        return result
    }

    /// Takes the next bytes of the page; the result is what can be passed on of it.
    mutating func take(_ bytes: [UInt8]) -> [UInt8] {
        let page = held.isEmpty ? bytes : held + bytes
        held = []
        var output: [UInt8] = []
        output.reserveCapacity(page.count + 256)
        var position = 0
        while position < page.count {
            let step = next(page, at: position, &output)
            guard let step else {
                held = Array(page[position...])
                if held.count > Self.tagLimit {
                    // What ends so late is no tag of a page that is meant to be read.
                    output += held
                    held = []
                }
                break
            }
            position = step
        }
        return output
    }

    /// What is left at the page's end.
    mutating func finish() -> [UInt8] {
        defer { held = [] }
        return held
    }

    /// Passes on what begins at a position.
    /// - Returns: where the next begins; nil when more must come first.
    private mutating func next(_ page: [UInt8], at position: Int, _ output: inout [UInt8]) -> Int? {
        let mark = page[position...].firstIndex(of: isInComment ? 0x2D : 0x3C) ?? page.count
        guard mark == position else {
            output += page[position..<mark]
            return mark
        }
        switch place {
        case .comment: return endOfComment(page, at: position, &output)
        case .text(let element): return endOfText(page, at: position, element, &output)
        case .markup: return markup(page, at: position, &output)
        }
    }

    private var isInComment: Bool { if case .comment = place { true } else { false } }

    private mutating func endOfComment(_ page: [UInt8], at position: Int, _ output: inout [UInt8]) -> Int? {
        guard position + 3 <= page.count else { return nil }
        guard page[position + 1] == 0x2D, page[position + 2] == 0x3E else {
            output.append(0x2D)
            return position + 1
        }
        output += page[position..<(position + 3)]
        place = .markup
        return position + 3
    }

    /// At a "<" within an element of text: only its own end tag ends it.
    private mutating func endOfText(
        _ page: [UInt8], at position: Int, _ element: [UInt8], _ output: inout [UInt8]
    ) -> Int? {
        let wanted = [0x3C, 0x2F] + element
        for (offset, byte) in wanted.enumerated() {
            guard position + offset < page.count else { return nil }
            guard HTTPRequestHead.lowercased(page[position + offset]) == byte else {
                output.append(0x3C)
                return position + 1
            }
        }
        guard position + wanted.count < page.count else { return nil }
        if Self.endsName(page[position + wanted.count]) { place = .markup }
        output += page[position..<(position + wanted.count)]
        return position + wanted.count
    }

    /// At a "<" of markup.
    private mutating func markup(_ page: [UInt8], at position: Int, _ output: inout [UInt8]) -> Int? {
        let rest = page[position...]
        if rest.count < Self.comment.count, Self.comment.starts(with: rest) { return nil }
        if rest.starts(with: Self.comment) {
            // The hyphens may be those of its end, too: "<!-->".
            output += Self.comment[..<2]
            place = .comment
            return position + 2
        }
        guard position + 1 < page.count else { return nil }
        guard Self.isLetter(page[position + 1]) else {
            output.append(0x3C)
            return position + 1
        }
        guard let tag = HTMLTag(page, at: position) else { return nil }
        let name = String(decoding: tag.name, as: UTF8.self)
        if Self.textElements.contains(name) { place = .text(of: tag.name) }
        var written = position
        for attribute in tag.attributes where Self.attributes[name]?.contains(attribute.name) == true {
            guard let value = String(validating: page[attribute.value], as: UTF8.self) else { continue }
            output += page[written..<attribute.value.lowerBound]
            output += rewrite(value).utf8
            written = attribute.value.upperBound
        }
        output += page[written..<tag.end]
        return tag.end
    }

    static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }
    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) && byte != 0x0B }
    static func endsName(_ byte: UInt8) -> Bool { isBlank(byte) || byte == 0x2F || byte == 0x3E }
}

/// A start tag of an HTML page: where its attributes' values lie. Pure.
private struct HTMLTag {
    /// In lower case.
    var name: [UInt8] = []
    var attributes: [(name: String, value: Range<Int>)] = []
    /// Behind its ">".
    var end = 0

    /// Reads the tag that begins at a "<" and a letter; nil when the page does not have all of it yet.
    init?(_ page: [UInt8], at start: Int) {
        var position = start + 1
        func skip(while holds: (UInt8) -> Bool) { while position < page.count, holds(page[position]) { position += 1 } }

        skip { !HTMLLinks.endsName($0) }
        name = page[(start + 1)..<position].map(HTTPRequestHead.lowercased)
        while true {
            skip { HTMLLinks.isBlank($0) || $0 == 0x2F }
            guard position < page.count else { return nil }
            if page[position] == 0x3E { break }
            let nameStart = position
            // An equals sign that comes first belongs to the name.
            position += 1
            skip { !HTMLLinks.endsName($0) && $0 != 0x3D }
            let name = page[nameStart..<position]
            skip(while: HTMLLinks.isBlank)
            guard position < page.count else { return nil }
            guard page[position] == 0x3D else { continue }
            position += 1
            skip(while: HTMLLinks.isBlank)
            guard position < page.count else { return nil }
            let quote = page[position]
            var valueStart = position
            if quote == 0x22 || quote == 0x27 {
                position += 1
                valueStart = position
                skip { $0 != quote }
            } else {
                skip { !HTMLLinks.isBlank($0) && $0 != 0x3E }
            }
            guard position < page.count else { return nil }
            attributes.append(
                (String(decoding: name.map(HTTPRequestHead.lowercased), as: UTF8.self), valueStart..<position))
            if quote == 0x22 || quote == 0x27 { position += 1 }
        }
        end = position + 1
    }
}
