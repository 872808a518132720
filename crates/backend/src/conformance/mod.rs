//! The conformance suite: named cases that every backend passes, over a fixture that each backend's tests provide.
