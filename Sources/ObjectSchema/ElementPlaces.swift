import Objects

/// Where the elements of a list are, by what tells them apart: their merge keys, or themselves in a list of scalars. Of long
/// lists, too, each is found at once.
struct ElementPlaces {
    private let property: SchemaProperty
    private var elements: [JSON]
    private var byKey: [JSON: [Int]] = [:]

    init(_ elements: [JSON], _ property: SchemaProperty) {
        self.property = property
        self.elements = elements
        for index in elements.indices { enter(index) }
    }

    private func key(of element: JSON) -> JSON { property.mergeKey.map { element[$0] } ?? element }

    private mutating func enter(_ index: Int) {
        let key = key(of: elements[index])
        if property.mergeKey == nil || key.exists { byKey[key, default: []].append(index) }
    }

    /// Elements are the same when their merge keys are; of a list with several map keys, when all of those agree that both
    /// elements have (a port number may be used by TCP and by UDP).
    func first(_ element: JSON) -> Int? {
        byKey[key(of: element)]?.first { index in
            property.mergeKey == nil
                || property.mapKeys.allSatisfy { name in
                    let (left, right) = (elements[index][name], element[name])
                    return left.isNull || right.isNull || left == right
                }
        }
    }

    /// What is at the end of the list now.
    mutating func append(_ element: JSON) {
        elements.append(element)
        enter(elements.count - 1)
    }

    /// Another state of an element; its merge key stays.
    mutating func replace(at index: Int, by element: JSON) { elements[index] = element }

    /// Forgets all elements with a merge key; the result is where they were. Others stay where they are.
    mutating func remove(_ key: JSON) -> [Int] { byKey.removeValue(forKey: key) ?? [] }
}
