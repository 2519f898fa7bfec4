//! The wildcard certificate that previews share, from an authority of the play's own.

use anyhow::Context as _;
use jiff::{ToSpan as _, Zoned, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use serde_json::{Value, json};

/// What the example's previews are called under.
pub(crate) const WILDCARD: &str = "*.pr.example.com";

/// A certificate with its key and the authority that signed it, each in PEM.
#[derive(Clone)]
pub(crate) struct Wildcard {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) authority: String,
}

impl Wildcard {
    /// A certificate for `name`, valid since long and for so many days from today on; for fewer than none it has
    /// expired.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn valid_for(name: &str, days: i32) -> anyhow::Result<Self> {
        let today = Zoned::now().with_time_zone(TimeZone::UTC).date();
        let end = today.checked_add(days.days()).context("count days")?;
        let mut parameters = authority();
        let authority_key = key()?;
        let signed = parameters.self_signed(&authority_key);
        let authority = signed.context("sign the authority's certificate")?.pem();
        let issuer = Issuer::new(std::mem::take(&mut parameters), authority_key);

        let mut parameters = CertificateParams::new([name.to_owned()]).context("name a host")?;
        parameters
            .distinguished_name
            .push(DnType::CommonName, "the play's previews");
        parameters.not_before = date_time_ymd(2026, 1, 1);
        let (month, day) = (end.month().unsigned_abs(), end.day().unsigned_abs());
        parameters.not_after = date_time_ymd(end.year().into(), month, day);
        let key = key()?;
        let certificate = parameters
            .signed_by(&key, &issuer)
            .context("sign a certificate")?;
        Ok(Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            authority,
        })
    }

    /// The Secret of this name that holds it, as cert-manager writes one.
    pub(crate) fn secret(&self, namespace: &str, name: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": { "name": name, "namespace": namespace },
            "stringData": {
                "tls.crt": self.certificate,
                "tls.key": self.key,
                "ca.crt": self.authority,
            },
        })
    }
}

fn authority() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters
        .distinguished_name
        .push(DnType::CommonName, "the play's authority");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    parameters
}

fn key() -> anyhow::Result<KeyPair> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("make a key")
}
