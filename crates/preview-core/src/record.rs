//! The record: what was tested, signed so that production can believe it.
//!
//! It lives in the payload of a GitHub Deployment, where any workflow on any branch can write as the same bot. So
//! nothing counts but the signature, and it is checked over the exact bytes of the record's text, before any of them is
//! interpreted: two JSON texts of one meaning are two records.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::deploy::Approved;
use crate::names::{
    CommitSha, ComponentName, Fence, PinnedImage, PrNumber, RepositoryId, RepositorySlug, Subject,
    TreeSha, hex,
};

/// The `kind` of a payload that holds a record; other payloads are other tools' business.
pub const KIND: &str = "preview-environments/record";

/// The version of the record and of its payload.
pub const VERSION: u32 = 1;

/// Bytes that a key has at the least: as many as the digest, below which HMAC gets weaker.
/// <https://www.rfc-editor.org/rfc/rfc2104#section-3>
pub const LEAST_KEY: usize = 32;

/// Stands before the signed text, so that a signature made for anything else with the same key proves nothing here.
const DOMAIN: &[u8] = b"preview-environments/record/v1\0";

const SCHEME: &str = "hmac-sha256:";

/// Who built an image, and so what it proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuiltBy {
    /// A workflow of the default branch.
    Trusted,
    /// A workflow of a branch of this repository, written by somebody who may push to it.
    Branch,
    /// A workflow that a fork's author wrote: the image proves only itself and is never promoted.
    Contributor,
}

impl fmt::Display for BuiltBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trusted => "trusted",
            Self::Branch => "branch",
            Self::Contributor => "contributor",
        })
    }
}

/// One component as it was tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// The image.
    pub image: PinnedImage,
    /// The commit B it was built from.
    pub built_from: CommitSha,
    /// Who built it.
    pub built_by: BuiltBy,
    /// For a component that is as it was: the commit of the base branch whose record its image, B and builder are
    /// taken from. B has nothing to do with this record's H and tree then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged_since: Option<CommitSha>,
}

/// What was tested: the checks passed for exactly this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// GitHub's id of the repository, which binds the record to it.
    pub repository: RepositoryId,
    /// Its name at that time, for eyes.
    pub slug: RepositorySlug,
    /// The pull request or commit that was previewed.
    pub subject: Subject,
    /// The commit H.
    pub head: CommitSha,
    /// The tree of B; promotion needs the merged commit to have the same.
    pub tree: TreeSha,
    /// The commit of the base branch that B merges H into; none where B is H.
    pub base: Option<CommitSha>,
    /// The components.
    pub components: BTreeMap<ComponentName, Recorded>,
    /// The image ids that the preview's pods reported, by component.
    pub pods: BTreeMap<ComponentName, Vec<String>>,
    /// The run that tested it.
    pub run: Fence,
    /// Who approved H, when and how, where somebody had to.
    pub approval: Option<Approved>,
    /// When the checks passed.
    pub tested_at: Timestamp,
}

/// The key that signs records (`PREVIEW_RECORD_KEY`). Its `Debug` prints `***`.
#[derive(Clone)]
pub struct RecordKey(Vec<u8>);

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A key that is too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the record key (PREVIEW_RECORD_KEY) has {0} bytes and needs {LEAST_KEY}; \
     make one with `openssl rand -hex 32` and keep it as a secret of the protected environments"
)]
pub struct WeakKey(pub usize);

impl RecordKey {
    /// The key with these bytes. White space around them does not count: a secret that was pasted with a newline is
    /// the same secret.
    ///
    /// # Errors
    /// When it has fewer than [`LEAST_KEY`] bytes.
    pub fn new(text: &str) -> Result<Self, WeakKey> {
        let bytes = text.trim().as_bytes();
        if bytes.len() < LEAST_KEY {
            return Err(WeakKey(bytes.len()));
        }
        Ok(Self(bytes.to_vec()))
    }

    fn mac(&self, domain: &[u8], text: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(domain);
        mac.update(text.as_bytes());
        mac
    }

