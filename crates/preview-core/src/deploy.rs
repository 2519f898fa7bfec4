//! What a deploy run was asked for, and whether that may become a preview.

mod approval;
mod as_shown;
mod images;
mod imported;
mod previewed;
mod unchanged;
mod wanted;

use std::fmt;

use crate::names::{CommitSha, PrNumber, RepositorySlug};
use crate::pulls::{PullRequest, PullState};

pub use approval::{
    Approved, Facts as ApprovalFacts, GATE, Gate, How, Kept, Need, NotApproved, Review, Reviewed,
    Said, StartedBy, needs_approval,
};
pub use as_shown::{NotShown, ShownImages};
pub use images::{
    Accepted, AcceptedImage, ComponentEvidence, ImageRefusal, Revision, Tag, TestedAs, accept,
};
pub use imported::{Imported, Origin, Unproven};
pub use previewed::{CommitFacts, Of, Previewed, choose_commit};
pub use unchanged::{MustBeBuilt, Past, Shown, Unchanged, nearest, unchanged};
pub use wanted::{Uncounted, Unwanted, depends_on_files, touches, wanted};

/// The event of a group in the merge queue.
const GROUP: &str = "merge_group";

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
    /// By hand: this commit by itself.
    Commit(CommitSha),
    /// By a CI run that ended. What it says of pull requests is not believed; its head is looked up.
    Run(CiRun),
}

/// A CI run that ended, as the event tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiRun {
    /// The event that had started it; only `pull_request` and `merge_group` build what a preview shows.
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
    /// The commit that is to be deployed: H of a pull request, or the commit itself.
    #[must_use]
    pub fn head(&self) -> &CommitSha {
        match self {
            Self::Pull { head, .. } | Self::Commit(head) => head,
            Self::Run(run) => &run.head,
        }
    }

    /// What a CI run asks for: a group in the merge queue is no pull request, and is previewed as the commit that it is.
    #[must_use]
    pub fn of_run(run: CiRun) -> Self {
        match (run.event.as_str(), run.conclusion.as_deref()) {
            (GROUP, Some("success")) => Self::Commit(run.head),
            _ => Self::Run(run),
        }
    }

    /// Says what is clear before GitHub is asked for pull requests or commits.
    ///
    /// # Errors
    /// When nothing is deployed, whatever GitHub would answer.
    pub fn screen(&self) -> Result<(), Instead> {
        let Self::Run(run) = self else { return Ok(()) };
        if !["pull_request", GROUP].contains(&run.event.as_str()) {
            let event = run.event.clone();
            return Err(Nothing::OtherEvent { event }.into());
        }
        if run.conclusion.as_deref() != Some("success") {
            let conclusion = run.conclusion.clone();
            return Err(Nothing::CiDidNotSucceed { conclusion }.into());
        }
        if run.repository.is_none() {
            return Err(Refusal::DeletedFork.into());
        }
        if run.branch.is_none() {
            return Err(Nothing::NoBranch.into());
        }
        Ok(())
    }
}

/// Why nothing is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
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

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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

impl Instead {
    /// The configuration wants no preview of pull request `number`, or none of what is new.
    #[must_use]
    pub fn unwanted(number: PrNumber, why: Unwanted) -> Self {
        let why = Box::new(why);
        Self::Nothing(Nothing::Unwanted { number, why })
    }

    /// The pull request that it is about, where that is known.
    #[must_use]
    pub fn number(&self) -> Option<PrNumber> {
        match self {
            Self::Nothing(Nothing::Unwanted { number, .. }) | Self::Superseded { number, .. } => {
                Some(*number)
            }
            Self::Nothing(_) | Self::Refused(_) => None,
        }
    }
}

impl From<Nothing> for Instead {
    fn from(nothing: Nothing) -> Self {
        Self::Nothing(nothing)
    }
}

impl From<Refusal> for Instead {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
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
    /// The configuration wants no preview of it, or none of what is new.
    #[error(
        "pull request #{number} {}: {why}",
        match **why {
            Unwanted::Paused { .. } => "is paused, so a preview that it has stays as it is and nothing new is deployed",
            _ => "gets no preview",
        }
    )]
    Unwanted {
        /// The pull request.
        number: PrNumber,
        /// The rule.
        why: Box<Unwanted>,
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
    /// Its branch lay in another repository.
    #[error(
        "the CI run is of a fork that was deleted since, so which pull request it was for cannot be looked up; deploy that by \
         hand with its number and its head"
    )]
    DeletedFork,
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
    /// There is no such commit.
    #[error(
        "{repository} has no commit {commit}; give a commit of {branch}, or the head of a group in its merge queue"
    )]
    NoSuchCommit {
        /// The repository.
        repository: RepositorySlug,
        /// What was asked for.
        commit: CommitSha,
        /// The default branch.
        branch: String,
    },
    /// Nobody merged it.
    #[error(
        "commit {commit} is neither on {branch} nor the head of a group in its merge queue, so no merge has reviewed \
         it and it gets no preview by itself; open a pull request of it"
    )]
    NotMerged {
        /// What was asked for.
        commit: CommitSha,
        /// The default branch.
        branch: String,
    },
}

