//! The import record: which images were brought to the registry for a pull request whose own runs may not push, and who built
//! them.
//!
//! Who may push to the registry can put any image under any tag, and an image does not say who built it. So for such a pull
//! request an image counts only where a record names it that was signed under `PREVIEW_RECORD_KEY`. It lives where the record
//! of a test does ([`crate::record`]), in the payload of a GitHub deployment, and has a signature of its own kind: neither can
//! be shown for the other.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::names::{CommitSha, ComponentName, Fence, PinnedImage, PrNumber, RepositoryId};
use crate::record::{BuiltBy, RecordKey};

/// The `kind` of a payload that holds one.
pub const KIND: &str = "preview-environments/import";

/// The version of the record.
pub const VERSION: u32 = 1;

const DOMAIN: &[u8] = b"preview-environments/import/v1\0";

/// What was imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// [`VERSION`].
    pub version: u32,
    /// GitHub's id of the repository.
    pub repository: RepositoryId,
    /// The pull request.
    pub pull: PrNumber,
    /// The commit H that the images stand for.
    pub head: CommitSha,
    /// The images.
    pub images: BTreeMap<ComponentName, PinnedImage>,
    /// Who built them.
    pub built_by: BuiltBy,
    /// The run that imported them.
    pub run: Fence,
    /// When that was.
    pub imported_at: Timestamp,
}

impl Import {
    /// The payload of the deployment that keeps this record.
    #[must_use]
    pub fn payload(&self, key: &RecordKey) -> Value {
        let text = json!(self).to_string();
        let signature = key.sign(DOMAIN, &text);
        json!({ "kind": KIND, "version": VERSION, "import": text, "signature": signature })
    }

    /// The record in `payload`, if it is genuine, and of `repository`; none for anything else, whatever is wrong with it:
    /// anybody who can start a workflow can keep one.
    #[must_use]
    pub fn genuine(payload: &Value, key: &RecordKey, repository: RepositoryId) -> Option<Self> {
        let signature = payload["signature"].as_str()?;
        let text = payload["import"].as_str()?;
        if !key.has_signed(DOMAIN, text, signature) {
            return None;
        }
        Self::unproven(payload, repository)
    }

    /// The record in `payload`, whoever wrote it: it serves to put away what is for eyes.
    #[must_use]
    pub fn unproven(payload: &Value, repository: RepositoryId) -> Option<Self> {
        if payload["kind"] != KIND {
            return None;
        }
        let import: Self = serde_json::from_str(payload["import"].as_str()?).ok()?;
        (import.version == VERSION && import.repository == repository).then_some(import)
    }

    /// Whether it says the same of the same images as `other`, whenever that was.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        (self.pull, &self.head, &self.images, self.built_by)
            == (other.pull, &other.head, &other.images, other.built_by)
    }
}

/// Who built `image`, the component's, for the pull request at this head, by records that are genuine; none where no record
/// names it. Where the default branch's workflow has built the very same bytes, that counts.
#[must_use]
pub fn built_by(
    imports: &[Import],
    (pull, head): (PrNumber, &CommitSha),
    component: &ComponentName,
    image: &PinnedImage,
) -> Option<BuiltBy> {
    let of_image = imports.iter().filter(|import| {
        import.pull == pull && import.head == *head && import.images.get(component) == Some(image)
    });
    of_image.map(|import| import.built_by).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record;

    const OURS: RepositoryId = RepositoryId(42);

    fn key() -> RecordKey {
        RecordKey::new("0123456789abcdef0123456789abcdef").unwrap()
    }

    fn image(digit: char) -> PinnedImage {
        let digits = digit.to_string().repeat(64);
        format!("ghcr.io/acme/web@sha256:{digits}").parse().unwrap()
    }

    fn web() -> ComponentName {
        "web".parse().unwrap()
    }

    fn head(digit: char) -> CommitSha {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn import() -> Import {
        Import {
            version: VERSION,
            repository: OURS,
            pull: PrNumber::new(7).unwrap(),
            head: head('a'),
            images: BTreeMap::from([(web(), image('1'))]),
            built_by: BuiltBy::Contributor,
            run: "12.1".parse().unwrap(),
            imported_at: "2026-11-28T14:32:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn the_payload_holds_the_exact_text_and_its_signature() {
        let payload = import().payload(&key());
        assert_eq!(Import::genuine(&payload, &key(), OURS), Some(import()));
        insta::assert_snapshot!(serde_json::to_string_pretty(&payload).unwrap(), @r#"
        {
          "import": "{\"built_by\":\"contributor\",\"head\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"images\":{\"web\":\"ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111\"},\"imported_at\":\"2026-11-28T14:32:00Z\",\"pull\":7,\"repository\":42,\"run\":\"12.1\",\"version\":1}",
          "kind": "preview-environments/import",
          "signature": "hmac-sha256:32de6d9c8dd1033860de74ee815c2cfa49bc0c37e360d87bd7beedaa22fb863a",
          "version": 1
        }
        "#);
    }

    #[test]
    fn what_was_forged_changed_or_replayed_is_none() {
        let other = RecordKey::new("another key of more than 32 bytes, for sure").unwrap();
        let judged = |payload: &Value| Import::genuine(payload, &key(), OURS);
        assert_eq!(judged(&import().payload(&other)), None);

        let mut raised = import().payload(&key());
        let text = raised["import"].as_str().unwrap();
        let text = text.replace("contributor", "trusted");
        raised["import"] = text.clone().into();
        assert_eq!(judged(&raised), None);

        // The record of a test is signed with the same key.
        raised["signature"] = key()
            .sign(b"preview-environments/record/v1\0", &text)
            .into();
        assert_eq!(judged(&raised), None);

        let mut unsigned = import().payload(&key());
        unsigned["signature"].take();
        assert_eq!(judged(&unsigned), None);
        let replayed = import().payload(&key());
        assert_eq!(Import::genuine(&replayed, &key(), RepositoryId(43)), None);
        let newer = Import {
            version: 2,
            ..import()
        };
        assert_eq!(judged(&newer.payload(&key())), None);
        for foreign in [json!(null), json!({}), json!({ "kind": record::KIND })] {
            assert_eq!(judged(&foreign), None);
        }
    }

    #[test]
    fn a_record_speaks_of_its_own_images_of_one_pull_request_at_one_head_alone() {
        let imports = [import()];
        let who = |pull: u64, at: char, digit: char| {
            let of = (PrNumber::new(pull).unwrap(), &head(at));
            built_by(&imports, of, &web(), &image(digit))
        };
        assert_eq!(who(7, 'a', '1'), Some(BuiltBy::Contributor));
        assert_eq!(who(8, 'a', '1'), None);
        assert_eq!(who(7, 'b', '1'), None);
        assert_eq!(who(7, 'a', '2'), None);
        let api: ComponentName = "api".parse().unwrap();
        let of = (PrNumber::new(7).unwrap(), &head('a'));
        assert_eq!(built_by(&imports, of, &api, &image('1')), None);
    }

    #[test]
    fn what_a_trusted_workflow_has_built_byte_for_byte_is_trusted() {
        let trusted = Import {
            built_by: BuiltBy::Trusted,
            ..import()
        };
        let of = (PrNumber::new(7).unwrap(), &head('a'));
        for imports in [[import(), trusted.clone()], [trusted, import()]] {
            let who = built_by(&imports, of, &web(), &image('1'));
            assert_eq!(who, Some(BuiltBy::Trusted));
        }
    }
}
