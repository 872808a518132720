//! Streaming masking of secrets
