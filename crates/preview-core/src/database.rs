//! The preview's database: what was done to the one that is there, and whether it fits what is to run on it.
//!
//! What was done is kept beside the database, in the ConfigMap [`STATE`], and is about one database: the uid of its
//! volume's claim. A Job proves nothing by its absence: it may have been removed as soon as it ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::health::{Classified, FailureClass};
use crate::markdown::code;
use crate::names::{BlobSha, Uid};
use crate::paths::PathPatterns;

/// The ConfigMap that keeps what was done to the database.
pub const STATE: &str = "database-state";

/// The key in its data.
pub const STATE_KEY: &str = "state.json";

/// A migration file, as git names it and its content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Migration {
    /// Its path in the repository.
    pub path: String,
    /// Its content.
    pub blob: BlobSha,
}

/// The migration files among the `files` of a tree, in the order in which they are applied: that of their paths.
#[must_use]
pub fn migrations(files: &[(String, BlobSha)], patterns: &PathPatterns) -> Vec<Migration> {
    let mut found: Vec<Migration> = files
        .iter()
        .filter(|(path, _)| patterns.mean(path))
        .map(|(path, blob)| Migration {
            path: path.clone(),
            blob: blob.clone(),
        })
        .collect();
    found.sort();
    found
}

/// What was done to one database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Which: the uid of its volume's claim.
    pub volume_claim: Uid,
    /// The migration files that were applied, in their order.
    #[serde(default)]
    pub migrations: Vec<Migration>,
    /// The migration files that a run began to apply and did not tell to be applied: some of them may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begun: Vec<Migration>,
    /// The migrate Jobs that completed, by name.
    #[serde(default)]
    pub migrated: BTreeSet<String>,
    /// What has filled it, by the Jobs' names.
    #[serde(default)]
    pub seeded: BTreeSet<String>,
}

/// A ConfigMap [`STATE`] that says nothing that we would have written.
#[derive(Debug, thiserror::Error)]
#[error(
    "read what was done to the database from ConfigMap/{STATE}: {0}; it was changed by hand: deploy with \
     --reset-database to make the database afresh"
)]
pub struct Unreadable(String);

impl Classified for Unreadable {
    fn class(&self) -> FailureClass {
        FailureClass::Cluster
    }
}

impl State {
    /// Of a database that nothing was done to.
    #[must_use]
    pub fn fresh(volume_claim: Uid) -> Self {
        Self {
            volume_claim,
            migrations: Vec::new(),
            begun: Vec::new(),
            migrated: BTreeSet::new(),
            seeded: BTreeSet::new(),
        }
    }

    /// What `config_map`, the object [`STATE`], says.
    ///
    /// # Errors
    /// When it is nothing that we would have written: to go on as if nothing had been done could fill the database twice.
    pub fn read(config_map: &Value) -> Result<Self, Unreadable> {
        let text = config_map["data"][STATE_KEY]
            .as_str()
            .ok_or_else(|| Unreadable(format!("it has no key {STATE_KEY}")))?;
        serde_json::from_str(text).map_err(|error| Unreadable(error.to_string()))
    }

    /// Takes note that a run is about to apply all of `wanted`; how these differ from what an earlier run began to apply,
    /// where they do. Nobody knows how far that one came, so what it began stays noted until a run comes to its end.
    pub fn begin(&mut self, wanted: &[Migration]) -> Option<Divergence> {
        let differs = Divergence::between(&self.begun, wanted);
        if differs.is_none() && self.migrations != wanted {
            self.begun = wanted.to_vec();
        }
        differs
    }

    /// Takes note that all of `wanted` are applied; whether that is anything new.
    pub fn complete(&mut self, wanted: &[Migration]) -> bool {
        let is_new = self.migrations != wanted || !self.begun.is_empty();
        self.migrations = wanted.to_vec();
        self.begun = Vec::new();
        is_new
    }

    /// The ConfigMap's data.
    #[must_use]
    pub fn data(&self) -> BTreeMap<String, String> {
        let text = serde_json::to_string_pretty(self);
        let text = text.unwrap_or_else(|_| unreachable!("texts and lists of texts are JSON"));
        BTreeMap::from([(STATE_KEY.to_owned(), text)])
    }
}

/// Why the database that was there is made afresh: its rows go with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rebuild {
    /// `--reset-database` asked for it.
    Asked,
    /// Its volume is gone: somebody deleted it, or a run that made the database afresh died half-way.
    Lost,
    /// What was applied to it is not what is to be applied any more.
    Migrations(Divergence),
}

/// In Markdown, as the second half of "The database was made afresh: …".
impl fmt::Display for Rebuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("`--reset-database` asked for it"),
            Self::Lost => f.write_str("its volume was not there any more"),
            Self::Migrations(Divergence::Rewritten { file }) => {
                write!(f, "{} was applied with other content", code(file))
            }
            Self::Migrations(Divergence::Removed { file }) => {
                write!(f, "{} was applied and is not there any more", code(file))
            }
            Self::Migrations(Divergence::Inserted { file, before }) => {
                let (file, before) = (code(file), code(before));
                write!(
                    f,
                    "{file} now comes before {before}, which was applied without it"
                )
            }
        }
    }
}

/// The first difference that keeps one list of migrations from being the beginning of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Divergence {
    /// One has other content now.
    Rewritten {
        /// Its path in the repository.
        file: String,
    },
    /// One is not among the files any more.
    Removed {
        /// Its path in the repository.
        file: String,
    },
    /// A new one stands before one that was there.
    Inserted {
        /// The new one's path in the repository.
        file: String,
        /// The path of the one that was there, and comes after it now.
        before: String,
    },
}

impl Divergence {
    /// What keeps a database to which `applied` was applied in this order from becoming one with all of `wanted`; none
    /// where the one is the beginning of the other.
    #[must_use]
    pub fn between(applied: &[Migration], wanted: &[Migration]) -> Option<Self> {
        let at = applied
            .iter()
            .enumerate()
            .position(|(at, applied)| wanted.get(at) != Some(applied))?;
        let (applied, file) = (&applied[at], applied[at].path.clone());
        let namesake = wanted.iter().find(|wanted| wanted.path == applied.path);
        Some(match (wanted.get(at), namesake) {
            (Some(instead), Some(_)) if instead.path != applied.path => Self::Inserted {
                file: instead.path.clone(),
                before: file,
            },
            (_, Some(_)) => Self::Rewritten { file },
            (_, None) => Self::Removed { file },
        })
    }
}

/// In Markdown, as a sentence's first half.
impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rewritten { file } => write!(f, "{} has other content since", code(file)),
            Self::Removed { file } => write!(f, "{} is not there any more", code(file)),
            Self::Inserted { file, before } => {
                let (file, before) = (code(file), code(before));
                write!(f, "{file} now comes before {before}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
