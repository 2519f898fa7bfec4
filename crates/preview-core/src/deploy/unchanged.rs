//! A component that a pull request leaves as it was: its image need not be built again, for one of the same files was
//! tested before it got into the base branch.
//!
//! Compared is what git has of the two trees, not GitHub's list of what the pull request touches: that list is of H,
//! and a merge may carry a change of H to where the base has moved the file meanwhile.
//!
//! Only records of commits of the base branch count. A record of something that was never merged would be as well
//! signed, and its image built by a workflow that nobody looked at.

use crate::commits::BuiltFrom;
use crate::config::Component;
use crate::names::{CommitSha, ImageName, PinnedImage, PrNumber, Subject};
use crate::pulls::Commit;
use crate::record::{Record, RecordRefused, Recorded};

use super::images::{ComponentEvidence, Revision};
use super::previewed::Previewed;

/// B, what a preview shows, with the commit of the base branch that it merges H into; none where B is H.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The commit B.
    pub commit: Commit,
    /// The base.
    pub base: Option<CommitSha>,
}

impl Shown {
    /// What the images that CI built say they were built from: the first that may show what is previewed.
    #[must_use]
    pub fn by(evidence: &[ComponentEvidence], previewed: &Previewed) -> Option<Self> {
        evidence.iter().find_map(|one| match &one.revision {
            Revision::Commit(built_from) if one.image.is_some() => Self::of(built_from, previewed),
            _ => None,
        })
    }

    /// The commit itself, where it may show what is previewed: with no image built at all, that is GitHub's test merge.
    #[must_use]
    pub fn of(commit: &BuiltFrom, previewed: &Previewed) -> Option<Self> {
        let base = previewed.base_of(commit).ok()?;
        let commit = commit.commit.clone();
        Some(Self { commit, base })
    }
}

/// A commit of the base branch, with what was kept of its test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The commit.
    pub commit: Commit,
    /// The pull requests that were merged to it.
    pub merged: Vec<PrNumber>,
    /// The records found for it and for the heads of those pull requests, believed or not.
    pub records: Vec<Result<Record, RecordRefused>>,
}

impl Past {
    /// The newest record of exactly this commit's files.
    #[must_use]
    pub fn tested(&self) -> Option<&Record> {
        let believed = self.records.iter().flatten();
        believed
            .filter(|record| record.is_of(&self.commit.sha, &self.merged))
            .filter(|record| record.tree == self.commit.tree)
            .max_by_key(|record| (record.tested_at, record.run))
    }

    fn refused(&self) -> Option<&RecordRefused> {
        self.records.iter().find_map(|record| record.as_ref().err())
    }
}

/// An image that was tested before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unchanged {
    /// What its record says: the image, its own B, and who built it.
    pub recorded: Recorded,
    /// The commit of the base branch that it was tested as.
    pub since: CommitSha,
    /// What was previewed then.
    pub subject: Subject,
}

/// Why a component has to be built although its configuration says from what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MustBeBuilt {
    /// Nothing was built, and there is no test merge to compare.
    #[error("GitHub has no test merge of the head that could be compared with the base")]
    NothingToCompare,
    /// No commit of the base branch that was looked at has a record.
    #[error(
        "no preview tested its base {}{}",
        base.short(),
        before(*looked_at)
    )]
    NeverTested {
        /// The base.
        base: CommitSha,
        /// How many commits were looked at.
        looked_at: usize,
    },
    /// There is a record, and it cannot be believed.
    #[error("the record of {} cannot be taken ({why})", commit.short())]
    NotBelieved {
        /// The commit of the base branch.
        commit: CommitSha,
        /// Why.
        why: RecordRefused,
    },
    /// The repository is too large to be compared.
    #[error("GitHub lists only a part of the repository's files, so nobody can say that it is as it was in {}", since.short())]
    TooManyFiles {
        /// The commit of the base branch.
        since: CommitSha,
    },
    /// It did change.
    #[error("{path:?} is not as it was in {}", since.short())]
    Changed {
        /// The first path that differs.
        path: String,
        /// The commit of the base branch.
        since: CommitSha,
    },
    /// What was tested did not have it.
    #[error("the preview of {subject}, which tested {}, did not have it", since.short())]
    NotInRecord {
        /// What was previewed.
        subject: Subject,
        /// The commit of the base branch.
        since: CommitSha,
    },
    /// It was another image.
    #[error("its image was {found} in {}", since.short())]
    OtherName {
        /// Where the image was.
        found: ImageName,
        /// The commit of the base branch.
        since: CommitSha,
    },
    /// The registry lost it.
    #[error("the registry lacks {} of its image of {}, {image}", missing.join(", "), since.short())]
    Incomplete {
        /// The image.
        image: PinnedImage,
        /// What is missing.
        missing: Vec<String>,
        /// The commit of the base branch.
        since: CommitSha,
    },
    /// The image and its record disagree.
    #[error(
        "its image of {}, {image}, says it was built from {found}, and the record says {recorded}",
        since.short()
    )]
    RevisionDisagrees {
        /// The image.
        image: PinnedImage,
        /// What its label says.
        found: String,
        /// What the record says.
        recorded: CommitSha,
        /// The commit of the base branch.
        since: CommitSha,
    },
}