    /// The signature of `text`, which proves nothing in another `domain`.
    pub(crate) fn sign(&self, domain: &[u8], text: &str) -> String {
        let signature = hex(&self.mac(domain, text).finalize().into_bytes());
        format!("{SCHEME}{signature}")
    }

    /// Whether `signature` is ours, of exactly this text in this domain.
    pub(crate) fn has_signed(&self, domain: &[u8], text: &str, signature: &str) -> bool {
        let signature = signature.strip_prefix(SCHEME).and_then(unhex);
        // Compares in constant time.
        signature.is_some_and(|signature| self.mac(domain, text).verify_slice(&signature).is_ok())
    }
}

impl Record {
    /// Whether what it tested came to be `commit`: that commit itself, or one of the pull requests that were merged to
    /// it. Whether the files are the same is another question: compare the trees.
    #[must_use]
    pub fn is_of(&self, commit: &CommitSha, merged: &[PrNumber]) -> bool {
        match &self.subject {
            Subject::Pr(number) => merged.contains(number),
            Subject::Commit(tested) => tested == commit,
        }
    }

    /// The payload of the deployment that keeps this record, signed where there is a key.
    #[must_use]
    pub fn payload(&self, key: Option<&RecordKey>) -> Value {
        let text = json!(self).to_string();
        let mut payload = json!({ "kind": KIND, "version": VERSION, "record": text });
        if let Some(key) = key {
            payload["signature"] = Value::String(key.sign(DOMAIN, &text));
        }
        payload
    }
}

impl RecordRefused {
    /// Whether testing again, with everything configured as it is, leaves a record that is believed.
    #[must_use]
    pub const fn is_mended_by_a_test(&self) -> bool {
        match self {
            Self::Garbage(_)
            | Self::Version { .. }
            | Self::Forged
            | Self::OtherRepository { .. } => true,
            Self::Unsigned | Self::NoKey => false,
        }
    }
}

/// Why a record is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordRefused {
    /// The payload is not what this version writes.
    #[error("the record cannot be read: {0}; deploy the preview again to record it anew")]
    Garbage(String),
    /// Another version wrote it.
    #[error(
        "the record has version {found}, and this version reads {VERSION}; \
         use the same version of the tool in all workflows, or deploy the preview again"
    )]
    Version {
        /// What it says.
        found: String,
    },
    /// Nobody signed it.
    #[error(
        "the record is unsigned, so anybody may have written it; give preview-deploy the secret PREVIEW_RECORD_KEY and \
         deploy the preview again, or set `promote.unsigned_records = true` in preview.toml"
    )]
    Unsigned,
    /// It is signed, and there is no key to check it with.
    #[error(
        "the record is signed and cannot be checked without the key; \
         give this job's environment the secret PREVIEW_RECORD_KEY that preview-deploy has"
    )]
    NoKey,
    /// The signature is not of this text under our key.
    #[error(
        "the record's signature is not ours: it was changed, forged, or signed with another PREVIEW_RECORD_KEY; \
         deploy the preview again, and if the key is the same, find out who wrote that deployment"
    )]
    Forged,
    /// It was signed for another repository.
    #[error(
        "the record is of repository {found}, not of {wanted}; deploy a preview of this repository"
    )]
    OtherRepository {
        /// Whose record it is.
        found: RepositoryId,
        /// Whose was asked for.
        wanted: RepositoryId,
    },
}

/// With what records are believed.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// The key, where this job has one.
    pub key: Option<&'a RecordKey>,
    /// Whether the configuration accepts records that nobody signed (`promote.unsigned_records`).
    pub unsigned: bool,
}

/// A record as it was found, not believed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    text: String,
    signature: Option<String>,
}

