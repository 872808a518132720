//! The nouns of Jobwright as plain data with serde; no I/O, no async