/// The image that was tested of `component` nearest to its base, if what it is built from is as it was.
///
/// `past` is the base and the commits before it, newest first, as far as they were looked at. `differs` are the paths
/// at which what the preview shows differs from the newest of them that has a record; none where they cannot be
/// compared.
///
/// # Errors
/// When it has to be built, with the reason.
pub fn unchanged(
    component: &Component,
    past: &[Past],
    differs: Option<&[String]>,
) -> Result<Unchanged, MustBeBuilt> {
    let Some((commit, record)) = nearest(past) else {
        return Err(untested(past));
    };
    let since = commit.sha.clone();
    let Some(differs) = differs else {
        return Err(MustBeBuilt::TooManyFiles { since });
    };
    if let Some(path) = differs.iter().find(|path| component.unchanged.mean(path)) {
        let path = path.clone();
        return Err(MustBeBuilt::Changed { path, since });
    }
    let subject = record.subject.clone();
    let Some(recorded) = record.components.get(&component.name) else {
        return Err(MustBeBuilt::NotInRecord { subject, since });
    };
    if recorded.image.name != component.image {
        let found = recorded.image.name.clone();
        return Err(MustBeBuilt::OtherName { found, since });
    }
    Ok(Unchanged {
        recorded: recorded.clone(),
        since,
        subject,
    })
}

/// The newest of these commits that was tested, with its record.
#[must_use]
pub fn nearest(past: &[Past]) -> Option<(&Commit, &Record)> {
    past.iter()
        .find_map(|past| Some((&past.commit, past.tested()?)))
}

fn untested(past: &[Past]) -> MustBeBuilt {
    let refused = past
        .iter()
        .find_map(|past| Some((&past.commit, past.refused()?)));
    match (refused, past.first()) {
        (Some((commit, why)), _) => MustBeBuilt::NotBelieved {
            commit: commit.sha.clone(),
            why: why.clone(),
        },
        (None, Some(base)) => MustBeBuilt::NeverTested {
            base: base.commit.sha.clone(),
            looked_at: past.len(),
        },
        (None, None) => MustBeBuilt::NothingToCompare,
    }
}

/// The commits that were looked at besides the base.
fn before(looked_at: usize) -> String {
    match looked_at.saturating_sub(1) {
        0 => String::new(),
        1 => " or the commit before it".to_owned(),
        more => format!(" or the {more} commits before it"),
    }
}

impl Unchanged {
    /// Itself, if the registry still has the whole image and the image says what its record says.
    ///
    /// # Errors
    /// When it has to be built after all.
    pub fn checked(
        self,
        missing: Vec<String>,
        revision: Result<Option<CommitSha>, String>,
    ) -> Result<Self, MustBeBuilt> {
        let (image, since) = (self.recorded.image.clone(), self.since.clone());
        if !missing.is_empty() {
            return Err(MustBeBuilt::Incomplete {
                image,
                missing,
                since,
            });
        }
        let recorded = self.recorded.built_from.clone();
        let found = match revision {
            Ok(Some(found)) if found == recorded => return Ok(self),
            Ok(Some(found)) => found.to_string(),
            Ok(None) => "nothing at all".to_owned(),
            Err(said) => format!("{said:?}"),
        };
        Err(MustBeBuilt::RevisionDisagrees {
            image,
            found,
            recorded,
            since,
        })
    }
}

#[cfg(test)]
mod tests;
