//! The preview's database: whether the one that is there fits what is to run on it.

use std::fmt;

use crate::markdown::code;

/// Why the database that was there is made afresh: its rows go with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rebuild {
    /// `--reset-database` asked for it.
    Asked,
    /// A migration that was applied has other content now.
    Rewritten {
        /// Its path in the repository.
        file: String,
    },
    /// A migration that was applied is not among the files any more.
    Removed {
        /// Its path in the repository.
        file: String,
    },
    /// A migration that was not applied stands before one that was.
    Inserted {
        /// The new one's path in the repository.
        file: String,
        /// The path of the one that was applied, and is its successor now.
        before: String,
    },
}

/// In Markdown, as the second half of "The database was made afresh: …".
impl fmt::Display for Rebuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("`--reset-database` asked for it"),
            Self::Rewritten { file } => {
                write!(f, "{} was applied with other content", code(file))
            }
            Self::Removed { file } => {
                write!(f, "{} was applied and is not there any more", code(file))
            }
            Self::Inserted { file, before } => {
                let (file, before) = (code(file), code(before));
                write!(
                    f,
                    "{file} now comes before {before}, which was applied without it"
                )
            }
        }
    }
}
