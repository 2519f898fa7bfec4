//! Who owns a preview: what we write on its Namespace, read back, and who may take it over.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::deploy::Kept;
use crate::names::{
    CommitSha, ComponentName, Fence, NamespaceName, NotA, PinnedImage, RepositoryId,
    RepositorySlug, Subject,
};
use crate::objects::NamespaceFacts;

/// Names of our labels, annotations and finalizer. Their prefix is a name of this tool, not a domain of ours.
pub mod keys {
    /// Label, Kubernetes' own: which tool manages the object.
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    /// The value of [`MANAGED_BY`].
    pub const MANAGED_BY_US: &str = "preview-environments";
    /// Label, Kubernetes' own: which component of the system the object belongs to.
    pub const COMPONENT: &str = "app.kubernetes.io/component";
    /// Label: GitHub's numeric id of the repository.
    pub const REPOSITORY_ID: &str = "preview-environments/repository-id";
    /// Label: the subject, such as `pr-7`.
    pub const SUBJECT: &str = "preview-environments/subject";
    /// Label on objects, annotation on the Namespace: the run that wrote it last.
    pub const FENCE: &str = "preview-environments/fence";
    /// Annotation: `owner/name` of the repository, for eyes.
    pub const REPOSITORY: &str = "preview-environments/repository";
    /// Annotation: the commit H that the preview is of.
    pub const HEAD: &str = "preview-environments/head";
    /// Annotation: the commit H that may be deployed without anybody being asked again: a run for it has passed the
    /// approval. It stands while the preview waits for a slot.
    pub const APPROVED: &str = "preview-environments/approved";
    /// Annotation: who has approved it, when and how, of which images, as JSON ([`super::Kept`]); none where nobody had to.
    pub const APPROVAL: &str = "preview-environments/approval";
    /// Annotation: the claim on a slot.
    pub const CLAIM: &str = "preview-environments/claim";
    /// Annotation, for eyes: since when it has its slot, by the clock of the run that took it.
    pub const HELD_SINCE: &str = "preview-environments/held-since";
    /// Annotation: when it was deployed last, by the clock of the run that took it; one that was just made has none.
    pub const ACTIVE: &str = "preview-environments/active";
    /// Annotation: when it will be destroyed, once its pull request was told so.
    pub const EXPIRES: &str = "preview-environments/expires";
    /// Annotation: until when it is neither put to sleep nor destroyed, because somebody asked for that.
    pub const KEPT: &str = "preview-environments/kept";
    /// Annotation: since when it sleeps, or is being put to sleep; it goes once all that slept is awake.
    pub const ASLEEP_SINCE: &str = "preview-environments/asleep-since";
    /// Annotation on a workload that sleeps: how many of it ran, or whether it was suspended.
    pub const AWAKE: &str = "preview-environments/awake";
    /// Annotation: the lifecycle's phase, for eyes.
    pub const PHASE: &str = "preview-environments/phase";
    /// Annotation: where the preview answers.
    pub const URL: &str = "preview-environments/url";
    /// Annotation: the images that run, `component=name@digest` separated by spaces.
    pub const IMAGES: &str = "preview-environments/images";
    /// Annotation: the commit H whose components answer; none while they are being replaced.
    pub const SERVING: &str = "preview-environments/serving";
    /// Annotation: the run that has applied all that the preview is made of, removed whatever else there was, and announced it.
    pub const COMPLETED: &str = "preview-environments/completed";
    /// Annotation, written before anything is deleted: the uids of the volumes' claims, separated by spaces.
    pub const CLAIM_UIDS: &str = "preview-environments/volume-claim-uids";
    /// Annotation on production workloads: the commit of the default branch that runs.
    pub const COMMIT: &str = "preview-environments/commit";
    /// Annotation on production workloads: what they ran before the commit that runs, to go back to.
    pub const BEFORE: &str = "preview-environments/before";
    /// Annotation on a target's Lease, which a rollback or a person writes: why nothing may be promoted to it.
    pub const FROZEN: &str = "preview-environments/frozen";
    /// Annotation on a Deployment's pods: the hash of the configuration that they were started with.
    pub const CONFIGURATION: &str = "preview-environments/configuration";
    /// Finalizer on the Namespace: it stays until the cluster's own facts are verified gone.
    pub const FINALIZER: &str = "preview-environments/teardown";
}