/// Chooses the pull request with this number at the head that was asked for, as it was read live.
///
/// # Errors
/// When there is none, it may not have a preview, or it has another head.
pub fn choose_by_number(
    number: PrNumber,
    asked: &CommitSha,
    repository: &RepositorySlug,
    pull: Option<PullRequest>,
) -> Result<PullRequest, Instead> {
    let pull = pull.ok_or_else(|| Refusal::NoSuchPull {
        repository: repository.clone(),
        number,
    })?;
    may_have_preview(&pull)?;
    at_head(pull, asked)
}

/// Chooses the open pull request that a CI run was for, among those of its branch that were read live.
///
/// # Errors
/// When there is none, or more than one, or it has another head.
pub fn choose_by_run(run: &CiRun, pulls: Vec<PullRequest>) -> Result<PullRequest, Instead> {
    let branch = run.branch.clone().unwrap_or_default();
    let mut of_branch: Vec<PullRequest> = pulls
        .into_iter()
        .filter(|pull| pull.state == PullState::Open)
        .filter(|pull| pull.head_repository == run.repository && pull.head_ref == branch)
        .collect();
    if of_branch.len() > 1 {
        let mut numbers: Vec<PrNumber> = of_branch.iter().map(|pull| pull.number).collect();
        numbers.sort_unstable();
        let head = run.head.clone();
        return Err(Refusal::SeveralPulls { head, numbers }.into());
    }
    let pull = of_branch.pop().ok_or(Nothing::NoOpenPull { branch })?;
    at_head(pull, &run.head)
}

/// Whether `pull` may have a preview at all: it is open.
///
/// # Errors
/// When it is not.
pub fn may_have_preview(pull: &PullRequest) -> Result<(), Refusal> {
    let number = pull.number;
    match &pull.state {
        PullState::Open => Ok(()),
        PullState::Closed => Err(Refusal::Closed { number }),
        PullState::Merged { commit } => Err(Refusal::Merged {
            number,
            commit: commit.clone(),
        }),
    }
}

fn at_head(pull: PullRequest, asked: &CommitSha) -> Result<PullRequest, Instead> {
    if pull.head == *asked {
        return Ok(pull);
    }
    Err(Instead::Superseded {
        number: pull.number,
        asked: asked.clone(),
        now: pull.head,
    })
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
    use crate::pulls::tests::pull;

    fn sha(digit: char) -> CommitSha {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn slug(text: &str) -> RepositorySlug {
        text.parse().unwrap()
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

    fn told(chosen: Result<PullRequest, Instead>) -> String {
        match chosen {
            Ok(pull) => format!("deploy #{} at {}", pull.number, pull.head.short()),
            Err(instead) => instead.to_string(),
        }
    }

    fn by_run(run: CiRun, pulls: &[PullRequest]) -> String {
        let screened = Request::Run(run.clone()).screen();
        told(screened.and_then(|()| choose_by_run(&run, pulls.to_vec())))
    }

    fn by_hand(pull: Option<PullRequest>) -> String {
        let number = PrNumber::new(7).unwrap();
        told(choose_by_number(
            number,
            &sha('a'),
            &slug("acme/shop"),
            pull,
        ))
    }

    #[test]
    fn a_run_is_for_the_open_pull_request_of_its_branch_at_its_head() {
        let deploys = "deploy #7 at aaaaaaa";
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
        let all = [fork, other_branch, pull(7)];
        assert_eq!(by_run(run(), &all), deploys);
        let of_fork = CiRun {
            repository: Some(slug("mallory/shop")),
            ..run()
        };
        assert_eq!(by_run(of_fork, &all), "deploy #8 at aaaaaaa");
    }

    #[test]
    fn a_run_for_a_group_of_the_merge_queue_is_of_the_commit_that_it_is() {
        let group = CiRun {
            event: "merge_group".into(),
            ..run()
        };
        assert_eq!(Request::of_run(group.clone()), Request::Commit(sha('a')));
        let failed = CiRun {
            conclusion: Some("cancelled".into()),
            ..group
        };
        let Err(instead) = Request::of_run(failed).screen() else {
            panic!()
        };
        insta::assert_snapshot!(instead, @r#"the CI run ended with "cancelled", so there are no images to deploy"#);
        assert_eq!(Request::of_run(run()), Request::Run(run()));
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
        assert_eq!(by_hand(Some(moved)), expected);
    }

    #[test]
    fn refusals_name_what_is_wrong_and_how_to_go_on() {
        let gone_fork = CiRun {
            repository: None,
            ..run()
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
            by_run(gone_fork, &[]),
            by_run(run(), &[pull(9), pull(7)]),
            by_hand(Some(closed)),
            by_hand(Some(merged)),
            by_hand(None),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        the CI run is of a fork that was deleted since, so which pull request it was for cannot be looked up; deploy that by hand with its number and its head
        the head aaaaaaa belongs to the pull requests #7, #9; close all but one, or deploy one of them by hand with its number and this commit
        pull request #7 is closed; reopen it to have a preview of it
        pull request #7 is merged as ddddddd, and its preview ended with that; open another for what comes next
        acme/shop has no pull request #7; look at its number, and whether the token may read pull requests
        ");
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
