//! Sigstore as GitHub runs it for private repositories: a certificate authority for workflow runs (Fulcio) and a timestamp
//! authority, both of the test's own, and the bundles that `actions/attest-build-provenance` makes with them.
//!
//! Certificates, signatures and timestamps are real, and are believed by whoever trusts [`Sigstore::trusted_root`]. Not
//! modelled are logs: no Rekor, no certificate transparency; a root without logs demands none.

mod der;
mod timestamp;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, civil::Date};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
    SigningKey as _, date_time_ymd,
};
use serde_json::{Value, json};

/// The statement that `actions/attest-build-provenance` makes. <https://slsa.dev/spec/v1.0/provenance>
pub const BUILD_PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// Who identifies workflow runs.
const ACTIONS: &str = "https://token.actions.githubusercontent.com";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The arc of Fulcio's extensions. <https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md>
const FULCIO: [u64; 8] = [1, 3, 6, 1, 4, 1, 57264, 1];
/// What the timestamp authority's key is called in its certificate and its tokens.
const TIMESTAMPER: &[u8] = b"sandbox-tsa";

/// What GitHub tells the certificate authority of a workflow run, and what the run states.
#[derive(Clone, Debug)]
pub struct Run {
    /// The workflow that signs with its ref, such as
    /// `https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main`.
    pub workflow: String,
    /// The id of the repository that the run is of.
    pub repository: u64,
    /// The commit that the run is of.
    pub commit: String,
    /// The ref that the run is of.
    pub reference: String,
    /// `github-hosted` or `self-hosted`.
    pub runner: String,
    /// The type of the statement.
    pub predicate: String,
}

/// The two authorities.
pub struct Sigstore {
    authority: Issuer<'static, KeyPair>,
    authority_certificate: Vec<u8>,
    timestamper: KeyPair,
    timestamper_certificate: Vec<u8>,
}

impl Default for Sigstore {
    fn default() -> Self {
        Self::new()
    }
}

impl Sigstore {
    /// Authorities that nobody else has.
    ///
    /// # Panics
    /// When a key or a certificate cannot be made, which needs a system without randomness.
    #[must_use]
    pub fn new() -> Self {
        let mut root = named("sandbox-fulcio");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root_key = key();
        let certificate = made(root.self_signed(&root_key));
        let authority = Issuer::new(root, root_key);

        let mut timestamps = named("sandbox-tsa");
        timestamps.is_ca = IsCa::ExplicitNoCa;
        timestamps.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        timestamps.extended_key_usages = vec![ExtendedKeyUsagePurpose::TimeStamping];
        timestamps.key_identifier_method = KeyIdMethod::PreSpecified(TIMESTAMPER.to_vec());
        let timestamper = key();
        let timestamper_certificate = made(timestamps.signed_by(&timestamper, &authority));
        Self {
            authority,
            authority_certificate: certificate.der().to_vec(),
            timestamper,
            timestamper_certificate: timestamper_certificate.der().to_vec(),
        }
    }

    /// What trusts these authorities, and no others: Sigstore's `trusted_root.json`.
    #[must_use]
    pub fn trusted_root(&self) -> String {
        let subject = json!({ "organization": "sandbox", "commonName": "sandbox-fulcio" });
        let always = json!({ "start": "2020-01-01T00:00:00Z" });
        let chain = |certificates: &[&[u8]]| {
            let certificates = certificates.iter();
            let certificates = certificates.map(|it| json!({ "rawBytes": BASE64.encode(it) }));
            json!({ "certificates": certificates.collect::<Value>() })
        };
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "certificateAuthorities": [{
                "subject": subject, "uri": "fulcio.sandbox.test", "validFor": always,
                "certChain": chain(&[&self.authority_certificate]),
            }],
            "timestampAuthorities": [{
                "subject": subject, "uri": "timestamp.sandbox.test", "validFor": always,
                "certChain": chain(&[&self.timestamper_certificate, &self.authority_certificate]),
            }],
        })
        .to_string()
    }

    /// The bundle of a run that states that it built what has this digest, `sha256:…`.
    ///
    /// # Panics
    /// As [`Self::new`].
    #[must_use]
    pub fn attest(&self, run: &Run, name: &str, digest: &str) -> Value {
        let hex = digest.trim_start_matches("sha256:");
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": name, "digest": { "sha256": hex } }],
            "predicateType": run.predicate,
            "predicate": {},
        });
        let payload = statement.to_string();
        let key = key();
        let signature = made(key.sign(&pre_authentication(&payload)));
        let now = Timestamp::now();
        let token = timestamp::response(&self.timestamper, TIMESTAMPER, &signature, now);
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": { "rawBytes": BASE64.encode(self.certificate(run, &key, now)) },
                "timestampVerificationData": {
                    "rfc3161Timestamps": [{ "signedTimestamp": BASE64.encode(token) }],
                },
            },
            "dsseEnvelope": {
                "payload": BASE64.encode(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{ "sig": BASE64.encode(signature) }],
            },
        })
    }

    /// The certificate of a run's key, as Fulcio writes one.
    fn certificate(&self, run: &Run, key: &KeyPair, now: Timestamp) -> Vec<u8> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        let today = now.to_zoned(TimeZone::UTC).date();
        let midnight = |date: Date| {
            let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
            date_time_ymd(date.year().into(), month, day)
        };
        parameters.not_before = midnight(today.saturating_sub(1.day()));
        parameters.not_after = midnight(today.saturating_add(2.days()));
        let workflow = made(run.workflow.as_str().try_into());
        parameters.subject_alt_names = vec![SanType::URI(workflow)];
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let repository = run.repository.to_string();
        let claims: [(u64, &str); 6] = [
            (8, ACTIONS),
            (9, &run.workflow),
            (11, &run.runner),
            (13, &run.commit),
            (14, &run.reference),
            (15, &repository),
        ];
        let extension = |(number, text): (u64, &str)| {
            let id = [&FULCIO[..], &[number]].concat();
            CustomExtension::from_oid_content(&id, der::text(text))
        };
        parameters.custom_extensions = claims.map(extension).to_vec();
        made(parameters.signed_by(key, &self.authority))
            .der()
            .to_vec()
    }
}

/// What is signed of an envelope. <https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>
fn pre_authentication(payload: &str) -> Vec<u8> {
    let (kind, length) = (PAYLOAD_TYPE, payload.len());
    format!("DSSEv1 {} {kind} {length} {payload}", kind.len()).into_bytes()
}

fn named(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn key() -> KeyPair {
    made(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256))
}

/// Nothing of the outside has a part in it.
fn made<T>(made: Result<T, rcgen::Error>) -> T {
    made.unwrap_or_else(|error| panic!("the sandbox's Sigstore: {error}"))
}
