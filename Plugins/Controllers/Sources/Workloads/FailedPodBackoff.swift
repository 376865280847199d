import Objects
import Synchronization

/// Pods that fail as soon as they are made, such as those that their node refuses: each place of a pod is given another one
/// after a pause that doubles from one second to a minute, and is forgotten when no pod failed there for a while.
final class FailedPodBackoff: Sendable {
    private struct Place {
        var pause: Int64
        /// When the last pod was taken away there, in seconds.
        var last: Int64
    }

    static let longest: Int64 = 60

    private let places = Mutex<[String: Place]>([:])

    /// Of failed pods, those to take away now, and in how many seconds the next one of the others is due; nil when none waits.
    /// - Parameter place: what tells the place of a pod from those of all others.
    func due(_ pods: [JSON], now: Timestamp, place: (JSON) -> String) -> (pods: [JSON], after: Int64?) {
        places.withLock { places in
            if !pods.isEmpty { places = places.filter { now.seconds < $0.value.last + 2 * Self.longest } }
            var due: [JSON] = []
            var after: Int64?
            for pod in pods {
                let key = place(pod)
                guard let known = places[key] else {
                    places[key] = Place(pause: 1, last: now.seconds)
                    due.append(pod)
                    continue
                }
                let left = known.last + known.pause - now.seconds
                if left > 0 {
                    after = min(after ?? left, left)
                } else {
                    places[key] = Place(pause: min(Self.longest, known.pause * 2), last: now.seconds)
                    due.append(pod)
                }
            }
            return (due, after)
        }
    }
}