/// The claim of a preview on one of the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claim {
    /// Waits for a slot.
    Queued,
    /// Has put its hand up, and counts the hands.
    Claiming,
    /// Has a slot.
    Held,
    /// Gave its slot back and kept its database.
    Asleep,
}

impl Claim {
    /// The annotation's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Claiming => "claiming",
            Self::Held => "held",
            Self::Asleep => "asleep",
        }
    }

    /// Whether it counts against the capacity.
    #[must_use]
    pub const fn counts(self) -> bool {
        matches!(self, Self::Claiming | Self::Held)
    }
}

impl FromStr for Claim {
    type Err = UnknownClaim;

    fn from_str(text: &str) -> Result<Self, UnknownClaim> {
        [Self::Queued, Self::Claiming, Self::Held, Self::Asleep]
            .into_iter()
            .find(|claim| claim.as_str() == text)
            .ok_or_else(|| UnknownClaim(text.to_owned()))
    }
}

/// A claim annotation with a value that no version of ours writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a claim (queued, claiming, held or asleep)")]
pub struct UnknownClaim(String);

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose a preview is: fixed for the life of its Namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The repository.
    pub repository: RepositoryId,
    /// The pull request or commit.
    pub subject: Subject,
}

impl Owner {
    /// Labels that every object of the preview carries, so that it can be found and pruned.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (keys::MANAGED_BY.to_owned(), keys::MANAGED_BY_US.to_owned()),
            (keys::REPOSITORY_ID.to_owned(), self.repository.to_string()),
            (keys::SUBJECT.to_owned(), self.subject.to_string()),
        ])
    }

    /// The label selector that finds this owner's objects.
    #[must_use]
    pub fn selector(&self) -> String {
        selector(&self.labels())
    }

    /// The label selector that finds the Namespaces of every preview of `repository`.
    #[must_use]
    pub fn selector_of_repository(repository: RepositoryId) -> String {
        let all = Self::selector_of_all();
        format!("{all},{}={repository}", keys::REPOSITORY_ID)
    }

    /// The label selector that finds the Namespaces of every preview on the cluster, whichever repository it is of.
    #[must_use]
    pub fn selector_of_all() -> String {
        format!("{}={}", keys::MANAGED_BY, keys::MANAGED_BY_US)
    }

    /// Checks that `namespace` is this owner's.
    ///
    /// # Errors
    /// When a label is missing or names somebody else: such a namespace is never written to and never deleted.
    pub fn check(&self, namespace: &NamespaceFacts) -> Result<(), Foreign> {
        self.check_labels(&namespace.labels)
            .map_err(|label| Foreign {
                namespace: namespace.name.clone(),
                label,
            })
    }

    /// Checks that an object with these labels is this owner's.
    ///
    /// # Errors
    /// The first label that is missing or names somebody else.
    pub fn check_labels(&self, labels: &BTreeMap<String, String>) -> Result<(), ForeignLabel> {
        for (key, wanted) in self.labels() {
            let found = labels.get(&key);
            if found != Some(&wanted) {
                let found = found.cloned();
                return Err(ForeignLabel { key, wanted, found });
            }
        }
        Ok(())
    }
}

fn selector(labels: &BTreeMap<String, String>) -> String {
    labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}

/// A namespace that belongs to somebody else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "namespace {namespace} is not ours: {label}; rename that namespace, or choose another `namespace` template in \
     preview.toml"
)]
pub struct Foreign {
    /// The namespace.
    pub namespace: NamespaceName,
    /// What tells so.
    pub label: ForeignLabel,
}

/// A label that says that an object is somebody else's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "its label {key} is {}, not {wanted:?}",
    found.as_ref().map_or_else(|| "missing".to_owned(), |found| format!("{found:?}"))
)]
pub struct ForeignLabel {
    /// The label's key.
    pub key: String,
    /// What it would have to be.
    pub wanted: String,
    /// What it is.
    pub found: Option<String>,
}

