/// What is said to a person at a terminal and not to a pipe.
import Foundation
import Glibc

enum Terminal {
    /// Whether a person looks at standard error.
    static var isInteractive: Bool { isatty(STDERR_FILENO) == 1 }

    /// Replaces the line that a person sees, while long work goes on.
    static func update(_ text: String) {
        guard isInteractive else { return }
        try? FileHandle.standardError.write(contentsOf: Data("\r\u{1B}[K\(text)".utf8))
    }

    /// Says what is going on, on standard error, if a person is looking there.
    static func progress(_ text: String) {
        guard isInteractive else { return }
        try? FileHandle.standardError.write(contentsOf: Data((text + "\n").utf8))
    }

    /// Says on standard error what a person should know even when it goes to a file.
    static func note(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data((text + "\n").utf8))
    }

    /// Prints to standard output at once, which is a pipe when something waits for the line.
    static func say(_ text: String) {
        try? FileHandle.standardOutput.write(contentsOf: Data((text + "\n").utf8))
    }
}
