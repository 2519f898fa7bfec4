//! What a sweep does with all previews of a repository: what somebody, or a run that died, has left behind goes.
//!
//! It believes positive facts alone. That a list of open pull requests does not name one is a reason to look at that one
//! by itself, and no proof that it was closed; only [`crate::cleanup`] decides, on what was read live.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use crate::markdown::{code_cell, inline};
use crate::names::{NamespaceName, PrNumber, Subject};
use crate::objects::NamespaceFacts;

/// Previews that a sweep may destroy however few there are.
const AT_LEAST: usize = 5;

/// How often a list of open pull requests may leave one out that is open: as many may have been opened again since. A list
/// that leaves out more is not believed.
pub const CONTRADICTIONS: usize = 3;

/// What becomes of a preview as far as a list of the open pull requests tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It stays.
    Stays,
    /// Its deletion was asked for, and has to be finished.
    Unfinished,
    /// Nothing says that it is wanted: what it is of is to be looked at by itself.
    Suspect,
}

impl Fate {
    /// The fate of the preview in `namespace`, which has our labels.
    #[must_use]
    pub fn of(namespace: &NamespaceFacts, open: &BTreeSet<PrNumber>) -> Self {
        match namespace.subject() {
            // Whoever wrote that label is not this tool.
            None => Self::Stays,
            Some(_) if namespace.terminating => Self::Unfinished,
            Some(Subject::Pr(number)) if open.contains(&number) => Self::Stays,
            Some(Subject::Pr(_) | Subject::Commit(_)) => Self::Suspect,
        }
    }
}

/// How many of so many previews one sweep may destroy: what is configured, or else 5, or half of them where that is more.
#[must_use]
pub fn most_deletions(previews: usize, configured: Option<u32>) -> usize {
    match configured {
        Some(most) => usize::try_from(most).unwrap_or(usize::MAX),
        None => AT_LEAST.max(previews.div_ceil(2)),
    }
}

/// What a sweep did about a preview.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// It is gone.
    Destroyed,
    /// It would have been destroyed.
    WouldGo,
    /// It would have been destroyed, if this sweep had not done so with enough others.
    Left,
    /// It sleeps: nothing of it runs, and its slot is free.
    Asleep,
    /// Its pull request was told when it will be destroyed.
    Warned,
    /// Its pull request was told so, and by now somebody wants to keep it.
    Kept,
    /// It has a run's hand up that does not count any more: it waits in the queue again.
    Requeued,
    /// It has a newer copy of the certificate.
    Renewed,
    /// It has no objects of an older run any more.
    Pruned,
    /// It was gone before; what told of it on GitHub is put away now.
    Retired,
    /// That would have been put away.
    WouldRetire,
    /// Another run has it by now.
    Superseded,
    /// A rule says that it stays.
    Refused,
    /// It could not be looked at, or is not gone.
    Failed,
}

impl Measure {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 14] = [
        Self::Destroyed,
        Self::WouldGo,
        Self::Left,
        Self::Asleep,
        Self::Warned,
        Self::Kept,
        Self::Requeued,
        Self::Renewed,
        Self::Pruned,
        Self::Retired,
        Self::WouldRetire,
        Self::Superseded,
        Self::Refused,
        Self::Failed,
    ];

    /// One or two words, for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Destroyed => "destroyed",
            Self::WouldGo => "would go",
            Self::Left => "left",
            Self::Asleep => "put to sleep",
            Self::Warned => "warned",
            Self::Kept => "kept",
            Self::Requeued => "requeued",
            Self::Renewed => "renewed",
            Self::Pruned => "pruned",
            Self::Retired => "retired",
            Self::WouldRetire => "would retire",
            Self::Superseded => "superseded",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A preview that a sweep did something about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Swept {
    /// Its namespace.
    pub namespace: NamespaceName,
    /// What it is, or was, a preview of.
    pub subject: Option<Subject>,
    /// What was done.
    pub measure: Measure,
    /// Why, or why not.
    pub reason: String,
}

impl Swept {
    /// Of this preview.
    #[must_use]
    pub fn new(preview: &NamespaceFacts, measure: Measure, reason: impl fmt::Display) -> Self {
        Self {
            namespace: preview.name.clone(),
            subject: preview.subject(),
            measure,
            reason: reason.to_string(),
        }
    }
}

/// How many were treated so.
#[must_use]
pub fn count(swept: &[Swept], measure: Measure) -> usize {
    swept.iter().filter(|one| one.measure == measure).count()
}

