//! What a deploy run was asked for, and whether that may become a preview.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::commits::{BuiltFrom, NotBuiltFrom, WrongRevision, base_of};
use crate::names::{
    CommitSha, ComponentName, ImageName, PinnedImage, PrNumber, RepositorySlug, TreeSha,
};
use crate::pulls::{PullRequest, PullState};

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

/// What is known of the image that a component would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentEvidence {
    /// The component.
    pub component: ComponentName,
    /// Where its images are.
    pub name: ImageName,
    /// The tags that were looked for, in that order.
    pub tags: Vec<String>,
    /// What the first of them that exists names; none where none exists.
    pub image: Option<PinnedImage>,
    /// Pieces of it that the registry does not have.
    pub missing: Vec<String>,
    /// What its revision label says.
    pub revision: Revision,
}

/// What an image says of the commit it was built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revision {
    /// Nothing.
    None,
    /// Its platforms say different things, or none that is a commit; this is the error.
    Unclear(String),
    /// Something that is no commit of this repository.
    Unknown(String),
    /// This commit B.
    Commit(BuiltFrom),
}

/// An image that may be deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedImage {
    /// The image.
    pub image: PinnedImage,
    /// The commit B it was built from.
    pub built_from: CommitSha,
}

/// Images that may be deployed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The images.
    pub images: BTreeMap<ComponentName, AcceptedImage>,
    /// The one tree that all of them were built from.
    pub tree: TreeSha,
    /// The commit of the base branch that B merges H into; none where B is H.
    pub base: Option<CommitSha>,
}

impl Accepted {
    /// The images alone.
    #[must_use]
    pub fn pinned(&self) -> BTreeMap<ComponentName, PinnedImage> {
        self.images
            .iter()
            .map(|(component, accepted)| (component.clone(), accepted.image.clone()))
            .collect()
    }
}

/// Why images are not deployed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageRefusal {
    /// The configuration names no component.
    #[error("there is nothing to deploy: name at least one component in preview.toml")]
    NoComponents,
    /// CI pushed no image for this head.
    #[error(
        "component {component} has no image: {name} has none of the tags {}; \
         let CI push the image of a pull request under the tag of its head commit",
        tags.join(", ")
    )]
    NoImage {
        /// The component.
        component: ComponentName,
        /// Where it was looked for.
        name: ImageName,
        /// Under which tags.
        tags: Vec<String>,
    },
    /// The registry has only some of it.
    #[error(
        "the image of component {component}, {image}, is incomplete: the registry lacks {}; run CI again to push it",
        missing.join(", ")
    )]
    Incomplete {
        /// The component.
        component: ComponentName,
        /// The image.
        image: PinnedImage,
        /// What is missing.
        missing: Vec<String>,
    },
    /// It does not say one commit.
    #[error("the image of component {component}, {image}: {why}")]
    UnclearRevision {
        /// The component.
        component: ComponentName,
        /// The image.
        image: PinnedImage,
        /// What it says.
        why: String,
    },
    /// It was built from something else.
    #[error("{0}")]
    WrongRevision(Box<WrongRevision>),
    /// The components were built from different files.
    #[error(
        "the images were built from different trees ({}), so no merge could ever equal what the preview shows; \
         run CI again to build all components from one commit",
        trees.iter().map(|(c, t)| format!("{c} from {t}")).collect::<Vec<_>>().join(", ")
    )]
    DifferentTrees {
        /// What each was built from.
        trees: BTreeMap<ComponentName, TreeSha>,
    },
}

