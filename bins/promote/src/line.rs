//! The commits that may be promoted, newest first.

use preview_actions::{Failed, Outside as _};
use preview_core::names::CommitSha;
use preview_core::pulls::PullState;

use crate::arguments::Asked;
use crate::evidence::Merged;
use crate::world::World;

/// Commits of one push that are looked at: a merge queue pushes no more at a time.
/// <https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/configuring-pull-request-merges/managing-a-merge-queue>
const MOST: usize = 100;

/// States of the default branch, each with what is known of it, read when it is asked for.
pub(crate) struct Line {
    newest: CommitSha,
    /// What ends it; only the newest counts where it is none.
    before: Option<CommitSha>,
    known: Vec<Merged>,
}

impl Line {
    /// The newest of them.
    pub(crate) fn newest(&self) -> &CommitSha {
        &self.newest
    }

    /// What is known of the commit at `place`, which was asked for before.
    pub(crate) fn known(&self, place: usize) -> &Merged {
        &self.known[place]
    }

    /// The commit at `place`, 0 being the newest; none where the line ends before.
    pub(crate) async fn at(
        &mut self,
        world: &World<'_>,
        place: usize,
    ) -> Result<Option<&Merged>, Failed> {
        while self.known.len() <= place {
            let Some(next) = self.next() else {
                return Ok(None);
            };
            let merged = world.merged(&next).await?;
            self.known.push(merged);
        }
        Ok(self.known.get(place))
    }

    /// A push leaves one state of the branch for each commit on the line of first parents.
    fn next(&self) -> Option<CommitSha> {
        let Some(last) = self.known.last() else {
            return Some(self.newest.clone());
        };
        let before = self.before.as_ref()?;
        let parent = last.commit.parents.first()?;
        (parent != before && self.known.len() < MOST).then(|| parent.clone())
    }
}

impl World<'_> {
    /// The commits that are asked for.
    pub(crate) async fn line(&self, asked: &Asked) -> Result<Line, Failed> {
        let (newest, before) = match asked {
            Asked::Commit(commit) => (commit.clone(), None),
            Asked::Pushed { newest, before } => (newest.clone(), before.clone()),
            Asked::Pull(number) => {
                let pull = self.github.pull(*number).await.outside()?;
                match pull.map(|pull| pull.state) {
                    Some(PullState::Merged { commit }) => (commit, None),
                    Some(PullState::Open | PullState::Closed) => {
                        return Err(Failed::refused(format!(
                            "pull request #{number} is not merged; merge it, or give --commit"
                        )));
                    }
                    None => {
                        return Err(Failed::refused(format!(
                            "{} has no pull request #{number}",
                            self.repository.slug
                        )));
                    }
                }
            }
            Asked::Head => {
                let branch = &self.repository.default_branch;
                let head = self.github.branch_head(branch).await.outside()?;
                let head = head.ok_or_else(|| {
                    Failed::refused(format!("{} has no branch {branch}", self.repository.slug))
                })?;
                (head, None)
            }
        };
        Ok(Line {
            newest,
            before,
            known: Vec::new(),
        })
    }
}
