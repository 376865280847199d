/// What one HTTP/2 connection may ask of the server (RFC 9113, section 10.5). Those that nghttp2 watches itself are set in
/// `HTTP2Library`; a client that passes them loses its connection.
enum HTTP2Limits {
    /// Requests at once, as Kubernetes allows. Requests that the client gave up count until they have been answered.
    static let streams = 250
    /// Bytes of a request's body that a client may send before the server has looked at it: the protocol's default.
    static let firstWindow = 65_535
    /// Bytes of bodies that one connection may have on their way beyond the first windows.
    static let bodies = 16 << 20
    /// The window of the connection as a whole. What comes in is taken at once, so that it never holds a stream up.
    static let connectionWindow: Int32 = 1 << 20
    /// CONTINUATION frames that may follow a HEADERS frame: with frames of 16 KiB more than a head may have.
    static let continuations = 8
    /// RST_STREAM frames: so many at once, then so many a second. Who opens requests only to give them up is stopped here.
    static let resets: (burst: UInt64, perSecond: UInt64) = (1000, 33)
    /// Answers to PING and SETTINGS frames that may wait until the client reads.
    static let acknowledgements = 1000
    /// Entries of one SETTINGS frame.
    static let settings = 32
    /// Bytes that are framed in one piece, for one write.
    static let batch = 64 << 10
}