/// Checks that the images of all components are there, whole, and built from one tree that stands for `head`.
///
/// # Errors
/// When they are not: every reason that was found.
pub fn accept(
    evidence: &[ComponentEvidence],
    head: &CommitSha,
    base_ref: &str,
) -> Result<Accepted, Vec<ImageRefusal>> {
    if evidence.is_empty() {
        return Err(vec![ImageRefusal::NoComponents]);
    }
    let mut refusals = Vec::new();
    let mut images = BTreeMap::new();
    let mut trees = BTreeMap::new();
    let mut base = None;
    for one in evidence {
        match accept_one(one, head, base_ref) {
            Ok((accepted, tree, its_base)) => {
                images.insert(one.component.clone(), accepted);
                trees.insert(one.component.clone(), tree);
                base = base.or(its_base);
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    let distinct: BTreeSet<&TreeSha> = trees.values().collect();
    match distinct.first() {
        Some(tree) if refusals.is_empty() && distinct.len() == 1 => Ok(Accepted {
            images,
            tree: (*tree).clone(),
            base,
        }),
        _ => {
            if distinct.len() > 1 {
                refusals.push(ImageRefusal::DifferentTrees { trees });
            }
            Err(refusals)
        }
    }
}

fn accept_one(
    evidence: &ComponentEvidence,
    head: &CommitSha,
    base_ref: &str,
) -> Result<(AcceptedImage, TreeSha, Option<CommitSha>), ImageRefusal> {
    let component = evidence.component.clone();
    let Some(image) = evidence.image.clone() else {
        return Err(ImageRefusal::NoImage {
            component,
            name: evidence.name.clone(),
            tags: evidence.tags.clone(),
        });
    };
    if !evidence.missing.is_empty() {
        return Err(ImageRefusal::Incomplete {
            component,
            image,
            missing: evidence.missing.clone(),
        });
    }
    let built_from = match &evidence.revision {
        Revision::Unclear(why) => {
            return Err(ImageRefusal::UnclearRevision {
                component,
                image,
                why: why.clone(),
            });
        }
        Revision::None => Err(NotBuiltFrom::NoRevision),
        Revision::Unknown(revision) => Err(NotBuiltFrom::UnknownCommit {
            revision: revision.clone(),
        }),
        Revision::Commit(built_from) => base_of(built_from, head).map(|base| (built_from, base)),
    };
    let (built_from, base) = built_from.map_err(|why| {
        ImageRefusal::WrongRevision(Box::new(WrongRevision {
            component,
            image: image.clone(),
            head: head.clone(),
            base_ref: base_ref.to_owned(),
            why,
        }))
    })?;
    let commit = &built_from.commit;
    let accepted = AcceptedImage {
        image,
        built_from: commit.sha.clone(),
    };
    Ok((accepted, commit.tree.clone(), base))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pulls::Commit;

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

    fn evidence(component: &str, commit: char, parents: &[char], tree: char) -> ComponentEvidence {
        let name: ImageName = format!("ghcr.io/acme/{component}").parse().unwrap();
        let digest = format!("sha256:{}", "1".repeat(64)).parse().unwrap();
        ComponentEvidence {
            component: component.parse().unwrap(),
            tags: vec!["h".into(), "b".into()],
            image: Some(name.at(digest)),
            name,
            missing: Vec::new(),
            revision: Revision::Commit(BuiltFrom {
                commit: Commit {
                    sha: sha(commit),
                    tree: tree.to_string().repeat(40).parse().unwrap(),
                    parents: parents.iter().copied().map(sha).collect(),
                },
                parents_on_base: parents
                    .iter()
                    .copied()
                    .filter(|p| *p == 'e')
                    .map(sha)
                    .collect(),
            }),
        }
    }

    #[test]
    fn images_of_one_tree_are_accepted_with_their_commits_and_base() {
        // A re-run keeps its old B: two merges of one tree, and one component built from H itself.
        let accepted = accept(
            &[
                evidence("api", 'a', &['9'], '7'),
                evidence("web", 'b', &['e', 'a'], '7'),
            ],
            &sha('a'),
            "main",
        )
        .unwrap();
        assert_eq!(accepted.base, Some(sha('e')));
        assert_eq!(accepted.tree.as_str(), "7".repeat(40));
        let built_from: Vec<&CommitSha> = accepted.images.values().map(|i| &i.built_from).collect();
        assert_eq!(built_from, [&sha('a'), &sha('b')]);
        assert_eq!(accepted.pinned().len(), 2);
    }

    #[test]
    fn every_image_that_cannot_stand_for_the_head_is_named() {
        let good = || evidence("web", 'b', &['e', 'a'], '7');
        let refused = accept(
            &[
                ComponentEvidence {
                    image: None,
                    ..good()
                },
                ComponentEvidence {
                    missing: vec!["layer sha256:2".into()],
                    ..good()
                },
                ComponentEvidence {
                    revision: Revision::None,
                    ..good()
                },
                ComponentEvidence {
                    revision: Revision::Unknown("main".into()),
                    ..good()
                },
                ComponentEvidence {
                    revision: Revision::Unclear("its platforms disagree".into()),
                    ..good()
                },
                evidence("api", 'c', &['e'], '7'),
            ],
            &sha('a'),
            "main",
        )
        .unwrap_err();
        let told: Vec<String> = refused.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        component web has no image: ghcr.io/acme/web has none of the tags h, b; let CI push the image of a pull request under the tag of its head commit
        the image of component web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, is incomplete: the registry lacks layer sha256:2; run CI again to push it
        the image of component web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, does not say which commit it was built from; let CI set the label org.opencontainers.image.revision to the commit it checked out
        the image of component web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, says it was built from "main", which is no commit of this repository; let CI set the label org.opencontainers.image.revision to the commit it checked out
        the image of component web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111: its platforms disagree
        the image of component api, ghcr.io/acme/api@sha256:1111111111111111111111111111111111111111111111111111111111111111, was built from cccccccccccccccccccccccccccccccccccccccc (parents: eeeeeee), which is neither the head aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa nor a merge of it into main; run CI again for the head
        "#);
    }

    #[test]
    fn components_of_different_trees_and_none_at_all_are_refused() {
        let refused = accept(
            &[
                evidence("api", 'a', &['9'], '8'),
                evidence("web", 'b', &['e', 'a'], '7'),
            ],
            &sha('a'),
            "main",
        )
        .unwrap_err();
        insta::assert_snapshot!(refused[0], @"the images were built from different trees (api from 8888888888888888888888888888888888888888, web from 7777777777777777777777777777777777777777), so no merge could ever equal what the preview shows; run CI again to build all components from one commit");
        assert_eq!(refused.len(), 1);
        assert_eq!(
            accept(&[], &sha('a'), "main"),
            Err(vec![ImageRefusal::NoComponents])
        );
    }
}