/// A run that wants a preview for its owner at a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// Whose preview.
    pub owner: Owner,
    /// `owner/name`, for eyes.
    pub repository: RepositorySlug,
    /// The commit H; the caller has just seen that it is the live head.
    pub head: CommitSha,
    /// This run.
    pub fence: Fence,
}

/// What a run may do with the namespace it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakeOver {
    /// It does not exist: create it.
    Create,
    /// It is ours: write our fence, by compare-and-set on the version that was read.
    Take,
    /// A newer run for the same head has it.
    Superseded {
        /// The newer run.
        by: Fence,
    },
    /// It is on its way out; finish its teardown first, then create it.
    Finish,
    /// It is somebody else's.
    Refused(Foreign),
}

impl Claimant {
    /// What this run may do with the namespace as it was read.
    ///
    /// The pull request's live head decides first: this run's head *is* the live head, so whatever another head left
    /// behind is taken over, whichever run number it has. Between runs for the same head the newer run wins.
    #[must_use]
    pub fn take_over(&self, existing: Option<&NamespaceFacts>) -> TakeOver {
        let Some(existing) = existing else {
            return TakeOver::Create;
        };
        if let Err(foreign) = self.owner.check(existing) {
            return TakeOver::Refused(foreign);
        }
        if existing.terminating {
            return TakeOver::Finish;
        }
        let same_head = existing
            .annotations
            .get(keys::HEAD)
            .is_some_and(|head| head == self.head.as_str());
        match existing.fence() {
            Some(by) if same_head && by > self.fence => TakeOver::Superseded { by },
            _ => TakeOver::Take,
        }
    }

    /// Whether the namespace, read again, is still this run's.
    #[must_use]
    pub fn still_owns(&self, namespace: &NamespaceFacts) -> bool {
        self.owner.check(namespace).is_ok()
            && !namespace.terminating
            && namespace.fence() == Some(self.fence)
    }

    /// Annotations that say who owns the namespace now.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (keys::REPOSITORY.to_owned(), self.repository.to_string()),
            (keys::HEAD.to_owned(), self.head.to_string()),
            (keys::APPROVED.to_owned(), self.head.to_string()),
            (keys::FENCE.to_owned(), self.fence.to_string()),
        ])
    }
}

impl NamespaceFacts {
    /// The run that owns the namespace.
    #[must_use]
    pub fn fence(&self) -> Option<Fence> {
        self.annotations.get(keys::FENCE)?.parse().ok()
    }

    /// Its claim on a slot.
    #[must_use]
    pub fn claim(&self) -> Option<Claim> {
        self.annotations.get(keys::CLAIM)?.parse().ok()
    }

    /// Since when it has its slot.
    #[must_use]
    pub fn held_since(&self) -> Option<Timestamp> {
        self.annotations.get(keys::HELD_SINCE)?.parse().ok()
    }

    /// The repository it is a preview of.
    #[must_use]
    pub fn repository(&self) -> Option<RepositoryId> {
        self.labels.get(keys::REPOSITORY_ID)?.parse().ok()
    }

    /// The commit H that may be deployed without anybody being asked again.
    #[must_use]
    pub fn approved(&self) -> Option<CommitSha> {
        self.annotations.get(keys::APPROVED)?.parse().ok()
    }

    /// The approval that is kept there, of whichever head.
    #[must_use]
    pub fn approval(&self) -> Option<Kept> {
        serde_json::from_str(self.annotations.get(keys::APPROVAL)?).ok()
    }

    /// The subject it is a preview of.
    #[must_use]
    pub fn subject(&self) -> Option<Subject> {
        self.labels.get(keys::SUBJECT)?.parse().ok()
    }

    /// The commit H it is a preview of.
    #[must_use]
    pub fn head(&self) -> Option<CommitSha> {
        self.annotations.get(keys::HEAD)?.parse().ok()
    }

