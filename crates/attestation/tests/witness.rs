//! Attestations that GitHub's own runs made, against the authorities that the program comes with.
//!
//! Of github.com/cli/cli v2.63.0, pkg/cmd/attestation/test/data (MIT): `public.json` is
//! reusable-workflow-attestation.sigstore.json, of a public repository by Sigstore's public instance, with Rekor's log and
//! certificate transparency; `private.json` is github_provenance_demo-0.0.12-py3-none-any-bundle.jsonl, by GitHub's own
//! instance, with timestamps alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use preview_attestation::Verifier;
use preview_core::attestation::{Attestation, Provenance};
use preview_core::names::Digest;
use serde_json::Value;

const PUBLIC: (&str, &str) = (
    include_str!("data/public.json"),
    "sha256:49a3aa6075e0f49f82843e74b5baa614ad2a588e6675612bf108a0a008c5ac25",
);
const PRIVATE: (&str, &str) = (
    include_str!("data/private.json"),
    "sha256:ae57936def59bc4c75edd3a837d89bcefc6d3a5e31d55a6fa7a71624f92c3c3b",
);

fn bundle(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn judge(bundle: &Value, digest: &str) -> Attestation {
    let digest: Digest = digest.parse().unwrap();
    Verifier::embedded().unwrap().judge(&digest, bundle)
}

fn verified((text, digest): (&str, &str)) -> Provenance {
    match judge(&bundle(text), digest) {
        Attestation::Verified(provenance) => provenance,
        Attestation::Invalid(why) => panic!("{why}"),
    }
}

fn refused(bundle: &Value, digest: &str) -> String {
    match judge(bundle, digest) {
        Attestation::Invalid(why) => why,
        Attestation::Verified(provenance) => panic!("{provenance:?}"),
    }
}

#[test]
fn a_public_repositorys_attestation_names_the_reusable_workflow_and_not_its_caller() {
    insta::assert_debug_snapshot!(verified(PUBLIC), @r#"
    Provenance {
        predicate: "https://slsa.dev/provenance/v1",
        issuer: "https://token.actions.githubusercontent.com",
        signer: "https://github.com/github/artifact-attestations-workflows/.github/workflows/attest.yml@09b495c3f12c7881b3cc17209a327792065c1a1d",
        repository: "804070735",
        commit: "95baf27389e83e6a5c48f42e190d48d7abcea19e",
        reference: "refs/heads/main",
        runner: "github-hosted",
    }
    "#);
}

#[test]
fn a_private_repositorys_attestation_is_vouched_for_by_github_alone() {
    insta::assert_debug_snapshot!(verified(PRIVATE), @r#"
    Provenance {
        predicate: "https://slsa.dev/provenance/v1",
        issuer: "https://token.actions.githubusercontent.com",
        signer: "https://github.com/actions/attest-demo/.github/workflows/build-python.yml@refs/heads/main",
        repository: "763287532",
        commit: "a6c23b9806c593664f68637c8f9d45dfcf98b2db",
        reference: "refs/heads/main",
        runner: "github-hosted",
    }
    "#);
}

#[test]
fn what_was_changed_afterwards_does_not_hold() {
    let (text, digest) = PUBLIC;
    let mut told = vec![("another image", refused(&bundle(text), PRIVATE.1))];
    let mut change = |what, change: &dyn Fn(&mut Value)| {
        let mut changed = bundle(text);
        change(&mut changed);
        told.push((what, refused(&changed, digest)));
    };
    change("another statement", &|it| {
        it["dsseEnvelope"]["payload"] = bundle(PRIVATE.0)["dsseEnvelope"]["payload"].clone();
    });
    change("another certificate", &|it| {
        it["verificationMaterial"]["certificate"] =
            bundle(PRIVATE.0)["verificationMaterial"]["certificate"].clone();
    });
    change("not in the log", &|it| {
        it["verificationMaterial"]["tlogEntries"] = Value::Array(vec![]);
    });
    change("no bundle", &|it| *it = Value::Null);
    change("something else", &|it| *it = Value::Bool(true));
    let told: Vec<String> = told
        .into_iter()
        .map(|(what, why)| format!("{what}: {why}"))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    another image: by https://fulcio.sigstore.dev: artifact mismatch: artifact hash does not match any subject in attestation; by fulcio.githubapp.com: invalid inclusion promise: No log key valid at integrated time 2024-05-24T19:14:24Z for log ID wNI9atQGlz+VWfO6LRygH4QUfY/8W4RFwiT5i5WRgB0=
    another statement: by https://fulcio.sigstore.dev: invalid signature: DSSE signature verification failed: Verification error: ECDSA_P256_SHA256 signature invalid; by fulcio.githubapp.com: invalid inclusion promise: No log key valid at integrated time 2024-05-24T19:14:24Z for log ID wNI9atQGlz+VWfO6LRygH4QUfY/8W4RFwiT5i5WRgB0=
    another certificate: by https://fulcio.sigstore.dev: certificate chain is invalid: certificate chain validation failed: CertExpired { time: UnixTime(1716578064), not_after: UnixTime(1713807806) }; by fulcio.githubapp.com: invalid inclusion promise: No log key valid at integrated time 2024-05-24T19:14:24Z for log ID wNI9atQGlz+VWfO6LRygH4QUfY/8W4RFwiT5i5WRgB0=
    not in the log: by https://fulcio.sigstore.dev: Bundle error: application/vnd.dev.sigstore.bundle.v0.3+json bundle must have an inclusion proof; by fulcio.githubapp.com: Bundle error: bundle must have at least one tlog entry or timestamp verification data
    no bundle: its bundle is left out of what GitHub answers
    something else: it is no bundle of Sigstore: JSON error: invalid type: boolean `true`, expected struct BundleHelper at line 1 column 4
    ");
}
