//! The cluster's certificates, keys and tokens: made afresh by every `up`, good for nothing but this test cluster.

use std::{fs::File, io::Read as _};

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

use super::{network::NODE, state};

/// Who may speak to the API server, as `--token-auth-file` wants it: token, user, uid, groups.
const ACCOUNTS: &[(&str, &str, &str)] = &[
    ("admin", "admin", "system:masters"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("kubelet", "system:node:node-1", "system:nodes"),
    ("proxy", "system:kube-proxy", ""),
];

/// Writes the certificates and a kubeconfig per account (`NAME.kubeconfig`) to the state folder.
pub(super) fn write() -> anyhow::Result<()> {
    let authority = Authority::new()?;
    state::write("pki/ca.crt", authority.certificate.pem())?;
    let node = NODE.to_string();
    authority.issue(
        "apiserver",
        "kube-apiserver",
        None,
        &[&node, "127.0.0.1", "198.19.0.1", "kubernetes.default.svc"],
    )?;
    authority.issue("kubelet", "node-1", None, &[&node, "node-1"])?;
    authority.issue(
        "kubelet-client",
        "apiserver-kubelet-client",
        Some("system:masters"),
        &[],
    )?;
    let key = key()?;
    state::write("pki/service-accounts.key", key.serialize_pem())?;
    state::write("pki/service-accounts.pub", key.public_key_pem())?;
    accounts(&authority.certificate.pem())
}

fn accounts(authority: &str) -> anyhow::Result<()> {
    let mut table = String::new();
    for (name, user, group) in ACCOUNTS {
        let token = random_token()?;
        table.push_str(&format!("{token},{user},{name},\"{group}\"\n"));
        let text = include_str!("../../counterparts/node/kubeconfig.yaml")
            .replace("${SERVER}", &format!("https://{NODE}:6443"))
            .replace("${AUTHORITY}", &BASE64_STANDARD.encode(authority))
            .replace("${TOKEN}", &token);
        state::write(format!("{name}.kubeconfig"), text)?;
    }
    state::write("pki/tokens.csv", table)
}

fn random_token() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

fn key() -> anyhow::Result<KeyPair> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("make a key")
}

fn name(common: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name
}

impl Authority {
    fn new() -> anyhow::Result<Self> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = name("preview-counterparts", None);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = key()?;
        let certificate = parameters
            .self_signed(&key)
            .context("sign the authority's certificate")?;
        Ok(Self {
            certificate,
            issuer: Issuer::new(parameters, key),
        })
    }

    /// Writes `pki/FILE.crt` and `pki/FILE.key`.
    fn issue(
        &self,
        file: &str,
        common: &str,
        organization: Option<&str>,
        names: &[&str],
    ) -> anyhow::Result<()> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).context("name the certificate")?;
        parameters.distinguished_name = name(common, organization);
        let key = key()?;
        let certificate = parameters
            .signed_by(&key, &self.issuer)
            .context("sign a certificate")?;
        state::write(format!("pki/{file}.crt"), certificate.pem())?;
        state::write(format!("pki/{file}.key"), key.serialize_pem())
    }
}
