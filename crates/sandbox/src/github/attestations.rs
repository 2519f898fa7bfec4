//! Attestations of artifacts: what a workflow run stated about a digest.
//!
//! GitHub verifies a bundle before it keeps one; here everything is kept, so that a test can plant what is forged.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::call::{Answer, Call, encode};
use super::repository::{Repository, repo};
use super::state::{Attestation, Repo, State};

/// What `provenance` stands for where statements are asked for by their type.
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

pub(super) fn route(state: &mut State, id: u64, call: &Call) -> Option<Answer> {
    match call.operation.as_str() {
        // Pages before a cursor are not modelled.
        "GET /attestations/{subject_digest}" if call.asked("before").is_none() => {
            Some(list(state.repos.get(&id)?, call))
        }
        _ => None,
    }
}

fn list(repo: &Repo, call: &Call) -> Answer {
    let digest = call.parameter("subject_digest");
    let wanted = match call.asked("predicate_type") {
        Some("provenance") => Some(PROVENANCE),
        other => other,
    };
    let newest_first = repo.attestations.iter().rev();
    let found: Vec<&Attestation> = newest_first
        .filter(|it| it.digest == digest && wanted.is_none_or(|kind| it.predicate == kind))
        .collect();
    if found.is_empty() {
        // As `gh attestation verify` tells it of an artifact that nobody attested.
        return Answer::not_found();
    }
    let asked = |name| call.asked(name).and_then(|text| text.parse::<usize>().ok());
    let size = asked("per_page").unwrap_or(30).clamp(1, 100);
    // A cursor is opaque; this one counts.
    let start = asked("after").unwrap_or(0);
    let page = found.iter().skip(start).take(size);
    let page: Value = page.map(|it| shown(repo, it)).collect();
    let mut answer = Answer::ok(json!({ "attestations": page }));
    if start + size < found.len() {
        answer.headers.push(("link", next(call, start + size)));
    }
    answer
}

fn shown(repo: &Repo, attestation: &Attestation) -> Value {
    json!({ "bundle": attestation.bundle, "repository_id": repo.id, "initiator": "user" })
}

fn next(call: &Call, cursor: usize) -> String {
    let rest = call.query.iter().filter(|(key, _)| key != "after");
    let mut query: Vec<String> = rest
        .map(|(key, value)| format!("{key}={}", encode(value)))
        .collect();
    query.push(format!("after={cursor}"));
    format!("<{}?{}>; rel=\"next\"", call.url, query.join("&"))
}

/// The type of a bundle's statement; empty where it has none.
fn predicate(bundle: &Value) -> String {
    let payload = bundle["dsseEnvelope"]["payload"]
        .as_str()
        .unwrap_or_default();
    let statement = BASE64.decode(payload).unwrap_or_default();
    let statement: Value = serde_json::from_slice(&statement).unwrap_or_default();
    let predicate = statement["predicateType"].as_str();
    predicate.unwrap_or_default().to_owned()
}

impl Repository {
    /// Keeps a bundle of Sigstore as an attestation of the artifact with this digest, `sha256:…`.
    pub fn keep_attestation(&self, digest: &str, bundle: &Value) {
        let attestation = Attestation {
            digest: digest.to_owned(),
            predicate: predicate(bundle),
            bundle: bundle.clone(),
        };
        let mut state = self.lock();
        repo(&mut state, self.id).attestations.push(attestation);
    }
}