/// What was done, in one sentence.
#[must_use]
pub fn sentence(swept: &[Swept], previews: usize) -> String {
    let all = match previews {
        1 => "1 preview".to_owned(),
        previews => format!("{previews} previews"),
    };
    let told = Measure::ALL.into_iter().filter_map(|measure| {
        let count = count(swept, measure);
        (count > 0).then(|| format!("{count} {measure}"))
    });
    let told: Vec<String> = told.collect();
    match told.is_empty() {
        true => format!("{all}, nothing to do"),
        false => format!("{all}: {}", told.join(", ")),
    }
}

/// What was done as lines of a log, in columns.
#[must_use]
pub fn lines(swept: &[Swept]) -> Vec<String> {
    let lines = swept.iter().map(|one| {
        let Swept {
            namespace,
            measure,
            reason,
            ..
        } = one;
        format!("{measure:<12}  {namespace}: {reason}")
    });
    lines.collect()
}

/// What was done as a table in Markdown.
#[must_use]
pub fn markdown(swept: &[Swept]) -> String {
    let mut out = "| | Preview | Why |\n|---|---|---|\n".to_owned();
    for one in swept {
        let namespace = code_cell(one.namespace.as_str());
        let _ = writeln!(
            out,
            "| {} | {namespace} | {} |",
            one.measure,
            inline(&one.reason)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::RepositoryId;
    use crate::ownership::Owner;

    fn preview(subject: &str, terminating: bool) -> NamespaceFacts {
        let owner = Owner {
            repository: RepositoryId(42),
            subject: subject.parse().unwrap(),
        };
        NamespaceFacts {
            terminating,
            labels: owner.labels(),
            name: "preview-x".parse().unwrap(),
            uid: "11111111-0000-0000-0000-000000000000".parse().unwrap(),
            resource_version: "1".to_owned(),
            created: jiff::Timestamp::UNIX_EPOCH,
            annotations: std::collections::BTreeMap::new(),
            finalizers: Vec::new(),
            blockers: Vec::new(),
        }
    }

    #[test]
    fn who_is_not_listed_as_open_is_a_suspect_and_no_more() {
        let open = BTreeSet::from([PrNumber::new(7).unwrap()]);
        let commit = format!("commit-{}", "d".repeat(40));
        for (subject, terminating, fate) in [
            ("pr-7", false, Fate::Stays),
            ("pr-7", true, Fate::Unfinished),
            ("pr-8", false, Fate::Suspect),
            ("pr-8", true, Fate::Unfinished),
            (commit.as_str(), false, Fate::Suspect),
            (commit.as_str(), true, Fate::Unfinished),
        ] {
            let preview = preview(subject, terminating);
            assert_eq!(Fate::of(&preview, &open), fate, "{subject} {terminating}");
        }
        let unreadable = NamespaceFacts {
            labels: std::collections::BTreeMap::new(),
            ..preview("pr-8", false)
        };
        assert_eq!(Fate::of(&unreadable, &open), Fate::Stays);
    }

    #[test]
    fn a_sweep_may_destroy_five_or_half_of_all_or_what_is_configured() {
        let told = [0, 1, 9, 10, 11, 1000].map(|previews| most_deletions(previews, None));
        assert_eq!(told, [5, 5, 5, 5, 6, 500]);
        assert_eq!(most_deletions(1000, Some(25)), 25);
        assert_eq!(most_deletions(3, Some(0)), 0);
    }

    #[test]
    fn people_read_what_was_done() {
        let swept = [
            Swept::new(
                &preview("pr-8", false),
                Measure::Destroyed,
                "the preview of pull request #8 is gone",
            ),
            Swept::new(
                &preview("pr-9", false),
                Measure::Failed,
                "GitHub answered 502 | twice",
            ),
        ];
        let told = format!(
            "{}\n{}\n{}\n{}",
            sentence(&swept, 12),
            sentence(&[], 1),
            lines(&swept).join("\n"),
            markdown(&swept)
        );
        insta::assert_snapshot!(told, @r"
        12 previews: 1 destroyed, 1 failed
        1 preview, nothing to do
        destroyed     preview-x: the preview of pull request #8 is gone
        failed        preview-x: GitHub answered 502 | twice
        | | Preview | Why |
        |---|---|---|
        | destroyed | `preview-x` | the preview of pull request #&#8203;8 is gone |
        | failed | `preview-x` | GitHub answered 502 \| twice |
        ");
    }
}
