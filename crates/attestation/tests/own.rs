//! Attestations by authorities of the test's own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use preview_attestation::{Error, Verifier};
use preview_core::attestation::{Attestation, ISSUER, PREDICATE};
use preview_core::names::Digest;
use sandbox::sigstore::{BUILD_PROVENANCE, Run, Sigstore};
use serde_json::Value;

const WORKFLOW: &str = "https://github.com/acme/ci/.github/workflows/build.yml@refs/heads/main";

fn run() -> Run {
    Run {
        workflow: WORKFLOW.to_owned(),
        repository: 42,
        commit: "b".repeat(40),
        reference: "refs/pull/7/merge".to_owned(),
        runner: "github-hosted".to_owned(),
        predicate: BUILD_PROVENANCE.to_owned(),
    }
}

fn image() -> Digest {
    Digest::of(b"an index")
}

fn trusting(roots: &str) -> Verifier {
    Verifier::trusting(roots).unwrap()
}

fn refused(verifier: &Verifier, bundle: &Value) -> String {
    match verifier.judge(&image(), bundle) {
        Attestation::Invalid(why) => why,
        Attestation::Verified(provenance) => panic!("{provenance:?}"),
    }
}

#[test]
fn whoever_trusts_the_authority_reads_what_the_run_was() {
    let sigstore = Sigstore::new();
    let bundle = sigstore.attest(&run(), "acme/web", image().as_str());
    // As `gh attestation trusted-root` prints several: one a line.
    let several = format!(
        "{}\n{}\n",
        Sigstore::new().trusted_root(),
        sigstore.trusted_root()
    );
    let Attestation::Verified(said) = trusting(&several).judge(&image(), &bundle) else {
        panic!("{:?}", trusting(&several).judge(&image(), &bundle));
    };
    assert_eq!(
        (said.predicate.as_str(), said.issuer.as_str()),
        (PREDICATE, ISSUER)
    );
    assert_eq!(
        (said.signer.as_str(), said.repository.as_str()),
        (WORKFLOW, "42")
    );
    assert_eq!(
        (said.commit, said.reference),
        (run().commit, run().reference)
    );
    assert_eq!(said.runner, "github-hosted");
}

#[test]
fn nobody_else_believes_it_and_nothing_of_it_can_be_exchanged() {
    let sigstore = Sigstore::new();
    let own = trusting(&sigstore.trusted_root());
    let good = sigstore.attest(&run(), "acme/web", image().as_str());
    let other = sigstore.attest(&run(), "acme/web", image().as_str());
    let elsewhere = sigstore.attest(&run(), "acme/web", Digest::of(b"another").as_str());
    let with = |at: &str, from: &Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(at).unwrap() = from.pointer(at).unwrap().clone();
        changed
    };
    let mut told = vec![
        ("another image", refused(&own, &elsewhere)),
        (
            "the public's authorities",
            refused(&Verifier::embedded().unwrap(), &good),
        ),
        (
            "another's authorities",
            refused(&trusting(&Sigstore::new().trusted_root()), &good),
        ),
    ];
    for part in [
        "/dsseEnvelope/payload",
        "/dsseEnvelope/signatures/0/sig",
        "/verificationMaterial/certificate/rawBytes",
        "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp",
    ] {
        let from = if part.ends_with("payload") {
            &elsewhere
        } else {
            &other
        };
        told.push((part, refused(&own, &with(part, from))));
    }
    let mut without_time = good.clone();
    without_time["verificationMaterial"]["timestampVerificationData"] = serde_json::json!({});
    told.push(("no time", refused(&own, &without_time)));
    let hex = |text: &str| {
        let words = text.split(' ');
        let words = words.map(|word| match word.trim_end_matches(',').len() {
            64 => "[hex]",
            _ => word,
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let told: Vec<String> = told
        .iter()
        .map(|(what, why)| hex(&format!("{what}: {why}")))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    another image: by fulcio.sandbox.test: artifact mismatch: artifact hash does not match any subject in attestation
    the public's authorities: by https://fulcio.sigstore.dev: Bundle error: application/vnd.dev.sigstore.bundle.v0.3+json bundle must have an inclusion proof; by fulcio.githubapp.com: invalid RFC 3161 timestamp: TSA timestamp verification failed: Failed to verify timestamp signature: CMS signer does not match any trusted TSA certificate
    another's authorities: by fulcio.sandbox.test: invalid RFC 3161 timestamp: TSA timestamp verification failed: Failed to verify timestamp signature: Verification error: ECDSA_P256_SHA256 signature invalid
    /dsseEnvelope/payload: by fulcio.sandbox.test: invalid signature: DSSE signature verification failed: Verification error: ECDSA_P256_SHA256 signature invalid
    /dsseEnvelope/signatures/0/sig: by fulcio.sandbox.test: invalid RFC 3161 timestamp: TSA timestamp verification failed: Timestamp message hash mismatch: expected [hex] got [hex]
    /verificationMaterial/certificate/rawBytes: by fulcio.sandbox.test: invalid signature: DSSE signature verification failed: Verification error: ECDSA_P256_SHA256 signature invalid
    /verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp: by fulcio.sandbox.test: invalid RFC 3161 timestamp: TSA timestamp verification failed: Timestamp message hash mismatch: expected [hex] got [hex]
    no time: by fulcio.sandbox.test: Bundle error: bundle must have at least one tlog entry or timestamp verification data
    ");
}

#[test]
fn authorities_that_are_none_are_told_with_their_line() {
    let good = Sigstore::new().trusted_root();
    let told = ["", "\n \n", "{}", "[]", &format!("{good}\nnonsense")].map(|text| {
        let error: Option<Error> = Verifier::trusting(text).err();
        error.unwrap().to_string()
    });
    insta::assert_snapshot!(told.join("\n"), @r"
    there are no trusted authorities in it; write what `gh attestation trusted-root` prints, one JSON object a line
    there are no trusted authorities in it; write what `gh attestation trusted-root` prints, one JSON object a line
    cannot read the trusted authorities: line 1: failed to parse JSON: missing field `mediaType` at line 1 column 2; write what `gh attestation trusted-root` prints, one JSON object a line
    cannot read the trusted authorities: line 1: failed to parse JSON: invalid length 0, expected struct TrustedRoot with 5 elements at line 1 column 2; write what `gh attestation trusted-root` prints, one JSON object a line
    cannot read the trusted authorities: line 2: failed to parse JSON: expected ident at line 1 column 2; write what `gh attestation trusted-root` prints, one JSON object a line
    ");
}