    /// The images of the version that was ready last, by component; none where none was.
    #[must_use]
    pub fn images(&self) -> BTreeMap<ComponentName, PinnedImage> {
        let text = self.annotations.get(keys::IMAGES);
        let images = text.and_then(|text| parse_images_annotation(text).ok());
        let images = images.unwrap_or_default().into_iter();
        images
            .filter_map(|(component, image)| Some((component.parse().ok()?, image)))
            .collect()
    }
}

/// The value of the annotation [`keys::IMAGES`].
#[must_use]
pub fn images_annotation<'a>(
    images: impl IntoIterator<Item = (&'a str, &'a PinnedImage)>,
) -> String {
    images
        .into_iter()
        .map(|(component, image)| format!("{component}={image}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The images of an annotation [`keys::IMAGES`], by component.
///
/// # Errors
/// When a part is not `component=name@digest`.
pub fn parse_images_annotation(text: &str) -> Result<BTreeMap<String, PinnedImage>, NotA> {
    text.split_whitespace()
        .map(|part| {
            let (component, image) = part.split_once('=').unwrap_or(("", part));
            Ok((component.to_owned(), image.parse()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimant(run: u64, head: char) -> Claimant {
        Claimant {
            owner: Owner {
                repository: RepositoryId(42),
                subject: "pr-7".parse().unwrap(),
            },
            repository: "acme/shop".parse().unwrap(),
            head: head.to_string().repeat(40).parse().unwrap(),
            fence: Fence { run, attempt: 1 },
        }
    }

    fn namespace_of(claimant: &Claimant) -> NamespaceFacts {
        NamespaceFacts {
            name: "preview-pr-7".parse().unwrap(),
            uid: "u-1".parse().unwrap(),
            resource_version: "1".into(),
            created: Timestamp::UNIX_EPOCH,
            labels: claimant.owner.labels(),
            annotations: claimant.annotations(),
            finalizers: vec![keys::FINALIZER.into()],
            terminating: false,
            blockers: Vec::new(),
        }
    }

    #[test]
    fn the_live_head_decides_first_and_run_numbers_only_between_runs_for_the_same_head() {
        let theirs = namespace_of(&claimant(20, 'a'));
        assert_eq!(claimant(30, 'a').take_over(None), TakeOver::Create);
        assert_eq!(claimant(30, 'a').take_over(Some(&theirs)), TakeOver::Take);
        assert_eq!(
            claimant(10, 'a').take_over(Some(&theirs)),
            TakeOver::Superseded {
                by: Fence {
                    run: 20,
                    attempt: 1
                }
            }
        );
        assert_eq!(claimant(10, 'b').take_over(Some(&theirs)), TakeOver::Take);
        assert!(claimant(20, 'a').still_owns(&theirs));
        assert!(!claimant(30, 'a').still_owns(&theirs));
    }

    #[test]
    fn a_foreign_namespace_is_refused_by_name_even_while_it_terminates() {
        let mut theirs = namespace_of(&claimant(20, 'a'));
        theirs
            .labels
            .insert(keys::REPOSITORY_ID.into(), "43".into());
        theirs.terminating = true;
        let TakeOver::Refused(foreign) = claimant(30, 'a').take_over(Some(&theirs)) else {
            panic!("taken")
        };
        insta::assert_snapshot!(foreign, @r#"namespace preview-pr-7 is not ours: its label preview-environments/repository-id is "43", not "42"; rename that namespace, or choose another `namespace` template in preview.toml"#);
    }

    #[test]
    fn a_terminating_namespace_of_ours_is_finished_first() {
        let mut ours = namespace_of(&claimant(20, 'a'));
        ours.terminating = true;
        assert_eq!(claimant(30, 'a').take_over(Some(&ours)), TakeOver::Finish);
    }

    #[test]
    fn images_survive_their_annotation() {
        let image: PinnedImage = format!("ghcr.io/acme/web@sha256:{}", "a".repeat(64))
            .parse()
            .unwrap();
        let text = images_annotation([("web", &image), ("api", &image)]);
        let parsed = parse_images_annotation(&text).unwrap();
        assert_eq!(parsed.get("web"), Some(&image));
        assert_eq!(parsed.len(), 2);
    }
}
