import CStateStore

/// The system's words for an error number, in English.
func errorText(_ number: Int32) -> String {
    String(cString: store_error_text(number))
}
