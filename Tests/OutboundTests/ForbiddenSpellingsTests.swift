/// Spellings of addresses inside, tried on a real client beside a real server on loopback: none of them may open a connection there.
import Logging
import TestSupport
import Testing

@testable import Outbound

@Suite(.timeLimit(.minutes(1)), .keepsLog) struct ForbiddenSpellingsTests {
    static let hosts = [
        // Loopback, as inet_aton reads it: fewer parts, octal, hexadecimal, one number.
        "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001", "0x7F.0x0.0x0.0x1", "0x7f.1",
        "017700000001", "0177.0.0.1", "0177.1", "0177.0.0.01", "00000177.0.0.1", "127.0.0.0x1", "0x7f.0.0.1", "127.000.000.001",
        "127.65535",
        "127.0x000001", "4294967295", "0", "0.0.0.0", "0x0", "00", "0.0.0.0.", "localhost", "LOCALHOST", "localhost.",
        // The same inside IPv6.
        "[::1]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]", "[::FFFF:7F00:0001]", "[::127.0.0.1]", "[::7f00:1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]",
        "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:7f00:0001::1]", "[2001:0:7f00:1::]", "[fe80::1]",
        "[fe80::1%25lo]",
        "[fe80::1%lo]", "[fec0::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[100::1]", "[5f00::1]", "[2001:db8::1]", "[3fff::1]",
        // Metadata services and private networks.
        "169.254.169.254", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "0xa9.0xfe.0xa9.0xfe", "169.16689662",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]", "168.63.129.16", "100.100.100.200", "10.0.0.1", "012.1", "0xa.1", "167772161", "172.16.0.1", "192.168.0.1",
        "192.168.1", "0300.0250.1", "100.64.0.1", "192.0.0.192", "198.18.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
        "240.0.0.1", "255.255.255.255", "192.88.99.1",
        // Tricks of writing.
        "①②⑦.⓪.⓪.①", "127。0。0。1", "１２７.0.0.1", "%31%32%37.0.0.1", "%6c%6f%63%61%6c%68%6f%73%74", "127%2e0%2e0%2e1",
        "127.0.0.1%00.example.com",
        "user@127.0.0.1", "example.com@127.0.0.1", "example.com:secret@127.0.0.1", "127.0.0.1#@example.com", "127.0.0.1\\@example.com",
        "127.0.0.1?@example.com", "[127.0.0.1]", "[::1", "::1", "127.0.0.1 ", "127.0.0.1\t", "127.0.0.1\r\nHost: example.com", "",
        "0x7f000001.",
        "[::1]]", "[[::1]]", "[v1.127.0.0.1]",
    ]

    @Test("there are at least sixty of them") func count() { #expect(Set(Self.hosts).count >= 60) }

    @Test("none reaches a server on loopback, by https or by http")
    func never() async throws {
        let receiver = Receiver()
        defer { receiver.stop() }
        // The list allows something, so that plain http is let through to the address check.
        let client = TestClient.make(allow: ["10.255.255.0/24"])
        defer { client.shutdown() }
        await withTaskGroup(of: Void.self) { group in
            for host in Self.hosts {
                for scheme in ["http", "https"] {
                    group.addTask {
                        let request = OutboundRequest(
                            url: "\(scheme)://\(host):\(receiver.port)/", headers: [], body: [1], deadline: .seconds(10))
                        do throws(OutboundError) {
                            let response = try await client.send(request)
                            Issue.record("\(scheme)://\(host) answered \(response.status)")
                        } catch {
                            switch error {
                            case .notAllowed, .invalid, .unresolved: break
                            default: Issue.record("\(scheme)://\(host) was tried: \(error)")
                            }
                        }
                    }
                }
            }
        }
        #expect(receiver.connections == 0)
    }

    @Test(
        "other schemes and incomplete URLs are refused before anything else",
        arguments: [
            "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "ldap://example.com/", "dict://example.com:11211/",
            "smtp://a.b/",
            "example.com", "//example.com/", "https:", "https://", "http://example.com/", "javascript:alert(1)", "data:,x",
            "https://exa mple.com/", "https://example.com:99999/", "https://example.com:x/", "https://u@example.com/",
            "https://u:p@example.com/",
            "https://\(String(repeating: "a", count: 2048))/",
        ])
    func refusedURLs(url: String) {
        let client = TestClient.make(allow: [])
        #expect(throws: OutboundError.self) { try client.check(url: url) }
    }

    @Test("a public address must have a name, and may be registered without a lookup")
    func names() throws {
        let client = TestClient.make(allow: ["127.0.0.0/8"])
        try client.check(url: "https://hooks.example.com/services/T/B/x?y=1")
        try client.check(url: "https://hooks.example.com:8443/")
        try client.check(url: "http://127.0.0.1:9/")
        #expect(throws: OutboundError.notAllowed) { try client.check(url: "https://8.8.8.8/") }
        #expect(throws: OutboundError.notAllowed) { try client.check(url: "https://[2606:4700::1111]/") }
    }
}
