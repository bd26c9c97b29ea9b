// Which names a pattern means and which calls a budget counts.

import Budgets
import Testing

struct MatchTests {
    @Test(
        "A star stands for any run, everything else for itself",
        arguments: [
            ("gpt-4o", "gpt-4o", true), ("gpt-4o", "gpt-4o-mini", false), ("gpt-4o", "GPT-4o", false), ("gpt-4o", "", false),
            ("gpt-*", "gpt-4o", true), ("gpt-*", "gpt-", true), ("gpt-*", "gpt", false), ("gpt-*", "xgpt-4", false),
            ("*", "", true), ("*", "anything", true), ("**", "anything", true), ("a**", "ab", true),
            ("*-mini", "gpt-4o-mini", true), ("*-mini", "-mini", true), ("*-mini", "gpt-4o-mini-2", false),
            ("claude-*-2024*", "claude-haiku-20241022", true), ("claude-*-2024*", "claude-2024", false),
            ("a*a", "a", false), ("a*a", "aa", true), ("a*a", "aba", true), ("a*b*c", "abc", true), ("a*b*c", "acb", false),
            ("a*ab*b", "aab", false), ("a*ab*b", "aabb", true), ("*aab*", "aaab", true), ("*ab*ab*", "abxab", true),
            ("*ab*ab*", "abab", true), ("*ab*ab*", "aab", false), ("a.c", "abc", false), ("a?c", "abc", false), ("[a-z]", "b", false),
            ("*é*", "café au lait", true), ("caf\u{e9}", "cafe\u{301}", false),
        ])
    func patterns(pattern: String, text: String, matches: Bool) throws {
        #expect(try #require(Pattern(pattern)).matches(text) == matches)
    }

    @Test("Patterns keep their text, and have bounds")
    func bounds() {
        #expect(Pattern("") == nil)
        #expect(Pattern(String(repeating: "a", count: 200)) != nil)
        #expect(Pattern(String(repeating: "a", count: 201)) == nil)
        #expect(Pattern("a*b")?.description == "a*b")
        #expect(Pattern("*") != Pattern("**"))
    }

    @Test("Patterns agree with a search that tries everything")
    func exhaustive() throws {
        func matches(_ pattern: ArraySlice<UInt8>, _ text: ArraySlice<UInt8>) -> Bool {
            guard let first = pattern.first else { return text.isEmpty }
            if first == UInt8(ascii: "*") {
                return matches(pattern.dropFirst(), text) || (!text.isEmpty && matches(pattern, text.dropFirst()))
            }
            return text.first == first && matches(pattern.dropFirst(), text.dropFirst())
        }
        var random = Seeded("patterns")
        var hits = 0
        for _ in 0..<4000 {
            let pattern = String(
                (0..<Int.random(in: 1...7, using: &random)).map { _ in Array("ab*")[Int.random(in: 0...2, using: &random)] })
            let text = String((0..<Int.random(in: 0...8, using: &random)).map { _ in Array("ab")[Int.random(in: 0...1, using: &random)] })
            let expected = matches(Array(pattern.utf8)[...], Array(text.utf8)[...])
            #expect(try #require(Pattern(pattern)).matches(text) == expected, "\(pattern) \(text), seed \(random.seed)")
            hits += expected ? 1 : 0
        }
        #expect(hits > 200)
    }

    private static let key = APIKeyID(high: 1, low: 2)
    private static let call = CallFacts(
        model: "gpt-4o-mini", provider: "openai", environment: "staging", feature: "summary", endUser: "alice", apiKey: key)
    private static let bare = CallFacts(
        model: "gpt-4o-mini", provider: "openai", environment: "staging", feature: nil, endUser: nil, apiKey: key)

    private func list(_ texts: String...) -> [Pattern] { texts.compactMap { Pattern($0) } }

    @Test("An empty list asks nothing, every other must have a pattern that fits")
    func lists() {
        #expect(BudgetMatch.any.matches(Self.call) && BudgetMatch.any.matches(Self.bare))
        #expect(BudgetMatch(models: list("claude-*", "gpt-*")).matches(Self.call))
        #expect(!BudgetMatch(models: list("claude-*")).matches(Self.call))
        #expect(BudgetMatch(models: list("gpt-*"), providers: list("openai"), environments: list("staging")).matches(Self.call))
        #expect(!BudgetMatch(models: list("gpt-*"), providers: list("azure")).matches(Self.call))
        #expect(!BudgetMatch(environments: list("production")).matches(Self.call))
        #expect(BudgetMatch(features: list("summary"), endUsers: list("al*")).matches(Self.call))
        #expect(!BudgetMatch(features: list("chat")).matches(Self.call))
        #expect(!BudgetMatch(endUsers: list("bob")).matches(Self.call))
        #expect(BudgetMatch(apiKeys: list(Self.key.description)).matches(Self.call))
        #expect(!BudgetMatch(apiKeys: list(APIKeyID(high: 1, low: 3).description)).matches(Self.call))
    }

    @Test("A call without the attribute a list asks for does not match, not even with a star")
    func absent() {
        #expect(!BudgetMatch(features: list("*")).matches(Self.bare))
        #expect(!BudgetMatch(endUsers: list("*")).matches(Self.bare))
        #expect(BudgetMatch(features: list("*"), endUsers: list("*")).matches(Self.call))
    }
}
