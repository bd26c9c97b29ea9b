/// Memory with a bound that is kept in small steps: forgetting hundreds of thousands of things at once, or growing a table of them, would
/// hold up every call of the lane for a tenth of a second.

/// A dictionary that forgets the oldest half of what it holds whenever it is full. What was written lately is always there.
struct Generations<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private let bound: Int
    private var young: [Key: Value] = [:]
    private var old: [Key: Value] = [:]

    /// Holds between `bound` and twice as many entries once it is full.
    init(of bound: Int) { self.bound = bound }

    var count: Int { young.count + old.count }

    subscript(key: Key) -> Value? {
        get { young[key] ?? old[key] }
        set {
            old.removeValue(forKey: key)
            guard let newValue else {
                young.removeValue(forKey: key)
                return
            }
            young[key] = newValue
            guard young.count >= bound else { return }
            old = young
            young = [:]
        }
    }

    mutating func removeAll() {
        young.removeAll(keepingCapacity: true)
        old.removeAll()
    }
}
