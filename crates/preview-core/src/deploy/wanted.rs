//! Which pull requests are to have a preview, by `[pull_requests]` of the configuration.
//!
//! The rules are asked of the pull request as it was read live, so none costs a request but those about files, which are
//! asked last. They decide whether something new is deployed; a preview that is there ends with its pull request.

use std::fmt;

use super::Origin;
use crate::config::{Forks, PullRules};
use crate::pulls::{ChangedFiles, PullRequest};

/// The rule by which nothing is deployed of a pull request, and the value that decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwanted {
    /// It carries a label that excludes.
    #[error("it has the label {label:?} (pull_requests.exclude_labels)")]
    Excluded {
        /// The label.
        label: String,
    },
    /// It carries a label that pauses: what is there stays as it is.
    #[error("it has the label {label:?} (pull_requests.pause_labels)")]
    Paused {
        /// The label.
        label: String,
    },
    /// It lacks the label that asks for a preview.
    #[error("it does not have the label {label:?} (pull_requests.label)")]
    NotAskedFor {
        /// The label.
        label: String,
    },
    /// It is a draft.
    #[error("it is a draft (pull_requests.drafts = false)")]
    Draft,
    /// It goes into another branch.
    #[error(
        "it goes into {base_ref:?}, which matches none of {patterns} (pull_requests.base_branches)"
    )]
    OtherBase {
        /// The branch.
        base_ref: String,
        /// The patterns, with commas between them.
        patterns: String,
    },
    /// A bot opened it.
    #[error("{author:?}, who opened it, is a bot (pull_requests.bots = false)")]
    Bot {
        /// The bot's login.
        author: String,
    },
    /// Somebody opened it whose pull requests get none.
    #[error("{author:?} opened it (pull_requests.exclude_authors)")]
    Author {
        /// The author's login.
        author: String,
    },
    /// It comes from a fork.
    #[error("it comes from {0} (pull_requests.forks = \"none\")")]
    Fork(Origin),
    /// It changes no file that counts.
    #[error("{0}")]
    Files(Uncounted),
}

/// Files of which none counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncounted {
    /// How many there are.
    files: usize,
    /// The first of them, and why it does not count.
    first: Option<(String, Why)>,
}

/// Why a file does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    /// No pattern of `paths` means it; these are all.
    NotMeant(String),
    /// This pattern of `exclude_paths` does.
    Excluded(String),
}

impl fmt::Display for Uncounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((path, why)) = &self.first else {
            return f.write_str("it changes no files (pull_requests.paths and exclude_paths)");
        };
        match self.files {
            1 => write!(f, "the one file that it changes, {path:?}, ")?,
            files => write!(
                f,
                "none of the {files} files that it changes counts: the first, {path:?}, "
            )?,
        }
        match why {
            Why::NotMeant(patterns) => {
                write!(f, "matches none of {patterns} (pull_requests.paths)")
            }
            Why::Excluded(pattern) => {
                write!(f, "matches {pattern} (pull_requests.exclude_paths)")
            }
        }
    }
}

/// Asks every rule that needs nothing but the pull request itself.
///
/// # Errors
/// The first rule that says no. One that pauses goes before those that depend on what a pull request happens to be, so
/// that people read of what somebody decided.
pub fn wanted(rules: &PullRules, pull: &PullRequest) -> Result<(), Unwanted> {
    if let Some(label) = one_of(&pull.labels, &rules.exclude_labels) {
        return Err(Unwanted::Excluded { label });
    }
    if let Some(label) = one_of(&pull.labels, &rules.pause_labels) {
        return Err(Unwanted::Paused { label });
    }
    if let Some(label) = &rules.label
        && one_of(&pull.labels, std::slice::from_ref(label)).is_none()
    {
        let label = label.clone();
        return Err(Unwanted::NotAskedFor { label });
    }
    if pull.draft && !rules.drafts {
        return Err(Unwanted::Draft);
    }
    let bases = &rules.base_branches;
    if !bases.is_empty() && !bases.iter().any(|base| base.means(&pull.base_ref)) {
        let patterns: Vec<&str> = bases.iter().map(|base| base.as_str()).collect();
        return Err(Unwanted::OtherBase {
            base_ref: pull.base_ref.clone(),
            patterns: patterns.join(", "),
        });
    }
    let origin = Origin::from(pull);
    if matches!(origin, Origin::Fork(_)) && rules.forks == Forks::None {
        return Err(Unwanted::Fork(origin));
    }
    let author = pull.author.clone();
    if pull.is_by_bot && !rules.bots {
        return Err(Unwanted::Bot { author });
    }
    let excluded = |login: &String| login.eq_ignore_ascii_case(&author);
    if rules.exclude_authors.iter().any(excluded) {
        return Err(Unwanted::Author { author });
    }
    Ok(())
}

/// The first of `names` that is among `labels`: GitHub has no two labels that differ in case alone.
fn one_of(labels: &[String], names: &[String]) -> Option<String> {
    let has = |name: &&String| {
        let name = name.to_lowercase();
        labels.iter().any(|label| label.to_lowercase() == name)
    };
    names.iter().find(has).cloned()
}

/// Whether [`touches`] has to be asked, which needs the list of the pull request's files.
#[must_use]
pub fn depends_on_files(rules: &PullRules) -> bool {
    !rules.paths.is_empty() || !rules.exclude_paths.is_empty()
}

/// Asks the rules about files: whether one of those that the pull request changes counts. A renamed one counts where it
/// is or where it was. Where GitHub does not list all of them, one that is not listed may count.
///
/// # Errors
/// When none counts.
pub fn touches(rules: &PullRules, changed: &ChangedFiles) -> Result<(), Unwanted> {
    let mut first = None;
    for path in changed.files().iter().flat_map(|file| file.paths()) {
        match uncounted(rules, path) {
            None => return Ok(()),
            Some(why) => first = first.or(Some((path.to_owned(), why))),
        }
    }
    if !changed.are_all() {
        return Ok(());
    }
    let files = changed.files().len();
    Err(Unwanted::Files(Uncounted { files, first }))
}

/// Why the file at `path` does not count; none where it does.
fn uncounted(rules: &PullRules, path: &str) -> Option<Why> {
    if !rules.paths.is_empty() && !rules.paths.mean(path) {
        return Some(Why::NotMeant(rules.paths.to_string()));
    }
    let mut excluded = rules.exclude_paths.iter();
    let pattern = excluded.find(|pattern| pattern.means(path))?;
    Some(Why::Excluded(pattern.to_string()))
}

#[cfg(test)]
mod tests;
