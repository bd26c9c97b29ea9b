// What was agreed must be billed to the digit: percentages become explicit rates, and what names nothing is refused, not ignored.
import Budgets
import Testing

@testable import Store

private func amount(_ text: String) -> Money { Amount(text) ?? Money(pico: -1) }

@Suite struct ContractTests {
    private let list = ListInForce(
        providers: ["gpt-4o": "openai", "gpt-4o-mini": "openai", "claude": "anthropic", "unpriced": "openai"],
        rates: [
            "gpt-4o": [.init(kind: "input"): amount("2.5"), .init(kind: "input", serviceTier: "batch"): amount("1.25")],
            "gpt-4o-mini": [.init(kind: "input"): amount("0.15")], "claude": [.init(kind: "input"): amount("3")],
        ])

    @Test("A discount is taken off every rate of the provider; a later line goes before an earlier one")
    func discount() throws {
        let lines = try [ContractLine](
            csv: "\u{FEFF}provider,model,usage_kind,amount_per_million,percent_off\r\nopenai,,,,12.5\r\n\r\n,gpt-4o-mini,input,\"0.1\",\r\n"
        )
        let contract = try PriceList(contract: lines, over: list, source: "deal.csv")
        #expect(contract.models.map(\.name) == ["gpt-4o", "gpt-4o-mini"])
        #expect(contract.models[0].amount(.init(kind: "input")) == amount("2.1875"))
        #expect(contract.models[0].amount(.init(kind: "input", serviceTier: "batch")) == amount("1.09375"))
        #expect(contract.models[1].amount(.init(kind: "input")) == amount("0.1"))
        let some = try PriceList(
            contract: [.discount(provider: "openai", models: Pattern("*-mini"), percent: Amount(whole: 50))], over: list, source: "s")
        #expect(some.models.map(\.name) == ["gpt-4o-mini"])
    }

    @Test(
        "What is left is rounded to six digits, half to even",
        arguments: [
            ("2.5", "12.5", "2.1875"), ("0.000001", "50", "0"), ("0.000003", "50", "0.000002"), ("0.000005", "50", "0.000002"),
            ("1.234567", "7.1234", "1.146624"), ("1000000000", "0.0001", "999999000"), ("5", "100", "0"),
        ])
    func rounded(rate: String, percent: String, expected: String) throws {
        #expect(amount(rate).less(percent: amount(percent)) == amount(expected))
    }

    @Test(
        "A line that cannot be agreed is named",
        arguments: [
            ("", 0), ("nonsense\nx", 0), ("provider,percent_off\nopenai,5\nmistral,5", 1), ("provider,percent_off\nopenai,0", 0),
            ("provider,percent_off\nopenai,100.00001", 0), ("provider,percent_off\nopenai,1,2", 0),
            ("model,usage_kind,amount_per_million\nnobody,input,1", 0), ("model,usage_kind,amount_per_million\ngpt-4o,input,0.0000001", 0),
            ("model,usage_kind,amount_per_million\ngpt-4o,Input,1", 0), ("model,usage_kind\ngpt-4o,input", 0),
        ])
    func refused(csv: String, line: Int) throws {
        let fault = #expect(throws: ContractFault.self) {
            _ = try PriceList(contract: [ContractLine](csv: csv), over: list, source: "s")
        }
        #expect(fault?.line == line)
    }

    @Test("A table is read as spreadsheets write it")
    func table() {
        #expect(
            CSVReader.records("a, b ,\"c, \"\"d\"\"\"\n\"x\ny\",,\r\n\n1,2,3")
                == [["a", "b", "c, \"d\""], ["x\ny", "", ""], ["1", "2", "3"]])
    }
}
