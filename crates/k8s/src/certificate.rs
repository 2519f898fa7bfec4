//! The certificate that previews share: read in its home, and its copies renewed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use preview_core::config::TlsSettings;
use preview_core::names::NamespaceName;
use preview_core::objects::{Kind, NamespaceFacts};
use preview_core::ownership::Owner;
use preview_core::tls::{
    AUTHORITY_KEY, CERTIFICATE_KEY, CertificateFacts, HomeSecret, PRIVATE_KEY_KEY, SecretData,
};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};
use x509_parser::extensions::GeneralName;

use crate::call::Answer;
use crate::cluster::Cluster;
use crate::error::Error;
use crate::kinds::resource;

/// The type of a Secret with a certificate.
/// <https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets>
const TLS: &str = "kubernetes.io/tls";

/// What is copied; whatever else is in the Secret stays in its home.
const COPIED: [&str; 3] = [CERTIFICATE_KEY, PRIVATE_KEY_KEY, AUTHORITY_KEY];

impl Cluster {
    /// What is at the place of the certificate that previews share.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn certificate(&self, home: &TlsSettings) -> Result<HomeSecret, Error> {
        let operation = self.operation(format!("read {home}"));
        let api: Api<Secret> = Api::namespaced(self.client.clone(), home.namespace.as_str());
        let secret = self.read(&operation, || api.get(&home.secret)).await?;
        Ok(secret.map_or(HomeSecret::Missing, found))
    }

    /// The namespaces in which the Secret `name`, with the labels of `selector`, holds something else than `data`, from one
    /// list over all namespaces. It asks for that name alone, so an account may be held to it:
    /// <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources>
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn with_other_certificates(
        &self,
        selector: &str,
        name: &str,
        data: &SecretData,
    ) -> Result<BTreeSet<NamespaceName>, Error> {
        let operation = self.operation(format!("list the Secrets {name} with {selector}"));
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &resource(Kind::Secret));
        let params = ListParams::default()
            .labels(selector)
            .fields(&format!("metadata.name={name}"));
        let list = self.list(&operation, || api.list(&params)).await?;
        let others = list.iter().filter(|copy| !holds(copy, data));
        let namespaces = others.filter_map(|copy| copy.metadata.namespace.as_ref()?.parse().ok());
        Ok(namespaces.collect())
    }

    /// Renews the copy of the certificate in a preview's namespace, for whoever looks after previews between their
    /// deploys. Tells whether it was another one; a preview that has no copy gets none, and neither does one that is
    /// changed, taken over or destroyed at the same moment: whoever does that copies the newest.
    ///
    /// The copy is written on the condition of the uid and resourceVersion of a read that came after the Namespace was
    /// seen to be the owner's and as it was read.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or refuses it.
    pub async fn refresh_certificate(
        &self,
        owner: &Owner,
        namespace: &NamespaceFacts,
        name: &str,
        data: &SecretData,
    ) -> Result<bool, Error> {
        let object = format!("Secret/{name} in {}", namespace.name);
        let operation = self.operation(format!("renew {object}"));
        let api = self.api(Kind::Secret, &namespace.name);
        let Some(copy) = self.read(&operation, || api.get(name)).await? else {
            return Ok(false);
        };
        if !is_owned(&copy, owner) || holds(&copy, data) {
            return Ok(false);
        }
        owner.check(namespace)?;
        let now = self.namespace_within(&operation, &namespace.name).await?;
        let is_as_read = now.is_some_and(|now| {
            now.uid == namespace.uid && now.fence() == namespace.fence() && !now.terminating
        });
        if !is_as_read {
            return Ok(false);
        }
        let metadata = &copy.metadata;
        // What the home no longer has goes from the copy, too.
        let renewed = COPIED.map(|key| (key, data.exposed().get(key)));
        let patch = json!({
            "metadata": { "uid": metadata.uid, "resourceVersion": metadata.resource_version },
            "data": BTreeMap::from(renewed),
        });
        let params = PatchParams {
            field_manager: Some(self.manager.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&patch);
        let renewed = self.call(&operation, || api.patch(name, &params, &patch));
        Ok(match renewed.await? {
            Answer::Done(_) => true,
            Answer::Conflict(_) | Answer::Absent(_) => false,
        })
    }
}

fn holds(copy: &DynamicObject, data: &SecretData) -> bool {
    copy.data["data"] == json!(data.exposed())
}

fn is_owned(object: &DynamicObject, owner: &Owner) -> bool {
    let labels = object.metadata.labels.clone().unwrap_or_default();
    let mut wanted = owner.labels().into_iter();
    wanted.all(|(key, value)| labels.get(&key) == Some(&value))
}

fn found(secret: Secret) -> HomeSecret {
    let of_type = secret.type_.unwrap_or_default();
    if of_type != TLS {
        return HomeSecret::OfType(of_type);
    }
    let data = secret.data.unwrap_or_default();
    let value = |key: &str| data.get(key).map_or(&[][..], |value| value.0.as_slice());
    match facts(value(CERTIFICATE_KEY), value(PRIVATE_KEY_KEY)) {
        Ok(facts) => HomeSecret::Certificate {
            facts,
            data: copied(&json!(data)),
        },
        Err((key, why)) => HomeSecret::Unreadable { key, why },
    }
}

/// The part of a Secret's data that goes into its copies, encoded as it is sent.
fn copied(data: &Value) -> SecretData {
    let value = |key: &str| {
        data[key]
            .as_str()
            .map(|value| (key.to_owned(), value.to_owned()))
    };
    SecretData::new(COPIED.into_iter().filter_map(value).collect())
}

/// What is wrong with which key. Never quotes what the key holds.
type Unreadable = (&'static str, String);

fn facts(chain: &[u8], key: &[u8]) -> Result<CertificateFacts, Unreadable> {
    let of_certificate = |why: String| (CERTIFICATE_KEY, why);
    let of_key = |why: String| (PRIVATE_KEY_KEY, why);
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| of_certificate("is no PEM".to_owned()))?;
    let first = chain
        .first()
        .ok_or_else(|| of_certificate("holds no certificate in PEM".to_owned()))?;
    let (names, not_before, not_after) = said_by(first).map_err(of_certificate)?;
    // rustls' own error would not quote the key either; what it says is of no use to whoever has to replace it.
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| of_key("holds no private key in PEM".to_owned()))?;
    let key = any_supported_type(&key).map_err(|_| {
        of_key(
            "holds a private key of another kind than RSA, ECDSA (P-256, P-384) or Ed25519"
                .to_owned(),
        )
    })?;
    Ok(CertificateFacts {
        names,
        not_before,
        not_after,
        key_matches: CertifiedKey::new(chain, key).keys_match().is_ok(),
    })
}

/// Names and validity. <https://www.rfc-editor.org/rfc/rfc5280#section-4.1>
fn said_by(
    certificate: &CertificateDer<'_>,
) -> Result<(Vec<String>, Timestamp, Timestamp), String> {
    let (_, read) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|_| "begins with no X.509 certificate".to_owned())?;
    let time = |time: x509_parser::time::ASN1Time| {
        Timestamp::from_second(time.timestamp())
            .map_err(|_| "has a validity that is no time".to_owned())
    };
    let names = read
        .subject_alternative_name()
        .map_err(|_| "has names that cannot be read".to_owned())?
        .into_iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
    let validity = read.validity();
    Ok((
        names.collect(),
        time(validity.not_before)?,
        time(validity.not_after)?,
    ))
}
