//! What our GitHub Deployments are called, and what their payloads say of whom they belong to.
//!
//! Three kinds: a preview's progress, for eyes, and its record ([`crate::record`]), both in one environment that all
//! previews share; and a promotion, in the environment of its target.

use std::collections::BTreeMap;

use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::names::{CommitSha, ComponentName, Fence, PinnedImage, RepositoryId, Subject};
use crate::record::{self, Record, Trust};

/// The environment of all previews: one for each would never go away again.
pub const ENVIRONMENT: &str = "preview";
/// The task of a deployment that shows a preview's progress.
pub const PROGRESS: &str = "preview";
/// The task of a deployment that keeps a record.
pub const RECORD: &str = "preview-record";
/// The task of a deployment that tells of a promotion.
pub const PROMOTION: &str = "promotion";

const PROGRESS_KIND: &str = "preview-environments/progress";
const PROMOTION_KIND: &str = "preview-environments/promotion";

/// What the last status says of a deployment whose preview is taken down for good.
pub const ENDED: &str = "The preview has ended";

/// The payload of a deployment that shows the progress of `run` on the preview of `subject`.
#[must_use]
pub fn progress_payload(subject: &Subject, run: Fence) -> Value {
    json!({ "kind": PROGRESS_KIND, "subject": subject, "run": run })
}

/// The payload of a deployment that tells what a target runs since `run`.
#[must_use]
pub fn promotion_payload(
    commit: &CommitSha,
    subject: &Subject,
    images: &BTreeMap<ComponentName, PinnedImage>,
    run: Fence,
) -> Value {
    json!({
        "kind": PROMOTION_KIND,
        "commit": commit,
        "subject": subject,
        "images": images,
        "run": run,
    })
}

/// The images that a deployment with this payload brought to a target; none where it is no promotion. For eyes, and to
/// keep what may be needed: anybody who can create deployments can have written it.
#[must_use]
pub fn promoted_images(payload: &Value) -> Vec<PinnedImage> {
    if payload["kind"] != PROMOTION_KIND {
        return Vec::new();
    }
    let images = payload["images"].as_object().into_iter().flatten();
    images
        .filter_map(|(_, image)| image.as_str()?.parse().ok())
        .collect()
}

/// The same images by component; none where one cannot be read, too. For eyes.
#[must_use]
pub fn promoted_components(payload: &Value) -> Option<BTreeMap<ComponentName, PinnedImage>> {
    if payload["kind"] != PROMOTION_KIND {
        return None;
    }
    BTreeMap::deserialize(&payload["images"]).ok()
}

/// The record that a deployment with this payload keeps, whoever wrote it; none for anything else.
#[must_use]
pub fn unproven_record(payload: &Value, repository: RepositoryId) -> Option<Record> {
    let anybody = Trust {
        key: None,
        unsigned: true,
    };
    record::read(payload, anybody, repository)?.ok()
}

/// Whose preview a deployment with this payload shows the progress of, or keeps the record of; none for anything else.
///
/// Nothing is proven by it: it serves to put away what is for eyes.
#[must_use]
pub fn subject_of(payload: &Value, repository: RepositoryId) -> Option<Subject> {
    if payload["kind"] == PROGRESS_KIND {
        return payload["subject"].as_str()?.parse().ok();
    }
    Some(unproven_record(payload, repository)?.subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_of_progress_is_found_again_and_nobody_elses() {
        let run = Fence {
            run: 12,
            attempt: 1,
        };
        let subject: Subject = "pr-7".parse().unwrap();
        let ours = RepositoryId(42);
        assert_eq!(
            subject_of(&progress_payload(&subject, run), ours),
            Some(subject.clone())
        );
        let promotion = promotion_payload(
            &"d".repeat(40).parse().unwrap(),
            &subject,
            &BTreeMap::new(),
            run,
        );
        for other in [
            promotion,
            json!({}),
            json!("pr-7"),
            json!({ "subject": "pr-7" }),
        ] {
            assert_eq!(subject_of(&other, ours), None, "{other}");
        }
    }

    #[test]
    fn the_images_of_a_promotion_are_found_again() {
        let run = Fence {
            run: 12,
            attempt: 1,
        };
        let image: PinnedImage = format!("ghcr.io/acme/web@sha256:{}", "a".repeat(64))
            .parse()
            .unwrap();
        let promotion = promotion_payload(
            &"d".repeat(40).parse().unwrap(),
            &"pr-7".parse().unwrap(),
            &BTreeMap::from([("web".parse().unwrap(), image.clone())]),
            run,
        );
        assert_eq!(promoted_images(&promotion), [image]);
        let other = json!({ "images": { "web": promotion["images"]["web"] } });
        assert_eq!(promoted_images(&other), []);
    }
}
