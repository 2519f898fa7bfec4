//! In place of `preview-attestation` in a program that was built without it: there is no verifier, so that nothing that must
//! be attested is ever promoted.

use std::convert::Infallible;

use preview_actions::UsageError;
use preview_core::attestation::Attestation;
use preview_core::names::Digest;
use serde_json::Value;

/// What there is none of.
pub(crate) struct Verifier(Infallible);

impl Verifier {
    pub(crate) fn embedded() -> Result<Self, UsageError> {
        Err(UsageError(
            "preview.toml has [promote.require_attestation], and this preview-promote was built without the means to verify \
             an attestation; install a release, or build it with `--features attestation`"
                .to_owned(),
        ))
    }

    pub(crate) fn trusting(_: &str) -> Result<Self, UsageError> {
        Self::embedded()
    }

    #[cfg_attr(test, expect(dead_code, reason = "there is none to ask"))]
    pub(crate) fn judge(&self, _: &Digest, _: &Value) -> Attestation {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_verifier_says_how_to_get_one() {
        let (embedded, trusting) = (Verifier::embedded(), Verifier::trusting("{}"));
        let told = [embedded, trusting].map(|it| it.err().map(|error| error.to_string()));
        assert_eq!(told[0], told[1]);
        insta::assert_snapshot!(told[0].as_deref().unwrap_or_default(), @"preview.toml has [promote.require_attestation], and this preview-promote was built without the means to verify an attestation; install a release, or build it with `--features attestation`");
    }
}
