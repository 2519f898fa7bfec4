//! `preview-promote`.
fn main() {}
