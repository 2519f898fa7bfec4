//! What workflow runs stated about images.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use preview_core::attestation::PREDICATE;
use preview_core::names::Digest;
use serde_json::{Value, json};

use crate::*;

/// A bundle that states something of this type; GitHub's list looks no further.
fn stating(predicate: &str, number: usize) -> Value {
    let statement = json!({ "predicateType": predicate, "predicate": { "number": number } });
    json!({ "dsseEnvelope": { "payload": BASE64.encode(statement.to_string()) } })
}

#[tokio::test]
async fn how_an_image_was_built_is_listed_over_all_pages() {
    let stage = Stage::new().await;
    let (web, api) = (Digest::of(b"web"), Digest::of(b"api"));
    let keep = |digest: &Digest, predicate, number| {
        let bundle = stating(predicate, number);
        stage.repository.keep_attestation(digest.as_str(), &bundle);
    };
    for number in 0..201 {
        keep(&web, PREDICATE, number);
    }
    keep(&web, "https://spdx.dev/Document/v2.3", 0);
    keep(&api, PREDICATE, 0);
    let found = stage.github.attestations(&web).await.unwrap();
    let newest_first: Vec<Value> = (0..201).rev().map(|n| stating(PREDICATE, n)).collect();
    assert_eq!(found, newest_first);
    stage.conforms();
}

#[tokio::test]
async fn an_image_that_nobody_attested_has_none() {
    let stage = Stage::new().await;
    let none = stage.github.attestations(&Digest::of(b"web")).await;
    assert_eq!(none.unwrap(), Vec::<Value>::new());
    stage.conforms();
}
