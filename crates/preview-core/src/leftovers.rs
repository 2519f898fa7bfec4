//! What an older run has left in a preview: a run that wakes up late may create an object right after it has lost the
//! preview, and right after the run that has it now has looked for what is to be removed. A sweep removes it.

use crate::database::STATE;
use crate::lifecycle::Phase;
use crate::names::Fence;
use crate::objects::{Kind, NamespaceFacts, ObjectName};
use crate::ownership::{Claim, keys};

/// The kinds that are looked at: every deploy applies all of its objects of these kinds, so that one with the fence of an
/// older run is not wanted.
///
/// Not among them: Jobs, which stay as the run left them that needed them; claims of volumes and snapshots, where data is;
/// Secrets and ServiceAccounts, which outlive updates and run nothing.
pub const KINDS: [Kind; 11] = [
    Kind::ResourceQuota,
    Kind::LimitRange,
    Kind::NetworkPolicy,
    Kind::ConfigMap,
    Kind::Service,
    Kind::StatefulSet,
    Kind::Deployment,
    Kind::DaemonSet,
    Kind::CronJob,
    Kind::Ingress,
    Kind::HttpRoute,
];

/// Whether an object with this label [`keys::FENCE`] was left in a preview that is the run `current`'s. What tells no run
/// was not.
#[must_use]
pub fn is_left(object: &ObjectName, label: Option<&str>, current: Fence) -> bool {
    let of: Option<Fence> = label.and_then(|label| label.parse().ok());
    // What was migrated is written only when something is.
    let is_kept = object.kind == Kind::ConfigMap && object.name == STATE;
    KINDS.contains(&object.kind) && !is_kept && of.is_some_and(|of| of < current)
}

/// The run whose objects alone belong into the preview, as far as its Namespace tells: it has brought the preview to its
/// end, and nobody has begun anything since. None of one that sleeps, or is being put to sleep.
#[must_use]
pub fn completed(preview: &NamespaceFacts) -> Option<Fence> {
    let annotation = |key: &str| preview.annotations.get(key).map(String::as_str);
    let is_settled = !preview.terminating
        && preview.claim() == Some(Claim::Held)
        && annotation(keys::PHASE) == Some(Phase::Ready.as_str())
        && annotation(keys::ASLEEP_SINCE).is_none();
    let by: Fence = annotation(keys::COMPLETED)?.parse().ok()?;
    preview.fence().filter(|fence| is_settled && *fence == by)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const CURRENT: Fence = Fence {
        run: 102,
        attempt: 2,
    };

    #[test]
    fn only_what_every_deploy_applies_is_left_behind_by_an_older_run() {
        let is_left =
            |kind, name: &str, label| is_left(&ObjectName::new(kind, name), label, CURRENT);
        for older in ["100.1", "102.1", "99.7"] {
            assert!(is_left(Kind::Deployment, "web", Some(older)), "{older}");
        }
        for not_older in [None, Some("102.2"), Some("103.1"), Some("yesterday")] {
            assert!(
                !is_left(Kind::Deployment, "web", not_older),
                "{not_older:?}"
            );
        }
        for kind in Kind::ALL {
            let left = is_left(kind, "old", Some("100.1"));
            assert_eq!(left, KINDS.contains(&kind), "{kind:?}");
        }
        assert!(!is_left(Kind::ConfigMap, STATE, Some("100.1")));
    }

    fn preview(annotations: &[(&str, &str)]) -> NamespaceFacts {
        let ready = [
            (keys::FENCE, "102.2"),
            (keys::COMPLETED, "102.2"),
            (keys::CLAIM, "held"),
            (keys::PHASE, "ready"),
        ];
        let all = ready.iter().chain(annotations);
        NamespaceFacts {
            name: "preview-pr-7".parse().unwrap(),
            uid: "u-1".parse().unwrap(),
            resource_version: "1".into(),
            created: jiff::Timestamp::UNIX_EPOCH,
            labels: BTreeMap::new(),
            annotations: all
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            finalizers: Vec::new(),
            terminating: false,
            blockers: Vec::new(),
        }
    }

    #[test]
    fn only_a_preview_that_its_run_has_completed_is_tidied() {
        assert_eq!(completed(&preview(&[])), Some(CURRENT));
        for (key, value) in [
            (keys::FENCE, "103.1"),
            (keys::COMPLETED, "101.1"),
            (keys::CLAIM, "queued"),
            (keys::CLAIM, "asleep"),
            (keys::PHASE, "updating"),
            (keys::ASLEEP_SINCE, "2026-01-01T00:00:00Z"),
        ] {
            assert_eq!(completed(&preview(&[(key, value)])), None, "{key}={value}");
        }
        let terminating = NamespaceFacts {
            terminating: true,
            ..preview(&[])
        };
        assert_eq!(completed(&terminating), None);
    }
}
