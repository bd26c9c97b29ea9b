// The main job from end to end: structure, prices, reservations, settlements, alerts on real sockets, and an export that ties.
import Budgets
import Foundation
import Store
import Testing

@testable import bursar

@Suite struct DemoTests {
    @Test("A replayed trace fills two budgets, alerts everyone once, and exports its own sum to the last digit")
    func synthetic() async throws {
        let outcome = try await withTemporaryServer { server in
            try await DemoRun(
                server: server, trace: Trace.synthetic(1500, seed: 3), prices: try PriceList.builtIn(), seed: 3, connections: 2
            ).run { _ in }
        }
        for check in outcome.checks { #expect(check.holds, "\(check.claim)\n\(outcome.text)") }
        #expect(outcome.report.tally.cost > .zero)
        #expect(outcome.world.overQuota > 0 && outcome.world.notAllowed > 0)
    }

    @Test("The built-in price list is whole: current models of the large providers, each with its prices")
    func builtIn() throws {
        let list = try PriceList.builtIn()
        #expect(list.models.count >= 60)
        #expect(list.notes.isEmpty)
        #expect(Set(list.models.map(\.provider)) == ["anthropic", "bedrock", "cohere", "deepseek", "google", "mistral", "openai", "xai"])
        for model in list.models {
            #expect(model.amount(.init(kind: "input")) != nil, "\(model.name)")
            #expect(model.name.contains("embed") || model.amount(.init(kind: "output")) != nil, "\(model.name)")
            #expect(model.source.hasPrefix("https://"), "\(model.name)")
        }
        for (name, _) in DemoWorld.models { #expect(list.models.contains { $0.name == name }) }
    }

    /// `../shared/data` lies beside a checkout of the project's own making only; elsewhere this test says that it is skipped.
    private static let real = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../../shared/data/prices/litellm-1.106.2.json").standardized

    @Test(
        "Where the built-in list and LiteLLM's know the same model, they agree",
        .enabled(if: FileManager.default.fileExists(atPath: real.path), "no ../shared/data beside the checkout"))
    func agrees() throws {
        let theirs = try PriceList(json: Array(Data(contentsOf: Self.real)), name: "litellm")
        let byName = Dictionary(uniqueKeysWithValues: theirs.models.map { ($0.name, $0) })
        // The bare name of a Gemini model is that of Vertex AI, which has prices of its own.
        let prefixes = ["gemini/", "mistral/", "xai/", "cohere/", "deepseek/", ""]
        for model in try PriceList.builtIn().models {
            let same = try #require(prefixes.lazy.compactMap { byName[$0 + model.name] }.first, "\(model.name)")
            for rate in model.rates { #expect(same.amount(rate.slot) == rate.amountPerMillion, "\(model.name) \(rate.slot)") }
        }
    }
}
