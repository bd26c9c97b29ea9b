/// Finds the word that was probably meant, so that a refusal can name its cure.

enum Spelling {
    /// The nearest of the names, if at most three letters are wrong.
    static func nearest(to word: String, among names: [String]) -> String? {
        let nearest = names.map { (name: $0, distance: distance($0, word)) }.min { $0.distance < $1.distance }
        return nearest.flatMap { $0.distance <= 3 ? $0.name : nil }
    }

    /// How many letters must be put in, taken out or changed to make one of the other (Levenshtein).
    private static func distance(_ left: String, _ right: String) -> Int {
        var row = Array(0...right.utf8.count)
        for (index, letter) in left.utf8.enumerated() {
            var corner = row[0]
            row[0] = index + 1
            for (column, other) in right.utf8.enumerated() {
                let change = corner + (letter == other ? 0 : 1)
                corner = row[column + 1]
                row[column + 1] = min(change, corner + 1, row[column] + 1)
            }
        }
        return row[right.utf8.count]
    }
}
