/// The command line. `bursar --help` is the manual: each subcommand says there what it does and needs.
import ArgumentParser
import Outbound
import Server

@main
struct Bursar: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The treasurer of an organization's LLM spend: decides before each model call, books after it, and tells people.",
        usage: "bursar <subcommand> [options]",
        discussion: """
            To try it, with nothing but Postgres' programs installed:

                bursar serve --embedded          starts Postgres and the server
                bursar bootstrap --embedded      makes the first organization
                bursar import-prices --embedded  fills the catalogue

            With a Postgres of your own, say --database-url postgresql://user@host/bursar instead of --embedded, or set \
            DATABASE_URL, or PGHOST and its like. Several hosts may be named; the one that accepts writes is used.

            CONFIGURATION
            Each option of serve may also be given as an environment variable or in a file; the first that says something wins:

                1. a flag           --pool-size 16
                2. the environment  BURSAR_POOL_SIZE=16
                3. --config FILE    {"pool_size": 16} as JSON, pool_size: 16 as YAML

            `bursar serve --print-configuration` shows every value and where it came from, and does nothing else.

            OUTPUT
            What you asked for goes to standard output, logs (one JSON object a line) and progress to standard error. Progress is \
            shown on a terminal only. The exit status is 0 for success, 64 for a command line that makes no sense, 2 when check finds a \
            contradiction or apply --dry-run something to do, 1 otherwise.
            """,
        version: bursarVersion,
        subcommands: [
            Serve.self, Bootstrap.self, Migrate.self, ImportPrices.self, ImportContract.self, PriceProposals.self, Reprice.self,
            Apply.self, Dump.self, Export.self, Close.self, CheckCommand.self, Replay.self, Bench.self, AlertBench.self, Growth.self,
            Demo.self, RotateSecrets.self,
        ])

    static func main() async {
        // Before any thread is started: libcurl and OpenSSL are shared by all of them, and a broken pipe must not end us.
        Outbound.initialize()
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand { try await command.run() } else { try command.run() }
        } catch {
            exit(withError: error)
        }
    }
}
