import XCTest

@testable import API

/// Links of pages that pods and services send, on their way through the front.
final class HTMLLinksTests: XCTestCase {
    private static let prefix = "/api/v1/namespaces/n/pods/p/proxy"

    private func links(_ prefix: String = HTMLLinksTests.prefix) -> HTMLLinks {
        HTMLLinks(ProxyResponse(prefix: prefix, authority: "10.0.0.5:80", requestHost: "api:6443"))
    }

    /// A page in pieces of a size.
    private func changed(_ page: String, piece: Int, prefix: String = HTMLLinksTests.prefix) -> String {
        var links = links(prefix)
        let bytes = Array(page.utf8)
        var output: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: piece) {
            output += links.take(Array(bytes[start..<min(start + piece, bytes.count)]))
        }
        output += links.finish()
        return String(decoding: output, as: UTF8.self)
    }

    func testPages() {
        let rows: [(page: String, wanted: String, reason: String)] = [
            (
                #"<a href="/x?a=1&amp;b=2#c">/x</a>"#, #"<a href="P/x?a=1&amp;b=2#c">/x</a>"#,
                "a path; text is not a link"
            ),
            (#"<A HREF='/x' class=b>"#, #"<A HREF='P/x' class=b>"#, "in capitals, with single quotes"),
            (#"<img alt="/a>b" src=/i.png><br/>"#, #"<img alt="/a>b" src=P/i.png><br/>"#, "without quotes"),
            (#"<script src = "/s.js" async></script>"#, #"<script src = "P/s.js" async></script>"#, "blanks around ="),
            (#"<a href="http://10.0.0.5:80/x">"#, #"<a href="P/x">"#, "the server's own address"),
            (#"<a href="https://api:6443/x">"#, #"<a href="P/x">"#, "the front's"),
            (#"<a href="https://example.com/x">"#, #"<a href="https://example.com/x">"#, "elsewhere"),
            (#"<a href="//example.com/x">"#, #"<a href="//example.com/x">"#, "elsewhere, by the same scheme"),
            (#"<a href="x/y">"#, #"<a href="x/y">"#, "relative"),
            (#"<a href="P/x">"#, #"<a href="P/x">"#, "the server knows of the front"),
            (#"<a href="mailto:a@b">"#, #"<a href="mailto:a@b">"#, "no web address"),
            (#"<a href="">"#, #"<a href="">"#, "nothing"),
            (#"<a name="/x" data-href="/y">"#, #"<a name="/x" data-href="/y">"#, "attributes that are no links"),
            (#"<p href="/x">"#, #"<p href="/x">"#, "an element without links"),
            (#"<video poster=/p.png src="/v.mp4">"#, #"<video poster=P/p.png src="P/v.mp4">"#, "two links"),
            (#"<link rel=stylesheet href=/s.css>"#, #"<link rel=stylesheet href=P/s.css>"#, "a link element"),
            (
                #"<form action="/f" method=post><button formaction=/g>"#,
                #"<form action="P/f" method=post><button formaction=P/g>"#, "forms"
            ),
            (#"<!-- <a href="/x"> --><a href="/y">"#, #"<!-- <a href="/x"> --><a href="P/y">"#, "a comment"),
            (#"<!--><a href="/y">"#, #"<!--><a href="P/y">"#, "a comment that ends where it begins"),
            (#"<!---><a href="/y">"#, #"<!---><a href="P/y">"#, "the same"),
            (#"<!-- a -- b - --><a href="/y">"#, #"<!-- a -- b - --><a href="P/y">"#, "hyphens in a comment"),
            (
                #"<script>if (a<b) x('<a href="/x">')</script><a href="/y">"#,
                #"<script>if (a<b) x('<a href="/x">')</script><a href="P/y">"#, "a script's text"
            ),
            (
                #"<style>a</styles><a href="/x"></STYLE ><a href="/y">"#,
                #"<style>a</styles><a href="/x"></STYLE ><a href="P/y">"#, "the end of another element"
            ),
            (#"<title><a href="/x"></title><a href="/y">"#, #"<title><a href="/x"></title><a href="P/y">"#, "a title"),
            (#"1 < 2 <a href="/x"> <1> <>"#, #"1 < 2 <a href="P/x"> <1> <>"#, "what is no tag"),
            (#"<!DOCTYPE html><html lang=en><a href=/x>"#, #"<!DOCTYPE html><html lang=en><a href=P/x>"#, "a doctype"),
            (#"</a href="/x"><a href="/y""#, #"</a href="/x"><a href="/y""#, "an end tag, and a tag that is cut off"),
            (
                #"<a =x href="/y" / disabled href2>"#, #"<a =x href="P/y" / disabled href2>"#,
                "an attribute that begins with ="
            ),
            ("", "", "nothing"),
        ]
        for row in rows {
            let page = row.page.replacing("P/", with: Self.prefix + "/")
            let wanted = row.wanted.replacing("P/", with: Self.prefix + "/")
            for piece in [1, 2, 3, 7, max(1, page.utf8.count)] {
                XCTAssertEqual(changed(page, piece: piece), wanted, "\(row.reason), \(piece) bytes at a time")
            }
        }
    }

    /// The client's own path is part of what is put into the page.
    func testPrefixesCannotLeaveTheirAttribute() {
        let prefix = #"/api/v1/namespaces/n/pods/p/proxy"onload='x<&="#
        for page in [#"<a href="/x">"#, "<a href='/x'>", "<a href=/x>"] {
            let result = changed(page, piece: 100, prefix: prefix)
            XCTAssertTrue(
                result.contains("/proxy&quot;onload&#61;&#39;x&lt;&amp;&#61;/x"), "\(page) became \(result)")
        }
    }

    func testOtherBytesStayAsTheyAre() {
        var links = links()
        let bytes: [UInt8] = [0xFF, 0x3C, 0x61, 0x20, 0x68, 0x72, 0x65, 0x66, 0x3D, 0x2F, 0xFE, 0x3E, 0x00]
        XCTAssertEqual(links.take(bytes) + links.finish(), bytes, "a link that is not UTF-8")
    }

    func testLongTagsAreNotKept() {
        var links = links()
        let begun = Array(#"<a href="/"#.utf8)
        var output = links.take(begun)
        for _ in 0..<80 { output += links.take([UInt8](repeating: 0x78, count: 1024)) }
        XCTAssertGreaterThan(output.count, HTMLLinks.tagLimit)
        output += links.take(Array(#""><a href="/y">"#.utf8)) + links.finish()
        XCTAssertEqual(output.prefix(begun.count), begun[...])
        XCTAssertTrue(String(decoding: output, as: UTF8.self).hasSuffix(#""><a href="\#(Self.prefix)/y">"#))
    }
}
