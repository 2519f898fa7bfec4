//! Which commands in comments are heard.

use serde::Deserialize;

use crate::commands::Word;

/// Which commands in comments of pull requests are heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandSettings {
    /// These, in the order in which they are listed; none to hear nothing at all.
    pub allowed: Vec<Word>,
}

/// Which commands in comments of pull requests (`/preview deploy`) are heard, of people who may write to the repository.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct CommandsFile {
    /// Those that are heard, such as `["deploy", "status"]`; all unless told, and none where the list is empty.
    allowed: Option<Vec<Word>>,
}

pub(super) fn commands(written: CommandsFile) -> CommandSettings {
    let CommandsFile { allowed } = written;
    let is_allowed = |word: &Word| allowed.as_ref().is_none_or(|only| only.contains(word));
    CommandSettings {
        allowed: Word::ALL.into_iter().filter(is_allowed).collect(),
    }
}
