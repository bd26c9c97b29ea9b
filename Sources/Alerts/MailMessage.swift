/// An alert as an e-mail (RFC 5322): plain text, encoded so that no name can become a header or end the message.
public import Budgets

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

public enum MailMessage {
    /// What mail programs show of a subject, and no more.
    static let subjectLimit = 200

    /// The message. Its `Message-ID` is made of the event's id and stays the same at every attempt, so that a mailbox shows it once.
    public static func make(_ notice: Notice, from sender: String, to recipients: [String], at now: Instant) -> [UInt8] {
        let host = sender.split(separator: "@").last.map(String.init) ?? "bursar"
        let headers = [
            "From: Bursar <\(sender)>", "To: " + recipients.map { "<\($0)>" }.joined(separator: ",\r\n "),
            "Subject: " + encodedWords(notice.title.shortened(to: subjectLimit)), "Date: \(date(now))",
            "Message-ID: <\(notice.event)@\(host)>", "Auto-Submitted: auto-generated", "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64",
        ]
        let text = body(notice).joined(separator: "\r\n") + "\r\n"
        let encoded = Data(text.utf8).base64EncodedString(options: [
            .lineLength76Characters, .endLineWithCarriageReturn, .endLineWithLineFeed,
        ])
        return Array((headers.joined(separator: "\r\n") + "\r\n\r\n" + encoded + "\r\n").utf8)
    }

    private static func body(_ notice: Notice) -> [String] {
        var lines = [notice.summary, ""]
        lines += notice.facts.map { "\($0.label): \($0.value)" }
        if !notice.facts.isEmpty { lines.append("") }
        lines += notice.remarks
        if let link = notice.link { lines.append(link) }
        return lines + ["", "\(notice.organizationName) · \(notice.severity.rawValue) · \(notice.event)"]
    }

    /// RFC 2047: words of at most 75 characters, each of whole Unicode scalars in base64.
    static func encodedWords(_ text: String) -> String {
        var words: [String] = []
        var word = ""
        for scalar in text.unicodeScalars {
            if word.utf8.count + 4 > 45 {
                words.append(word)
                word = ""
            }
            word.unicodeScalars.append(scalar)
        }
        words.append(word)
        return words.map { "=?utf-8?B?\(Data($0.utf8).base64EncodedString())?=" }.joined(separator: "\r\n ")
    }

    /// RFC 5322 §3.3, without the day's name: `21 Nov 2026 08:00:00 +0000`.
    static func date(_ instant: Instant) -> String {
        let text = Instant(seconds: instant.seconds).rfc3339
        let month = RetrySchedule.months[(Int(text.dropFirst(5).prefix(2)) ?? 1) - 1]
        return "\(text.dropFirst(8).prefix(2)) \(month) \(text.prefix(4)) \(text.dropFirst(11).prefix(8)) +0000"
    }
}
