//! What a job's token may do.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#permissions>

use std::collections::BTreeMap;

use sandbox::github::Level;
use serde::Deserialize;

/// The permissions that there are.
const KNOWN: [&str; 14] = [
    "actions",
    "artifact-metadata",
    "attestations",
    "checks",
    "contents",
    "deployments",
    "discussions",
    "id-token",
    "issues",
    "packages",
    "pages",
    "pull-requests",
    "security-events",
    "statuses",
];

/// `permissions` of a workflow or of a job: whatever is not named is not there.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(try_from = "BTreeMap<String, Word>")]
pub(crate) struct Permissions(BTreeMap<String, Level>);

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    None,
    Read,
    Write,
}

impl TryFrom<BTreeMap<String, Word>> for Permissions {
    type Error = String;

    fn try_from(words: BTreeMap<String, Word>) -> Result<Self, String> {
        let unknown = words.keys().find(|name| !KNOWN.contains(&name.as_str()));
        if let Some(name) = unknown {
            return Err(format!("there is no permission {name:?}"));
        }
        let levels = words.into_iter().filter_map(|(name, word)| match word {
            Word::None => None,
            Word::Read => Some((name, Level::Read)),
            Word::Write => Some((name, Level::Write)),
        });
        Ok(Self(levels.collect()))
    }
}

impl Permissions {
    /// Name and level of each.
    pub(crate) fn all(&self) -> Vec<(&str, Level)> {
        let all = self.0.iter();
        all.map(|(name, level)| (name.as_str(), *level)).collect()
    }

    /// How far one of them goes, if it is there.
    pub(crate) fn level(&self, name: &str) -> Option<Level> {
        self.0.get(name).copied()
    }

    /// What a run of a fork's pull request gets of them: nothing to write with.
    /// <https://docs.github.com/en/actions/concepts/security/github_token>
    pub(crate) fn of_fork(self) -> Self {
        let levels = self.0.into_keys().map(|name| (name, Level::Read));
        Self(levels.collect())
    }

    /// One step less of one of them: `write` becomes `read`, and `read` nothing.
    pub(crate) fn less(mut self, name: &str) -> Self {
        match self.level(name) {
            Some(Level::Write) => self.0.insert(name.to_owned(), Level::Read),
            _ => self.0.remove(name),
        };
        self
    }
}