impl Found {
    /// The record in a deployment's `payload`; none where the payload is of another kind.
    ///
    /// # Errors
    /// When it is of our kind and another version, or not of the shape that this version writes.
    pub fn in_payload(payload: &Value) -> Result<Option<Self>, RecordRefused> {
        if payload["kind"] != KIND {
            return Ok(None);
        }
        version_is_ours(&payload["version"])?;
        let garbage = |what: &str| RecordRefused::Garbage(what.to_owned());
        let text = payload["record"]
            .as_str()
            .ok_or_else(|| garbage("its payload holds no text `record`"))?
            .to_owned();
        let signature = match payload.get("signature") {
            None => None,
            Some(Value::String(signature)) => Some(signature.clone()),
            Some(_) => return Err(garbage("its `signature` is no text")),
        };
        Ok(Some(Self { text, signature }))
    }

    /// The record, if it can be believed and is of `repository`.
    ///
    /// # Errors
    /// When it cannot.
    pub fn verify(
        &self,
        trust: Trust<'_>,
        repository: RepositoryId,
    ) -> Result<Record, RecordRefused> {
        self.check_signature(trust)?;
        let garbage = |error: serde_json::Error| RecordRefused::Garbage(error.to_string());
        let value: Value = serde_json::from_str(&self.text).map_err(garbage)?;
        version_is_ours(&value["version"])?;
        let record: Record = serde_json::from_value(value).map_err(garbage)?;
        if record.repository == repository {
            Ok(record)
        } else {
            Err(RecordRefused::OtherRepository {
                found: record.repository,
                wanted: repository,
            })
        }
    }

    fn check_signature(&self, trust: Trust<'_>) -> Result<(), RecordRefused> {
        match (&self.signature, trust.key) {
            (None, _) if trust.unsigned => Ok(()),
            (None, _) => Err(RecordRefused::Unsigned),
            (Some(signature), Some(key)) if key.has_signed(DOMAIN, &self.text, signature) => Ok(()),
            (Some(_), Some(_)) => Err(RecordRefused::Forged),
            // Who accepts records that nobody signed accepts those whose signature nobody checks.
            (Some(_), None) if trust.unsigned => Ok(()),
            (Some(_), None) => Err(RecordRefused::NoKey),
        }
    }
}

/// Finds, believes or refuses the record in `payload`; none where it holds none.
#[must_use]
pub fn read(
    payload: &Value,
    trust: Trust<'_>,
    repository: RepositoryId,
) -> Option<Result<Record, RecordRefused>> {
    match Found::in_payload(payload) {
        Ok(None) => None,
        Ok(Some(found)) => Some(found.verify(trust, repository)),
        Err(refused) => Some(Err(refused)),
    }
}

