//! Adapter to Sigstore's bundles: whether an attestation holds, and what its certificate says of who built an image.
//!
//! Offline: signature, certificate, time and logs are verified with [sigstore-verify] against authorities that the program
//! came with, or that a file of the repository names. Whether what is said is what has to be is the core's to decide
//! (`preview_core::attestation`).
//!
//! [sigstore-verify]: https://docs.rs/sigstore-verify

mod crypto;
mod verifier;

pub use verifier::{Error, Verifier};
