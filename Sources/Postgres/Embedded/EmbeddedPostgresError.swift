/// What can go wrong with a private Postgres, in words that say what to do about it.
import Glibc

/// The private server cannot be had. The text is for the person at the terminal and holds no secrets.
public struct EmbeddedPostgresError: Error, CustomStringConvertible {
    /// What happened and, where we know it, the way out.
    public let description: String

    init(_ description: String) { self.description = description }

    /// With the system's reason for the failed call.
    init(_ description: String, code: Int32) {
        let reason = unsafe String(cString: strerror(code))
        self.description = "\(description): \(reason)"
    }
}
