/// The project's own price list, embedded in the binary: what a bare clone prices with.
import Store

extension PriceList {
    /// Current models of the large providers as dated facts with their sources.
    /// - Throws: `PriceListError` only if the embedded file is broken, which a test rules out.
    static func builtIn() throws(PriceListError) -> PriceList {
        try PriceList(json: PackageResources.prices_json, name: "the built-in price list")
    }
}