fn version_is_ours(version: &Value) -> Result<(), RecordRefused> {
    if version.as_u64() == Some(u64::from(VERSION)) {
        return Ok(());
    }
    Err(RecordRefused::Version {
        found: version.to_string().chars().take(20).collect(),
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| match pair {
            [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
            _ => None,
        })
        .collect()
}

/// Lower case only: one signature has one spelling.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OURS: RepositoryId = RepositoryId(42);

    fn key() -> RecordKey {
        RecordKey::new("0123456789abcdef0123456789abcdef\n").unwrap()
    }

    fn record() -> Record {
        let web = "web".parse::<ComponentName>().unwrap();
        let image: PinnedImage = format!("ghcr.io/acme/web@sha256:{}", "1".repeat(64))
            .parse()
            .unwrap();
        Record {
            version: VERSION,
            repository: OURS,
            slug: "acme/shop".parse().unwrap(),
            subject: "pr-7".parse().unwrap(),
            head: "a".repeat(40).parse().unwrap(),
            tree: "7".repeat(40).parse().unwrap(),
            base: Some("e".repeat(40).parse().unwrap()),
            pods: BTreeMap::from([(web.clone(), vec![image.to_string()])]),
            components: BTreeMap::from([(
                web,
                Recorded {
                    image,
                    built_from: "b".repeat(40).parse().unwrap(),
                    built_by: BuiltBy::Branch,
                    unchanged_since: None,
                },
            )]),
            run: "12.1".parse().unwrap(),
            approval: None,
            tested_at: "2025-12-19T14:32:00Z".parse().unwrap(),
        }
    }

    fn with_key(key: &RecordKey) -> Trust<'_> {
        Trust {
            key: Some(key),
            unsigned: false,
        }
    }

    fn judged(payload: &Value) -> Result<Record, RecordRefused> {
        read(payload, with_key(&key()), OURS).expect("a payload of our kind")
    }

    /// The signed payload with a change to the record's text and the old signature.
    fn tampered(from: &str, to: &str) -> Value {
        let mut payload = record().payload(Some(&key()));
        let text = payload["record"].as_str().unwrap();
        assert!(text.contains(from), "{text}");
        payload["record"] = Value::String(text.replace(from, to));
        payload
    }

    #[test]
    fn a_signed_record_is_believed() {
        assert_eq!(judged(&record().payload(Some(&key()))), Ok(record()));
    }

    #[test]
    fn the_payload_holds_the_exact_text_and_its_signature() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&record().payload(Some(&key()))).unwrap(), @r#"
        {
          "kind": "preview-environments/record",
          "record": "{\"approval\":null,\"base\":\"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\",\"components\":{\"web\":{\"built_by\":\"branch\",\"built_from\":\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\",\"image\":\"ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111\"}},\"head\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"pods\":{\"web\":[\"ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111\"]},\"repository\":42,\"run\":\"12.1\",\"slug\":\"acme/shop\",\"subject\":\"pr-7\",\"tested_at\":\"2025-12-19T14:32:00Z\",\"tree\":\"7777777777777777777777777777777777777777\",\"version\":1}",
          "signature": "hmac-sha256:73b4c24d0c22e422586d78a5c209d91ce8d1fa5546eadb6cce6e1228e1580673",
          "version": 1
        }
        "#);
    }

    #[test]
    fn what_was_forged_changed_or_replayed_is_refused() {
        let other = RecordKey::new("another key of more than 32 bytes, for sure").unwrap();
        let forged = record().payload(Some(&other));
        assert_eq!(judged(&forged), Err(RecordRefused::Forged));

        let other_tree = tampered(&"7".repeat(40), &"8".repeat(40));
        assert_eq!(judged(&other_tree), Err(RecordRefused::Forged));

        let respelt = tampered("\"version\":1", "\"version\": 1");
        assert_eq!(judged(&respelt), Err(RecordRefused::Forged));

        let replayed = read(
            &record().payload(Some(&key())),
            with_key(&key()),
            RepositoryId(43),
        );
        assert_eq!(
            replayed,
            Some(Err(RecordRefused::OtherRepository {
                found: OURS,
                wanted: RepositoryId(43)
            }))
        );
    }

    #[test]
    fn the_signature_of_something_else_with_the_same_key_proves_nothing() {
        let mut payload = record().payload(Some(&key()));
        let text = payload["record"].as_str().unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key().0).unwrap();
        mac.update(text.as_bytes());
        payload["signature"] = format!("{SCHEME}{}", hex(&mac.finalize().into_bytes())).into();
        assert_eq!(judged(&payload), Err(RecordRefused::Forged));
    }

    #[test]
    fn a_damaged_signature_is_refused_whatever_it_looks_like() {
        let good = record().payload(Some(&key()));
        let signature = good["signature"].as_str().unwrap().to_owned();
        for damaged in [
            String::new(),
            SCHEME.to_owned(),
            signature[..signature.len() - 2].to_owned(),
            format!("{signature}00"),
            signature.to_uppercase(),
            signature.replace(SCHEME, "hmac-sha512:"),
            signature.replace(SCHEME, ""),
            format!("{SCHEME}ä"),
        ] {
            let mut payload = good.clone();
            payload["signature"] = damaged.clone().into();
            assert_eq!(judged(&payload), Err(RecordRefused::Forged), "{damaged}");
        }
    }

    #[test]
    fn an_unsigned_record_is_believed_only_where_the_configuration_says_so() {
        let key = key();
        let (signed, unsigned) = (record().payload(Some(&key)), record().payload(None));
        let judge = |payload: &Value, key: Option<&RecordKey>, unsigned: bool| {
            read(payload, Trust { key, unsigned }, OURS).unwrap()
        };
        assert_eq!(
            judge(&unsigned, Some(&key), false),
            Err(RecordRefused::Unsigned)
        );
        assert_eq!(judge(&unsigned, None, false), Err(RecordRefused::Unsigned));
        assert_eq!(judge(&unsigned, Some(&key), true), Ok(record()));
        assert_eq!(judge(&unsigned, None, true), Ok(record()));
        assert_eq!(judge(&signed, None, false), Err(RecordRefused::NoKey));
        assert_eq!(judge(&signed, None, true), Ok(record()));
        // A wrong signature is never taken for none.
        let other = RecordKey::new(&"x".repeat(32)).unwrap();
        assert_eq!(
            judge(&signed, Some(&other), true),
            Err(RecordRefused::Forged)
        );
    }

    #[test]
    fn another_version_is_not_guessed_at() {
        let mut payload = record().payload(Some(&key()));
        payload["version"] = json!(2);
        let refused = judged(&payload).unwrap_err();
        assert!(
            matches!(refused, RecordRefused::Version { .. }),
            "{refused}"
        );
        let inner = Record {
            version: 2,
            ..record()
        };
        let refused = judged(&inner.payload(Some(&key()))).unwrap_err();
        assert!(
            matches!(refused, RecordRefused::Version { .. }),
            "{refused}"
        );
    }

    #[test]
    fn payloads_of_others_are_not_records_and_garbage_of_our_kind_is_refused() {
        let trust = Trust {
            key: None,
            unsigned: true,
        };
        for foreign in [
            json!(null),
            json!("x"),
            json!({}),
            json!([1]),
            json!({"kind": "other"}),
        ] {
            assert_eq!(read(&foreign, trust, OURS), None, "{foreign}");
        }
        for garbage in [
            json!({"kind": KIND}),
            json!({"kind": KIND, "version": 1}),
            json!({"kind": KIND, "version": 1, "record": {"version": 1}}),
            json!({"kind": KIND, "version": 1, "record": "{"}),
            json!({"kind": KIND, "version": 1, "record": "[]"}),
            json!({"kind": KIND, "version": 1, "record": "{\"version\":1}"}),
            json!({"kind": KIND, "version": 1, "record": "{\"version\":1}", "signature": 7}),
        ] {
            assert!(read(&garbage, trust, OURS).unwrap().is_err(), "{garbage}");
        }
    }

    #[test]
    fn a_key_is_long_and_is_never_shown() {
        assert_eq!(RecordKey::new(&"x".repeat(31)).unwrap_err(), WeakKey(31));
        assert_eq!(
            RecordKey::new(&format!("{}  \n", "x".repeat(31))).unwrap_err(),
            WeakKey(31)
        );
        assert_eq!(format!("{:?}", key()), "***");
        let trust = format!("{:?}", with_key(&key()));
        assert!(!trust.contains("0123"), "{trust}");
    }

    proptest! {
        #[test]
        fn any_changed_byte_of_the_text_is_refused(at in any::<prop::sample::Index>(), byte in 0u8..128) {
            let mut payload = record().payload(Some(&key()));
            let mut text = payload["record"].as_str().unwrap().as_bytes().to_vec();
            let at = at.index(text.len());
            prop_assume!(text[at] != byte);
            text[at] = byte;
            payload["record"] = String::from_utf8(text).unwrap().into();
            prop_assert_eq!(judged(&payload), Err(RecordRefused::Forged));
        }

        #[test]
        fn any_text_at_all_is_refused_without_a_panic(text in "\\PC{0,60}", signature in "(hmac-sha256:)?[0-9a-f]{0,66}") {
            let payload = json!({"kind": KIND, "version": 1, "record": text, "signature": signature});
            prop_assert!(judged(&payload).is_err());
        }
    }
}
