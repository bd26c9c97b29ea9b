/// The process itself, under the names that every exporter uses, and which Bursar it is.
import Budgets
import Foundation
import Glibc
import Store

struct ProcessMetrics: Sendable {
    let startedAt: Instant

    func write(to text: inout MetricsText) {
        text.family("bursar_build_info", .gauge, "Always 1: the version and the schema it knows are in the labels.") { family in
            family.sample(["version": bursarVersion, "schema": "\(Migration.all.count)"], 1)
        }
        text.family(
            "process_start_time_seconds", .gauge, "When the process started, in Unix time.", seconds(Int(startedAt.microseconds)))
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let microseconds = [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Int($1.tv_sec) * 1_000_000 + Int($1.tv_usec) }
        text.family("process_cpu_seconds_total", .counter, "Processor time used.", seconds(microseconds))
        text.family("process_resident_memory_bytes", .gauge, "Memory that is not paged out.", ProcessMetrics.residentBytes)
        // The listing itself takes one.
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")).map { $0.count - 1 }
        text.family("process_open_fds", .gauge, "Open file descriptors: sockets, most of them.", open)
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        text.family("process_max_fds", .gauge, "The most file descriptors that may be open.", limit.rlim_cur)
    }

    private static var residentBytes: Int? {
        guard let pages = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ").dropFirst().first else {
            return nil
        }
        return Int(pages).map { $0 * Int(sysconf(Int32(_SC_PAGESIZE))) }
    }
}
