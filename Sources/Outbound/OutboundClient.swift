/// The face of this module: an HTTP client that tasks may share, and the thread behind it.

import CCurl
public import Logging
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Sends requests to where they may go. Bounded in everything: connections, waiting requests, time, and what is read of an answer.
public final class OutboundClient: Sendable {
    private let mailbox = Mailbox()
    private let policy: TargetPolicy
    /// Nil once it has been joined, or when it could not be started.
    private let thread: Mutex<pthread_t?>

    /// Starts the client's thread. Inside `allowTargets` addresses may be private, ports any, and http plain; nowhere else.
    public convenience init(allowTargets: [CIDR], logger: Logger) {
        self.init(TargetPolicy(allowTargets: allowTargets), logger: logger)
    }

    init(_ policy: TargetPolicy, logger: Logger) {
        Outbound.initialize()
        self.policy = policy
        let started = LoopThread.start(mailbox: mailbox, policy: policy, logger: logger)
        thread = Mutex(started)
        if started == nil {
            logger.critical("outbound thread could not be started")
            _ = mailbox.close()
        }
    }

    deinit { shutdown() }

    /// Sends a request and returns its answer, whatever the status; redirects are answers too. Cancelling the task ends the transfer.
    /// - Throws: `OutboundError` when there is no final status.
    public func send(_ request: OutboundRequest) async throws(OutboundError) -> OutboundResponse { try await send(.request(request, nil)) }

    /// Sends a request and hands the body of the answer on while it comes. Returns after the last byte, with the head alone; its
    /// `isComplete` tells whether the body came to its end.
    /// - Throws: `OutboundError` when there is no final status.
    public func send(_ request: OutboundRequest, body sink: BodySink) async throws(OutboundError) -> OutboundResponse {
        try await send(.request(request, sink))
    }

    /// Sends a mail and returns the server's last reply: 250, or a code from 400 on when it was refused.
    /// - Throws: `OutboundError` when there is no reply.
    public func send(_ mail: OutboundMail) async throws(OutboundError) -> OutboundResponse { try await send(.mail(mail)) }

    private func send(_ outgoing: Outgoing) async throws(OutboundError) -> OutboundResponse {
        let id = mailbox.newID()
        let mailbox = mailbox
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: CheckedContinuation<Outcome, Never>) in
                guard !Task.isCancelled else { return waiter.resume(returning: .failure(.cancelled)) }
                let submission = Submission(id: id, outgoing: outgoing, expires: .now + outgoing.deadline, waiter: waiter)
                if let refusal = mailbox.submit(submission) {
                    waiter.resume(returning: .failure(refusal))
                } else if Task.isCancelled {
                    // The handler below may have run in between, when there was nothing to cancel yet.
                    mailbox.cancel(id)
                }
            }
        } onCancel: {
            mailbox.cancel(id)
        }
        return try outcome.get()
    }

    /// Checks what can be known of a URL without looking its name up: for registering an endpoint.
    /// - Throws: `OutboundError.invalid` or `.notAllowed`.
    public func check(url: String) throws(OutboundError) {
        _ = try TargetURL(url, policy: policy)
    }

    /// Ends the thread: requests under way fail with `stopped`. Returns when all connections are closed; later calls do nothing.
    public func shutdown() {
        mailbox.stop()
        let joining = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        if let joining { pthread_join(joining, nil) }
    }
}

/// Starts an operating-system thread of its own: curl's handles belong to one thread, and a blocked one must not be the pool's.
private enum LoopThread {
    /// What the new thread is born with.
    final class Birth {
        let mailbox: Mailbox
        let policy: TargetPolicy
        let logger: Logger

        init(mailbox: Mailbox, policy: TargetPolicy, logger: Logger) {
            self.mailbox = mailbox
            self.policy = policy
            self.logger = logger
        }
    }

    /// Enough for OpenSSL's handshake, and far from the default of 8 MiB.
    static let stackBytes = 512 * 1024

    static func start(mailbox: Mailbox, policy: TargetPolicy, logger: Logger) -> pthread_t? {
        var attributes = pthread_attr_t()
        guard unsafe pthread_attr_init(&attributes) == 0 else { return nil }
        defer { unsafe pthread_attr_destroy(&attributes) }
        unsafe pthread_attr_setstacksize(&attributes, stackBytes)
        let birth = unsafe Unmanaged.passRetained(Birth(mailbox: mailbox, policy: policy, logger: logger))
        var thread = pthread_t()
        let code = unsafe pthread_create(
            &thread, &attributes,
            { context in
                guard let context = unsafe context else { return nil }
                let birth = unsafe Unmanaged<Birth>.fromOpaque(context).takeRetainedValue()
                if let loop = TransferLoop(mailbox: birth.mailbox, policy: birth.policy, logger: birth.logger) {
                    loop.run()
                } else {
                    birth.logger.critical("curl could not be started")
                    for submission in birth.mailbox.close() { submission.waiter.resume(returning: .failure(.stopped)) }
                }
                return nil
            }, birth.toOpaque())
        guard code == 0 else {
            unsafe birth.release()
            return nil
        }
        return thread
    }
}
