//! What a deploy run was asked for, and whether that may become a preview.

mod images;
mod unchanged;

use std::fmt;

use crate::names::{CommitSha, PrNumber, RepositorySlug};
use crate::pulls::{PullRequest, PullState};

pub use images::{
    Accepted, AcceptedImage, ComponentEvidence, ImageRefusal, Revision, TestedAs, accept,
};
pub use unchanged::{MustBeBuilt, Past, Shown, Unchanged, nearest, unchanged};

/// What a deploy run was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// By hand: this pull request at exactly this head.
    Pull {
        /// Its number.
        number: PrNumber,
        /// The commit H that was looked at.
        head: CommitSha,
    },
    /// By a CI run that ended. What it says of pull requests is not believed; its head is looked up.
    Run(CiRun),
}

/// A CI run that ended, as the event tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiRun {
    /// The event that had started it; only `pull_request` builds what a preview shows.
    pub event: String,
    /// How it ended; none while it runs.
    pub conclusion: Option<String>,
    /// The commit H.
    pub head: CommitSha,
    /// The branch, written by its author.
    pub branch: Option<String>,
    /// The repository of the branch; none when a fork was deleted.
    pub repository: Option<RepositorySlug>,
}

impl Request {
    /// The commit H.
    #[must_use]
    pub fn head(&self) -> &CommitSha {
        match self {
            Self::Pull { head, .. } => head,
            Self::Run(run) => &run.head,
        }
    }

    /// What is clear before GitHub is asked for pull requests; none where it has to be asked.
    #[must_use]
    pub fn screen(&self, repository: &RepositorySlug) -> Option<Choice> {
        let Self::Run(run) = self else { return None };
        if run.event != "pull_request" {
            return Some(Choice::Nothing(Nothing::OtherEvent {
                event: run.event.clone(),
            }));
        }
        if run.conclusion.as_deref() != Some("success") {
            return Some(Choice::Nothing(Nothing::CiDidNotSucceed {
                conclusion: run.conclusion.clone(),
            }));
        }
        if run.repository.as_ref() != Some(repository) {
            return Some(Choice::Refused(Refusal::Fork {
                number: None,
                fork: run.repository.clone(),
            }));
        }
        run.branch
            .is_none()
            .then_some(Choice::Nothing(Nothing::NoBranch))
    }
}

/// Which pull request a run is for, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This one; its head is the one that was asked for.
    Deploy(Box<PullRequest>),
    /// There is nothing to do.
    Nothing(Nothing),
    /// The pull request has moved on; the run for its new head does the work.
    Superseded {
        /// The pull request.
        number: PrNumber,
        /// The head that was asked for.
        asked: CommitSha,
        /// The head it has now.
        now: CommitSha,
    },
    /// A rule says no.
    Refused(Refusal),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deploy(pull) => {
                write!(f, "deploy pull request #{} at {}", pull.number, pull.head)
            }
            Self::Nothing(nothing) => nothing.fmt(f),
            Self::Superseded { number, asked, now } => write!(
                f,
                "pull request #{number} has moved from {} to {}; the run for that head deploys it",
                asked.short(),
                now.short()
            ),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

/// Why there is nothing to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nothing {
    /// The run was not started by a pull request.
    #[error("the CI run was started by {event:?}, not by a pull request")]
    OtherEvent {
        /// What started it.
        event: String,
    },
    /// CI failed, was cancelled or still runs.
    #[error(
        "the CI run {}, so there are no images to deploy",
        conclusion.as_ref().map_or_else(|| "has not ended yet".to_owned(), |c| format!("ended with {c:?}"))
    )]
    CiDidNotSucceed {
        /// How it ended.
        conclusion: Option<String>,
    },
    /// The run names no branch.
    #[error("the CI run names no branch, so it belongs to no open pull request")]
    NoBranch,
    /// No open pull request has that branch.
    #[error("no open pull request has the branch {branch:?}; it was closed meanwhile")]
    NoOpenPull {
        /// The branch.
        branch: String,
    },
}

/// Why a pull request gets no preview.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none with that number.
    #[error(
        "{repository} has no pull request #{number}; look at its number, and whether the token may read pull requests"
    )]
    NoSuchPull {
        /// The repository.
        repository: RepositorySlug,
        /// The number.
        number: PrNumber,
    },
    /// It is not open.
    #[error("pull request #{number} is closed; reopen it to have a preview of it")]
    Closed {
        /// The pull request.
        number: PrNumber,
    },
    /// It was merged.
    #[error(
        "pull request #{number} is merged as {}, and its preview ended with that; open another for what comes next",
        commit.short()
    )]
    Merged {
        /// The pull request.
        number: PrNumber,
        /// The commit M.
        commit: CommitSha,
    },
    /// Its branch lies in another repository.
    #[error(
        "{} from {}: who wrote it wrote its build too, and previews of forks are not supported yet; \
         push the branch to this repository to have a preview of it",
        number.map_or_else(|| "the CI run is".to_owned(), |n| format!("pull request #{n} comes")),
        fork.as_ref().map_or_else(|| "a fork that was deleted".to_owned(), |fork| format!("the fork {fork}"))
    )]
    Fork {
        /// The pull request, where it is known.
        number: Option<PrNumber>,
        /// The fork; none when it was deleted.
        fork: Option<RepositorySlug>,
    },
    /// One branch, several pull requests: an event does not tell which is meant.
    #[error(
        "the head {} belongs to the pull requests {}; close all but one, or deploy one of them by hand with \
         its number and this commit",
        head.short(),
        numbers.iter().map(|n| format!("#{n}")).collect::<Vec<_>>().join(", ")
    )]
    SeveralPulls {
        /// The head.
        head: CommitSha,
        /// Their numbers.
        numbers: Vec<PrNumber>,
    },
}

