//! `preview-deploy`.
fn main() {}
