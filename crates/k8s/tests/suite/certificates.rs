//! The certificate that previews share: read where it is at home, and its copies renewed.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use preview_core::config::TlsSettings;
use preview_core::objects::Kind;
use preview_core::tls::{HomeSecret, SecretData};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::json;

use super::stage::{Stage, manifest};

const HOST: &str = "*.pr.example.com";

/// A certificate for [`HOST`] with its key, in PEM.
fn certificate() -> [String; 2] {
    let mut parameters = CertificateParams::new([HOST.to_owned()]).unwrap();
    parameters.not_before = date_time_ymd(2026, 1, 1);
    parameters.not_after = date_time_ymd(2036, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    [certificate.pem(), key.serialize_pem()]
}

/// Somebody puts a Secret there; gives where that is.
async fn put(stage: &Stage, name: &str, of_type: &str, data: &[(&str, &str)]) -> TlsSettings {
    let mut secret = Secret {
        type_: Some(of_type.to_owned()),
        ..Secret::default()
    };
    secret.metadata.name = Some(name.to_owned());
    let data = data.iter();
    let encoded = data.map(|(key, value)| {
        let value = ByteString(value.as_bytes().to_vec());
        ((*key).to_owned(), value)
    });
    secret.data = Some(encoded.collect());
    let secrets = Api::<Secret>::namespaced(stage.person.clone(), stage.namespace.as_str());
    secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    home(stage, name)
}

fn home(stage: &Stage, name: &str) -> TlsSettings {
    TlsSettings {
        secret: name.to_owned(),
        namespace: stage.namespace.clone(),
    }
}

async fn put_tls(stage: &Stage, name: &str, certificate: &str, key: &str) -> TlsSettings {
    let data = [("tls.crt", certificate), ("tls.key", key)];
    put(stage, name, "kubernetes.io/tls", &data).await
}

pub(crate) async fn a_certificate_is_read_with_what_it_says(stage: &Stage) {
    stage.create().await;
    let [certificate, key] = certificate();
    let chain = format!("{certificate}{}", self::certificate()[0]);
    let data = [
        ("tls.crt", chain.as_str()),
        ("tls.key", &key),
        ("ca.crt", &certificate),
        ("tls-combined.pem", "not for previews"),
    ];
    let home = put(stage, "wildcard", "kubernetes.io/tls", &data).await;
    let found = stage.us.certificate(&home).await.unwrap();
    let HomeSecret::Certificate { facts, data } = &found else {
        panic!("{found:?}");
    };
    assert_eq!(facts.names, [HOST]);
    assert!(facts.key_matches);
    assert_eq!(facts.not_before.to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(facts.not_after.to_string(), "2036-01-01T00:00:00Z");
    let copied: Vec<&String> = data.exposed().keys().collect();
    assert_eq!(copied, ["ca.crt", "tls.crt", "tls.key"]);
    let shown = format!("{found:?}");
    assert!(!shown.contains(&data.exposed()["tls.key"]), "{shown}");
}

pub(crate) async fn what_is_no_certificate_is_told(stage: &Stage) {
    stage.create().await;
    let ([certificate, key], [_, other]) = (certificate(), certificate());
    let homes = [
        home(stage, "absent"),
        put(stage, "opaque", "Opaque", &[("tls.crt", &certificate)]).await,
        put_tls(stage, "no-certificate", "", &key).await,
        put_tls(
            stage,
            "no-x509",
            "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
            &key,
        )
        .await,
        put_tls(stage, "no-key", &certificate, "s3cret").await,
        put_tls(stage, "other-key", &certificate, &other).await,
    ];
    let mut told = Vec::new();
    for home in homes {
        let line = match stage.us.certificate(&home).await.unwrap() {
            HomeSecret::Missing => "missing".to_owned(),
            HomeSecret::OfType(other) => format!("of type {other}"),
            HomeSecret::Unreadable { key, why } => format!("{key} {why}"),
            HomeSecret::Certificate { facts, .. } => format!("its own key: {}", facts.key_matches),
        };
        told.push(format!("{}: {line}", home.secret));
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    absent: missing
    opaque: of type Opaque
    no-certificate: tls.crt holds no certificate in PEM
    no-x509: tls.crt begins with no X.509 certificate
    no-key: tls.key holds no private key in PEM
    other-key: its own key: false
    ");
}

/// The copy that a preview has.
async fn copy(stage: &Stage) -> BTreeMap<String, String> {
    let secret = stage.object(Kind::Secret, "wildcard").await.unwrap();
    serde_json::from_value(secret["data"].clone()).unwrap()
}

pub(crate) async fn a_copy_of_the_certificate_is_renewed(stage: &Stage) {
    let read = stage.create().await;
    let data = |pairs: &[(&str, &str)]| {
        let owned = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        SecretData::new(owned.collect())
    };
    // "old", "new", "key" and "ca" in Base64.
    let old = data(&[("tls.crt", "b2xk"), ("tls.key", "a2V5"), ("ca.crt", "Y2E=")]);
    let new = data(&[("tls.crt", "bmV3"), ("tls.key", "a2V5")]);
    let owner = &stage.claimant.owner;
    let refresh = async |name: &str, data: &SecretData| {
        let refreshed = stage.us.refresh_certificate(owner, &read, name, data);
        refreshed.await.unwrap()
    };
    let others = async |data: &SecretData| {
        let (us, ours) = (&stage.us, owner.selector());
        let others = us.with_other_certificates(&ours, "wildcard", data).await;
        others.unwrap()
    };
    assert!(!refresh("wildcard", &new).await, "there is no copy yet");
    let secret = json!({ "type": "kubernetes.io/tls", "data": old.exposed() });
    stage
        .apply(vec![manifest(Kind::Secret, "wildcard", secret)])
        .await;
    assert!(!refresh("wildcard", &old).await, "it is the same");
    assert_eq!(others(&old).await, BTreeSet::new());
    assert_eq!(others(&new).await, BTreeSet::from([read.name.clone()]));
    assert!(refresh("wildcard", &new).await);
    assert_eq!(others(&new).await, BTreeSet::new());
    assert_eq!(copy(stage).await, *new.exposed());
    let labels =
        stage.object(Kind::Secret, "wildcard").await.unwrap()["metadata"]["labels"].clone();
    assert_eq!(labels["preview-environments/fence"], "100.1", "{labels}");

    // What somebody else put there is not ours to write.
    put_tls(stage, "theirs", "old", "key").await;
    assert!(!refresh("theirs", &new).await);
    // A run that has taken the preview over copies the newest itself.
    stage.take_over().await;
    assert!(!refresh("wildcard", &old).await);
    assert_eq!(copy(stage).await, *new.exposed());
}