/// Chooses the pull request that `request` is about among those `pulls` that were read live: the one with the number,
/// or the open ones with the run's branch.
#[must_use]
pub fn choose_pull(
    request: &Request,
    repository: &RepositorySlug,
    pulls: &[PullRequest],
) -> Choice {
    if let Some(choice) = request.screen(repository) {
        return choice;
    }
    match request {
        Request::Pull { number, head } => {
            let pull = pulls.iter().find(|pull| pull.number == *number);
            let pull = pull.ok_or_else(|| Refusal::NoSuchPull {
                repository: repository.clone(),
                number: *number,
            });
            match pull.and_then(|pull| may_have_preview(pull, repository).map(|()| pull)) {
                Ok(pull) => at_head(pull, head),
                Err(refusal) => Choice::Refused(refusal),
            }
        }
        Request::Run(run) => choose_for_run(run, repository, pulls),
    }
}

fn choose_for_run(run: &CiRun, repository: &RepositorySlug, pulls: &[PullRequest]) -> Choice {
    let branch = run.branch.clone().unwrap_or_default();
    let of_branch: Vec<&PullRequest> = pulls
        .iter()
        .filter(|pull| pull.state == PullState::Open)
        .filter(|pull| !pull.is_from_fork(repository) && pull.head_ref == branch)
        .collect();
    match of_branch.as_slice() {
        [] => Choice::Nothing(Nothing::NoOpenPull { branch }),
        [pull] => at_head(pull, &run.head),
        several => {
            let mut numbers: Vec<PrNumber> = several.iter().map(|pull| pull.number).collect();
            numbers.sort_unstable();
            Choice::Refused(Refusal::SeveralPulls {
                head: run.head.clone(),
                numbers,
            })
        }
    }
}

/// Whether `pull` may have a preview at all: it is open, and its branch lies in `repository`.
///
/// # Errors
/// When it is not, or does not.
pub fn may_have_preview(pull: &PullRequest, repository: &RepositorySlug) -> Result<(), Refusal> {
    let number = pull.number;
    match &pull.state {
        PullState::Open => {}
        PullState::Closed => return Err(Refusal::Closed { number }),
        PullState::Merged { commit } => {
            return Err(Refusal::Merged {
                number,
                commit: commit.clone(),
            });
        }
    }
    if pull.is_from_fork(repository) {
        return Err(Refusal::Fork {
            number: Some(number),
            fork: pull.head_repository.clone(),
        });
    }
    Ok(())
}

fn at_head(pull: &PullRequest, asked: &CommitSha) -> Choice {
    if pull.head == *asked {
        return Choice::Deploy(Box::new(pull.clone()));
    }
    Choice::Superseded {
        number: pull.number,
        asked: asked.clone(),
        now: pull.head.clone(),
    }
}

/// What became of a pull request while it was deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    /// It is open and has the same head: go on.
    Same,
    /// It was closed or merged: what was made has to be destroyed again.
    Closed,
    /// It has another head: the run for that does the work.
    Moved(CommitSha),
}

