//! Whether a preview is to be destroyed, and what of it on GitHub goes with it.

pub mod images;

use crate::names::{PrNumber, RepositorySlug};
use crate::objects::NamespaceFacts;
use crate::ownership::{Foreign, Owner};
use crate::pulls::{PullRequest, PullState};

/// What GitHub says of whose preview it is.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// A pull request.
    Pull {
        /// Its number.
        number: PrNumber,
        /// The pull request, read live; none where GitHub answered that there is none, which is no proof of anything.
        pull: Option<&'a PullRequest>,
    },
    /// A commit that somebody named: nothing on GitHub says that its preview has to go, or to stay.
    Commit,
}

/// What becomes of PersistentVolumes of a preview that their own policy, `Retain`, keeps when their claims are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainedVolumes {
    /// They stay, and are named: somebody may want what is on them.
    #[default]
    Stay,
    /// They are deleted. The storage behind them stays with whoever provides it.
    Go,
}

/// What a cleanup knows before it decides.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// The repository's name, for messages.
    pub repository: &'a RepositorySlug,
    /// Whose preview it would be.
    pub owner: &'a Owner,
    /// What GitHub says of that.
    pub of: Of<'a>,
    /// The namespace of that name; none where there is none.
    pub namespace: Option<&'a NamespaceFacts>,
    /// Whether what was merged runs on every target already.
    pub promoted: bool,
    /// Whether somebody asked to destroy the preview of an open pull request.
    pub force: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The namespace is ours and is to go; one that terminates already is finished.
    Destroy {
        /// What goes on GitHub.
        github: GitHubSide,
    },
    /// The cluster has nothing of it any more; GitHub's side is still put in order.
    AlreadyGone {
        /// What goes on GitHub.
        github: GitHubSide,
    },
    /// A rule says no, and nothing is touched.
    Refused(Refusal),
}

/// What of a preview on GitHub goes with it. Recomputed by every cleanup, so one that died is made good by the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GitHubSide {
    /// Set the deployments that showed its progress inactive: always, since nothing answers any more.
    pub retire_progress: bool,
    /// Set the deployments that hold its records inactive. A merged pull request keeps them until it is promoted.
    pub retire_records: bool,
    /// Remove the labels with its digests. They stay as long as the records.
    pub remove_labels: bool,
}

/// Why a preview stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody may be looking at it.
    #[error(
        "pull request #{number} is open, so its preview stays; close it, or ask for its destruction with --force"
    )]
    StillOpen {
        /// The pull request.
        number: PrNumber,
    },
    /// GitHub does not know it, which never means that it was closed.
    #[error(
        "{repository} has no pull request #{number} as far as this token can see, which does not prove that it was \
         closed, so its preview stays; look at the number, and whether the token may read pull requests"
    )]
    NotFound {
        /// The repository.
        repository: RepositorySlug,
        /// The number.
        number: PrNumber,
    },
    /// The namespace is somebody else's.
    #[error(transparent)]
    Foreign(#[from] Foreign),
}

