//! The command line program `jobwright`.
fn main() {}
