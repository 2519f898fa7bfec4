//! `preview-cleanup`.
fn main() {}