impl Evidence<'_> {
    /// Decides from positive facts only: GitHub said that the pull request is closed, or somebody named the commit; and
    /// the namespace is ours.
    #[must_use]
    pub fn decide(&self) -> Verdict {
        let github = match self.of {
            Of::Pull { number, pull: None } => {
                return Verdict::Refused(Refusal::NotFound {
                    repository: self.repository.clone(),
                    number,
                });
            }
            Of::Pull {
                number,
                pull: Some(pull),
            } => {
                if pull.state == PullState::Open && !self.force {
                    return Verdict::Refused(Refusal::StillOpen { number });
                }
                self.github_side(&pull.state)
            }
            Of::Commit => GitHubSide {
                retire_progress: true,
                retire_records: self.promoted,
                remove_labels: false,
            },
        };
        match self.namespace.map(|namespace| self.owner.check(namespace)) {
            None => Verdict::AlreadyGone { github },
            Some(Ok(())) => Verdict::Destroy { github },
            Some(Err(foreign)) => Verdict::Refused(foreign.into()),
        }
    }

    fn github_side(&self, state: &PullState) -> GitHubSide {
        let needed = match state {
            PullState::Merged { .. } => !self.promoted,
            // Destroyed by hand while open: merging is still possible, and what was tested stays tested.
            PullState::Open => true,
            PullState::Closed => false,
        };
        GitHubSide {
            retire_progress: true,
            retire_records: !needed,
            remove_labels: !needed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::RepositoryId;
    use std::collections::BTreeMap;

    fn owner() -> Owner {
        Owner {
            repository: RepositoryId(42),
            subject: "pr-7".parse().unwrap(),
        }
    }

    fn pull(state: PullState) -> PullRequest {
        PullRequest {
            state,
            ..crate::pulls::tests::pull(7)
        }
    }

    fn namespace(labels: BTreeMap<String, String>) -> NamespaceFacts {
        NamespaceFacts {
            name: "preview-pr-7".parse().unwrap(),
            uid: "u-1".parse().unwrap(),
            resource_version: "1".into(),
            created: jiff::Timestamp::UNIX_EPOCH,
            labels,
            annotations: BTreeMap::new(),
            finalizers: Vec::new(),
            terminating: false,
            blockers: Vec::new(),
        }
    }

    /// One word for what is decided, and `+records` where GitHub's record and labels go too.
    fn decided(
        state: Option<PullState>,
        namespace: Option<&NamespaceFacts>,
        promoted: bool,
        force: bool,
    ) -> String {
        let (repository, owner) = ("acme/shop".parse().unwrap(), owner());
        let pull = state.map(pull);
        let verdict = Evidence {
            repository: &repository,
            owner: &owner,
            of: Of::Pull {
                number: PrNumber::new(7).unwrap(),
                pull: pull.as_ref(),
            },
            namespace,
            promoted,
            force,
        }
        .decide();
        let (word, github) = match verdict {
            Verdict::Destroy { github } => ("destroy", github),
            Verdict::AlreadyGone { github } => ("gone", github),
            Verdict::Refused(Refusal::StillOpen { .. }) => return "open".into(),
            Verdict::Refused(Refusal::NotFound { .. }) => return "not found".into(),
            Verdict::Refused(Refusal::Foreign(_)) => return "foreign".into(),
        };
        assert!(github.retire_progress);
        assert_eq!(github.retire_records, github.remove_labels);
        let records = if github.retire_records {
            "+records"
        } else {
            ""
        };
        format!("{word}{records}")
    }

    #[test]
    fn only_positive_facts_destroy_anything() {
        let ours = namespace(owner().labels());
        let foreign = namespace(BTreeMap::new());
        let merged = || PullState::Merged {
            commit: "d".repeat(40).parse().unwrap(),
        };
        // Expected for our namespace, none, and a foreign one.
        let table = [
            (None, false, false, ["not found", "not found", "not found"]),
            (None, true, true, ["not found", "not found", "not found"]),
            (
                Some(PullState::Open),
                false,
                false,
                ["open", "open", "open"],
            ),
            (
                Some(PullState::Open),
                false,
                true,
                ["destroy", "gone", "foreign"],
            ),
            (
                Some(PullState::Closed),
                false,
                false,
                ["destroy+records", "gone+records", "foreign"],
            ),
            (
                Some(PullState::Closed),
                false,
                true,
                ["destroy+records", "gone+records", "foreign"],
            ),
            (Some(merged()), false, false, ["destroy", "gone", "foreign"]),
            (
                Some(merged()),
                true,
                false,
                ["destroy+records", "gone+records", "foreign"],
            ),
            // Force is about open pull requests; what a target still needs stays.
            (Some(merged()), false, true, ["destroy", "gone", "foreign"]),
        ];
        for (state, promoted, force, expected) in table {
            let found = [Some(&ours), None, Some(&foreign)]
                .map(|namespace| decided(state.clone(), namespace, promoted, force));
            assert_eq!(found, expected, "{state:?} {promoted} {force}");
        }
    }

    #[test]
    fn a_commits_preview_goes_when_somebody_names_it_and_its_record_when_it_is_promoted() {
        let owner = Owner {
            subject: format!("commit-{}", "d".repeat(40)).parse().unwrap(),
            ..owner()
        };
        let repository = "acme/shop".parse().unwrap();
        let (ours, foreign) = (namespace(owner.labels()), namespace(BTreeMap::new()));
        let decide = |namespace, promoted| {
            let evidence = Evidence {
                repository: &repository,
                owner: &owner,
                of: Of::Commit,
                namespace,
                promoted,
                force: false,
            };
            evidence.decide()
        };
        let side = |retire_records| GitHubSide {
            retire_progress: true,
            retire_records,
            remove_labels: false,
        };
        let github = side(false);
        assert_eq!(decide(Some(&ours), false), Verdict::Destroy { github });
        assert_eq!(decide(None, false), Verdict::AlreadyGone { github });
        let github = side(true);
        assert_eq!(decide(Some(&ours), true), Verdict::Destroy { github });
        let refused = decide(Some(&foreign), true);
        assert!(matches!(refused, Verdict::Refused(Refusal::Foreign(_))));
    }

    #[test]
    fn refusals_say_how_to_go_on() {
        let number = PrNumber::new(7).unwrap();
        let told = [
            Refusal::StillOpen { number }.to_string(),
            Refusal::NotFound {
                repository: "acme/shop".parse().unwrap(),
                number,
            }
            .to_string(),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        pull request #7 is open, so its preview stays; close it, or ask for its destruction with --force
        acme/shop has no pull request #7 as far as this token can see, which does not prove that it was closed, so its preview stays; look at the number, and whether the token may read pull requests
        ");
    }
}
