import Objects
import XCTest

@testable import Controllers

final class ControllerHistoryTests: XCTestCase {
    /// `kubectl rollout undo` compares the bytes of a revision with what it makes of the present template.
    func testDataIsInTheOrderOfItsKeys() {
        let template: JSON = [
            "spec": ["containers": [["name": "c", "image": "i"]], "a": 1],
            "metadata": ["labels": ["z": "1", "b": "2"]],
        ]
        let same: JSON = [
            "metadata": ["labels": ["b": "2", "z": "1"]],
            "spec": ["a": 1, "containers": [["image": "i", "name": "c"]]],
        ]
        let text =
            #"{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"b":"2","z":"1"}},"#
            + #""spec":{"a":1,"containers":[{"image":"i","name":"c"}]}}}}"#
        for given in [template, same] {
            XCTAssertEqual(ControllerHistory.data(of: given).serializedString(), text)
        }
    }
}
