//! The port behind which steps run, the dummy backend and the conformance suite