/// Compares a pull request, read again, with the `head` that is being deployed: right before a slot is claimed, after
/// that, and before the result is announced.
#[must_use]
pub fn meanwhile(pull: &PullRequest, head: &CommitSha) -> Meanwhile {
    match pull.state {
        PullState::Closed | PullState::Merged { .. } => Meanwhile::Closed,
        PullState::Open if pull.head == *head => Meanwhile::Same,
        PullState::Open => Meanwhile::Moved(pull.head.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha(digit: char) -> CommitSha {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn slug(text: &str) -> RepositorySlug {
        text.parse().unwrap()
    }

    fn number(number: u64) -> PrNumber {
        PrNumber::new(number).unwrap()
    }

    fn pull(n: u64) -> PullRequest {
        PullRequest {
            number: number(n),
            state: PullState::Open,
            title: "A title".into(),
            author: "alice".into(),
            draft: false,
            labels: Vec::new(),
            head: sha('a'),
            head_ref: "feature".into(),
            head_repository: Some(slug("acme/shop")),
            base_ref: "main".into(),
            test_merge: Some(sha('b')),
        }
    }

    fn run() -> CiRun {
        CiRun {
            event: "pull_request".into(),
            conclusion: Some("success".into()),
            head: sha('a'),
            branch: Some("feature".into()),
            repository: Some(slug("acme/shop")),
        }
    }

    fn by_run(run: CiRun, pulls: &[PullRequest]) -> String {
        choose_pull(&Request::Run(run), &slug("acme/shop"), pulls).to_string()
    }

    fn by_hand(pulls: &[PullRequest]) -> String {
        let request = Request::Pull {
            number: number(7),
            head: sha('a'),
        };
        choose_pull(&request, &slug("acme/shop"), pulls).to_string()
    }

    #[test]
    fn a_run_is_for_the_open_pull_request_of_its_branch_at_its_head() {
        let deploys = "deploy pull request #7 at aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        assert_eq!(by_run(run(), &[pull(7)]), deploys);
        // Forks may have a branch of the same name, and other branches the same head.
        let fork = PullRequest {
            head_repository: Some(slug("mallory/shop")),
            ..pull(8)
        };
        let other_branch = PullRequest {
            head_ref: "other".into(),
            ..pull(9)
        };
        assert_eq!(by_run(run(), &[fork, other_branch, pull(7)]), deploys);
    }

    #[test]
    fn a_run_without_images_for_an_open_pull_request_is_nothing_to_do() {
        let push = CiRun {
            event: "push".into(),
            ..run()
        };
        let failed = CiRun {
            conclusion: Some("failure".into()),
            ..run()
        };
        let running = CiRun {
            conclusion: None,
            ..run()
        };
        let no_branch = CiRun {
            branch: None,
            ..run()
        };
        let closed = PullRequest {
            state: PullState::Closed,
            ..pull(7)
        };
        let told = [
            by_run(push, &[pull(7)]),
            by_run(failed, &[pull(7)]),
            by_run(running, &[pull(7)]),
            by_run(no_branch, &[pull(7)]),
            by_run(run(), &[closed]),
            by_run(run(), &[]),
        ];
        insta::assert_snapshot!(told.join("\n"), @r#"
        the CI run was started by "push", not by a pull request
        the CI run ended with "failure", so there are no images to deploy
        the CI run has not ended yet, so there are no images to deploy
        the CI run names no branch, so it belongs to no open pull request
        no open pull request has the branch "feature"; it was closed meanwhile
        no open pull request has the branch "feature"; it was closed meanwhile
        "#);
    }

    #[test]
    fn a_head_that_moved_is_superseded() {
        let moved = PullRequest {
            head: sha('c'),
            ..pull(7)
        };
        let expected =
            "pull request #7 has moved from aaaaaaa to ccccccc; the run for that head deploys it";
        assert_eq!(by_run(run(), std::slice::from_ref(&moved)), expected);
        assert_eq!(by_hand(&[moved]), expected);
    }

    #[test]
    fn refusals_name_what_is_wrong_and_how_to_go_on() {
        let fork_run = CiRun {
            repository: Some(slug("mallory/shop")),
            ..run()
        };
        let gone_fork = CiRun {
            repository: None,
            ..run()
        };
        let fork = PullRequest {
            head_repository: Some(slug("mallory/shop")),
            ..pull(7)
        };
        let closed = PullRequest {
            state: PullState::Closed,
            ..pull(7)
        };
        let merged = PullRequest {
            state: PullState::Merged { commit: sha('d') },
            ..pull(7)
        };
        let told = [
            by_run(fork_run, &[]),
            by_run(gone_fork, &[]),
            by_run(run(), &[pull(9), pull(7)]),
            by_hand(&[fork]),
            by_hand(&[closed]),
            by_hand(&[merged]),
            by_hand(&[pull(8)]),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        the CI run is from the fork mallory/shop: who wrote it wrote its build too, and previews of forks are not supported yet; push the branch to this repository to have a preview of it
        the CI run is from a fork that was deleted: who wrote it wrote its build too, and previews of forks are not supported yet; push the branch to this repository to have a preview of it
        the head aaaaaaa belongs to the pull requests #7, #9; close all but one, or deploy one of them by hand with its number and this commit
        pull request #7 comes from the fork mallory/shop: who wrote it wrote its build too, and previews of forks are not supported yet; push the branch to this repository to have a preview of it
        pull request #7 is closed; reopen it to have a preview of it
        pull request #7 is merged as ddddddd, and its preview ended with that; open another for what comes next
        acme/shop has no pull request #7; look at its number, and whether the token may read pull requests
        ");
    }

    #[test]
    fn by_hand_one_of_several_pull_requests_of_a_branch_may_be_named() {
        assert!(by_hand(&[pull(9), pull(7)]).starts_with("deploy pull request #7 "));
    }

    #[test]
    fn what_happens_meanwhile_is_seen() {
        let at = |state: PullState, head: char| {
            let pull = PullRequest {
                state,
                head: sha(head),
                ..pull(7)
            };
            meanwhile(&pull, &sha('a'))
        };
        assert_eq!(at(PullState::Open, 'a'), Meanwhile::Same);
        assert_eq!(at(PullState::Open, 'c'), Meanwhile::Moved(sha('c')));
        // Closed goes before moved: nothing will come and take the preview over.
        assert_eq!(at(PullState::Closed, 'c'), Meanwhile::Closed);
        let merged = PullState::Merged { commit: sha('d') };
        assert_eq!(at(merged, 'a'), Meanwhile::Closed);
    }
}
