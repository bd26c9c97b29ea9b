/// The program as people run it: started, asked, killed, started again, told to stop.
import Foundation
import Glibc
import JSON
import Postgres
import TestSupport
import Testing

@Suite("bursar serve --embedded", .timeLimit(.minutes(3)))
struct ServeTests {
    @Test("it says where it is, bootstraps while it runs, survives kill -9, and ends with 0 on SIGTERM")
    func lifeOfAServer() async throws {
        try await withFolder(cluster: true) { folder in
            let options = ["--embedded", "--data-directory", folder]
            let first = try Program(["serve", "--port", "0"] + options)
            let ready = try #require(try first.line())
            #expect(ready.hasPrefix("Bursar is ready at http://127.0.0.1:"))
            #expect(ready.contains("bootstrap --embedded --data-directory \(folder)"))

            let made = try JSON.parse(Array(Program.run(["bootstrap", "--json", "--name", "Acme"] + options).output.utf8))
            #expect(made["owner_key"]?.string?.hasPrefix("bur_") == true)
            #expect(made["operator_key"]?.string?.hasPrefix("bur_") == true)
            let again = try JSON.parse(Array(Program.run(["bootstrap", "--json", "--name", "Acme"] + options).output.utf8))
            #expect(again["organization"] == made["organization"])
            #expect(again["owner_key"] == .null)

            first.send(SIGKILL)
            #expect(try first.end() != 0)
            let second = try Program(["serve", "--port", "0"] + options)
            let readyAgain = try #require(try second.line())
            #expect(!readyAgain.contains("bootstrap"))
            second.send(SIGTERM)
            #expect(try second.end() == 0)
            #expect(!FileManager.default.fileExists(atPath: folder + "/postgres/postmaster.pid"))
        }
    }

    @Test("as a role before which the walls between tenants would not stand it refuses to start, and says what to do")
    func unfitRole() async throws {
        try await withDatabase { database in
            let url = "host=\(database.hosts[0].name) user=bursar dbname=\(database.database)"
            let key = String(repeating: "07", count: 32)
            try await withFolder { folder in
                try key.write(toFile: folder + "/key", atomically: true, encoding: .utf8)
                let options = ["serve", "--port", "0", "--secret-key-file", folder + "/key", "--database-url", url]
                let (status, output) = try Program.run(options, keepsErrors: true)
                #expect(status == 1 && output.contains("bursar is a superuser") && output.contains("IN ROLE bursar_service"), "\(output)")
            }
        }
    }

    @Test("a key in what a program logs would be found")
    func control() {
        #expect(Program.showsSecret(#"{"message":"asked","key":"bur_0123456789"}"#) && !Program.showsSecret(#"{"user":"bursar"}"#))
    }

    @Test("without a database it says what to do")
    func noDatabase() throws {
        let (status, output) = try Program.run(["migrate"], keepsErrors: true)
        #expect(status == 1)
        #expect(output.contains("--embedded"))
    }
}
