/// The thread that owns curl's handles: takes requests in, drives them, answers their waiters. One thread is enough, as it never
/// waits for one peer: curl's multi interface serves them all.

import CCurl
import Logging

@safe final class TransferLoop {
    /// Transfers inside curl at one time: each may hold a socket and a resolver thread.
    static let mostInFlight = 64
    /// Of these to one host: a slow receiver must not take all the sockets.
    static let mostPerHost = 8
    /// Seconds. A connection is not kept longer, so that a changed DNS answer is noticed.
    static let longestConnectionLife = 300
    /// Seconds.
    static let longestConnectionIdleness = 60
    /// How long the thread sleeps at most. A wakeup that gets lost (curl had such a fault) then costs a second, not a delivery.
    private static let longestPollMilliseconds: Int32 = 1000

    private let mailbox: Mailbox
    private let policy: TargetPolicy
    private let logger: Logger
    private let multi: UnsafeMutableRawPointer
    private var waiting: [Submission] = []
    private var inFlight: [UInt64: Transfer] = [:]

    init?(mailbox: Mailbox, policy: TargetPolicy, logger: Logger) {
        guard let multi = unsafe curl_multi_init() else { return nil }
        self.mailbox = mailbox
        self.policy = policy
        self.logger = logger
        unsafe self.multi = unsafe multi
        unsafe bursar_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, TransferLoop.mostInFlight)
        unsafe bursar_curl_multi_set_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, TransferLoop.mostPerHost)
        mailbox.open(unsafe Wakeup(multi))
    }

    /// Runs until the mailbox says stop; then every waiter has an answer.
    func run() {
        while true {
            let delivery = mailbox.take()
            if delivery.isStopping {
                end(delivery.submissions)
                return
            }
            waiting += delivery.submissions
            for id in delivery.cancellations { cancel(id) }
            startWaiting()
            var running: Int32 = 0
            let code = unsafe curl_multi_perform(multi, &running)
            if code != CURLM_OK { logger.error("curl_multi_perform failed", metadata: ["code": "\(code.rawValue)"]) }
            finishDone()
            // What finished made room for what waits: then there is no reason to sleep.
            if waiting.isEmpty || inFlight.count >= TransferLoop.mostInFlight {
                unsafe curl_multi_poll(multi, nil, 0, TransferLoop.longestPollMilliseconds, nil)
            }
        }
    }

    private func startWaiting() {
        guard !waiting.isEmpty else { return }
        let now = ContinuousClock.now
        var later: [Submission] = []
        for submission in waiting {
            if submission.expires <= now {
                answer(submission, .failure(.timedOut))
            } else if inFlight.count >= TransferLoop.mostInFlight {
                later.append(submission)
            } else {
                start(submission, remaining: submission.expires - now)
            }
        }
        waiting = later
    }

    private func start(_ submission: Submission, remaining: Duration) {
        do throws(OutboundError) {
            let transfer = try Transfer(submission, remaining: remaining, policy: policy)
            let code = unsafe curl_multi_add_handle(multi, transfer.easy)
            guard code == CURLM_OK else { throw .other(Int(code.rawValue)) }
            inFlight[submission.id] = transfer
        } catch {
            answer(submission, .failure(error))
        }
    }

    private func finishDone() {
        var left: Int32 = 0
        while let message = unsafe curl_multi_info_read(multi, &left) {
            guard unsafe message.pointee.msg == CURLMSG_DONE else { continue }
            // Read before the handle is removed: the message dies with it.
            let code = unsafe bursar_curl_result(message)
            let transfer = unsafe Transfer.from(bursar_curl_private(message.pointee.easy_handle))
            let outcome = transfer.outcome(code)
            remove(transfer)
            answer(transfer.submission, outcome)
        }
    }

    /// The caller's reference keeps the transfer alive until curl has let go of it.
    private func remove(_ transfer: Transfer) {
        unsafe curl_multi_remove_handle(multi, transfer.easy)
        inFlight[transfer.submission.id] = nil
    }

    private func cancel(_ id: UInt64) {
        if let transfer = inFlight[id] {
            remove(transfer)
            answer(transfer.submission, .failure(.cancelled))
        } else if let index = waiting.firstIndex(where: { $0.id == id }) {
            answer(waiting.remove(at: index), .failure(.cancelled))
        }
    }

    private func answer(_ submission: Submission, _ outcome: Outcome) {
        mailbox.answered()
        submission.waiter.resume(returning: outcome)
    }

    /// Easy handles go before the multi handle, and nobody may wake it any more.
    private func end(_ submissions: [Submission]) {
        for transfer in inFlight.values {
            remove(transfer)
            answer(transfer.submission, .failure(.stopped))
        }
        for submission in waiting + submissions + mailbox.close() { answer(submission, .failure(.stopped)) }
        unsafe curl_multi_cleanup(multi)
    }
}
