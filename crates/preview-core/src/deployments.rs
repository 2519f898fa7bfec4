//! What our GitHub Deployments are called, and what their payloads say of whom they belong to.
//!
//! Four kinds: a preview's progress, for eyes, its record ([`crate::record`]), and what was imported for it
//! ([`crate::import`]), all in one environment that all previews share; and a promotion ([`crate::promote::Promotion`]), in
//! the environment of its target.

use serde_json::{Value, json};

use crate::import::Import;
use crate::names::{Fence, RepositoryId, Subject};
use crate::record::{self, Record, Trust};

/// The environment of all previews: one for each would never go away again.
pub const ENVIRONMENT: &str = "preview";
/// The task of a deployment that shows a preview's progress.
pub const PROGRESS: &str = "preview";
/// The task of a deployment that keeps a record.
pub const RECORD: &str = "preview-record";
/// The task of a deployment that keeps an import record.
pub const IMPORT: &str = "preview-import";
/// The task of a deployment that tells of a promotion, or of a way back by hand.
pub const PROMOTION: &str = "promotion";
/// The task of a deployment that tells of a promotion which failed.
pub const FAILED_PROMOTION: &str = "promotion-failed";

const PROGRESS_KIND: &str = "preview-environments/progress";

/// What the last status says of a deployment whose preview is taken down for good.
pub const ENDED: &str = "The preview has ended";

/// The payload of a deployment that shows the progress of `run` on the preview of `subject`.
#[must_use]
pub fn progress_payload(subject: &Subject, run: Fence) -> Value {
    json!({ "kind": PROGRESS_KIND, "subject": subject, "run": run })
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

/// Whose preview a deployment with this payload shows the progress of, or keeps a record of; none for anything else.
///
/// Nothing is proven by it: it serves to put away what is for eyes.
#[must_use]
pub fn subject_of(payload: &Value, repository: RepositoryId) -> Option<Subject> {
    if payload["kind"] == PROGRESS_KIND {
        return payload["subject"].as_str()?.parse().ok();
    }
    if let Some(import) = Import::unproven(payload, repository) {
        return Some(Subject::Pr(import.pull));
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
        for other in [
            json!({ "kind": "preview-environments/promotion", "subject": subject }),
            json!({}),
            json!("pr-7"),
            json!({ "subject": "pr-7" }),
        ] {
            assert_eq!(subject_of(&other, ours), None, "{other}");
        }
    }
}
