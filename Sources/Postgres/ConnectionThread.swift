/// The thread that owns a connection. libpq blocks and wants one thread at a time; an actor whose executor is this thread
/// gives both, and lets the compiler see to it (design §3).
import Dispatch
import Foundation
import Synchronization

/// One OS thread that runs the jobs of one actor in order, and sleeps on a semaphore when there are none.
final class ConnectionThread: SerialExecutor {
    private struct State {
        var jobs: [UnownedJob] = []
        var isAsleep = false
        var isStopped = false
    }

    private let state = Mutex(State())
    private let wakeUp = DispatchSemaphore(value: 0)

    /// Enough for libpq, TLS, name resolution and a lane's decisions; reserved, not used, so that pools of many stay cheap.
    static let stackSize = 1 << 20

    init(name: String) {
        // The thread keeps this object alive until `stop`; the actor calls that when it goes.
        let thread = Thread { [self] in run() }
        thread.stackSize = ConnectionThread.stackSize
        thread.name = name
        thread.start()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        wake { $0.jobs.append(job) }
    }

    /// Ends the thread once it has run what is queued.
    func stop() {
        wake { $0.isStopped = true }
    }

    private func wake(_ change: (inout State) -> Void) {
        let wasAsleep = state.withLock { state in
            change(&state)
            defer { state.isAsleep = false }
            return state.isAsleep
        }
        if wasAsleep { wakeUp.signal() }
    }

    private func run() {
        var jobs: [UnownedJob] = []
        while true {
            let isDone = state.withLock { state in
                swap(&jobs, &state.jobs)
                state.isAsleep = jobs.isEmpty && !state.isStopped
                return jobs.isEmpty && state.isStopped
            }
            if isDone { return }
            if jobs.isEmpty { wakeUp.wait() }
            for job in jobs { unsafe job.runSynchronously(on: asUnownedSerialExecutor()) }
            jobs.removeAll(keepingCapacity: true)
        }
    }
}
