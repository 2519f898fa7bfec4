//! Commands that people write into comments of a pull request, such as `/preview deploy`: what was written, and what comes
//! of it.
//!
//! A comment is text of anybody. It is read once, into a [`Command`], and nothing of it goes any further.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::config::{self, Config};
use crate::deploy::{Refusal, may_have_preview};
use crate::markdown::code;
use crate::names::{CommitSha, PrNumber, RepositorySlug, Subject};
use crate::pulls::PullRequest;
use crate::slots::Next;

/// What every command begins with.
const PREFIX: &str = "/preview";

/// Bytes of a line that may be a command; the longest that means something has 57.
const LONGEST: usize = 200;

const HOUR: Duration = Duration::from_secs(3600);

/// How long a preview may be kept by one command.
const LONGEST_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// The word that says which command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Word {
    /// Deploy the head that the pull request has.
    Deploy,
    /// Deploy this very head.
    Approve,
    /// Take the preview down.
    Destroy,
    /// Deploy the head, with a database made afresh.
    ResetDatabase,
    /// Wake the preview that sleeps.
    Wake,
    /// Neither put the preview to sleep nor destroy it for a while.
    Keep,
    /// Say how the preview is.
    Status,
}

impl Word {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 7] = [
        Self::Deploy,
        Self::Approve,
        Self::Destroy,
        Self::ResetDatabase,
        Self::Wake,
        Self::Keep,
        Self::Status,
    ];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Approve => "approve",
            Self::Destroy => "destroy",
            Self::ResetDatabase => "reset-database",
            Self::Wake => "wake",
            Self::Keep => "keep",
            Self::Status => "status",
        }
    }

    /// The whole command, as a list shows it.
    #[must_use]
    pub const fn usage(self) -> &'static str {
        match self {
            Self::Deploy => "/preview deploy",
            Self::Approve => "/preview approve SHA",
            Self::Destroy => "/preview destroy",
            Self::ResetDatabase => "/preview reset-database",
            Self::Wake => "/preview wake",
            Self::Keep => "/preview keep 3d",
            Self::Status => "/preview status",
        }
    }
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Deploy the head that the pull request has.
    Deploy,
    /// Deploy this head H, which somebody has looked at, and no other.
    Approve(CommitSha),
    /// Take the preview down, although the pull request may be open.
    Destroy,
    /// Deploy the head, with a database made afresh.
    ResetDatabase,
    /// Wake the preview that sleeps.
    Wake,
    /// Neither put the preview to sleep nor destroy it for so long.
    Keep(Duration),
    /// Say how the preview is.
    Status,
}

impl Command {
    /// Which it is.
    #[must_use]
    pub const fn word(&self) -> Word {
        match self {
            Self::Deploy => Word::Deploy,
            Self::Approve(_) => Word::Approve,
            Self::Destroy => Word::Destroy,
            Self::ResetDatabase => Word::ResetDatabase,
            Self::Wake => Word::Wake,
            Self::Keep(_) => Word::Keep,
            Self::Status => Word::Status,
        }
    }

    fn read(words: &[&str]) -> Result<Self, Unclear> {
        let (word, rest) = words.split_first().ok_or(Unclear::NoWord)?;
        let known = Word::ALL.into_iter().find(|known| known.as_str() == *word);
        let word = known.ok_or(Unclear::NoWord)?;
        let command = match (word, rest) {
            (Word::Deploy, []) => Self::Deploy,
            (Word::Destroy, []) => Self::Destroy,
            (Word::ResetDatabase, []) => Self::ResetDatabase,
            (Word::Wake, []) => Self::Wake,
            (Word::Status, []) => Self::Status,
            (Word::Approve, [commit]) => {
                Self::Approve(commit.parse().map_err(|_| Unclear::NoCommit)?)
            }
            (Word::Approve, _) => return Err(Unclear::NoCommit),
            (Word::Keep, [long]) => Self::Keep(kept(long).ok_or(Unclear::NoDuration)?),
            (Word::Keep, _) => return Err(Unclear::NoDuration),
            (word, _) => return Err(Unclear::TooMuch(word)),
        };
        Ok(command)
    }
}

fn kept(text: &str) -> Option<Duration> {
    config::days(text).filter(|long| (HOUR..=LONGEST_KEPT).contains(long))
}

/// A comment, as the event tells it.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// What happened to it: only one that was `created` is heard.
    pub action: &'a str,
    /// Whether GitHub marks its author as a bot.
    pub is_by_bot: bool,
    /// Whether it stands on a pull request, and not on an issue.
    pub is_on_pull: bool,
    /// Its Markdown.
    pub body: &'a str,
}

/// What of a comment is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// This command.
    Command(Command),
    /// Something that was meant as a command and is none.
    Unclear(Unclear),
}

/// Why a comment is nothing to us. Nobody is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// Commands are switched off.
    #[error("preview.toml allows no command (commands.allowed is empty)")]
    Off,
    /// It was edited or deleted: what somebody has read and answered is not what stands there now.
    #[error("the comment was {0:?}, and only new ones are heard")]
    NotNew(String),
    /// A bot wrote it.
    #[error("a bot wrote the comment")]
    Bot,
    /// It stands on an issue.
    #[error("the comment stands on an issue, not on a pull request")]
    Issue,
    /// It does not begin with `/preview`.
    #[error("the comment does not begin with {PREFIX}")]
    NoCommand,
}

/// What is wrong with something that was meant as a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// There is no such word.
    #[error("There is no such command")]
    NoWord,
    /// No commit follows `approve`.
    #[error(
        "An approval names the head that was looked at, with all its 40 digits: a shorter name can be that of another commit, too"
    )]
    NoCommit,
    /// No duration follows `keep`.
    #[error("A preview is kept for a while of at least 1h and at most 30d, like 36h or 3d")]
    NoDuration,
    /// Something follows a command that takes nothing.
    #[error("Nothing follows {}", code(.0.usage()))]
    TooMuch(Word),
    /// It is switched off.
    #[error("{} is switched off in this repository", code(.0.usage()))]
    NotAllowed(Word),
}

impl Written<'_> {
    /// What of it is heard, where `allowed` are the commands that are switched on.
    ///
    /// Only its first line counts, from its very beginning: what is quoted, indented or within a block of code is text about
    /// commands, and below the first line anybody may give reasons.
    ///
    /// # Errors
    /// When it is nothing to us.
    pub fn heard(&self, allowed: &[Word]) -> Result<Heard, Silence> {
        if allowed.is_empty() {
            return Err(Silence::Off);
        }
        if self.action != "created" {
            return Err(Silence::NotNew(self.action.to_owned()));
        }
        if self.is_by_bot {
            return Err(Silence::Bot);
        }
        if !self.is_on_pull {
            return Err(Silence::Issue);
        }
        let rest = self.body.strip_prefix(PREFIX).ok_or(Silence::NoCommand)?;
        let rest = rest.split(['\r', '\n']).next().unwrap_or_default();
        if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
            return Err(Silence::NoCommand);
        }
        if rest.len() > LONGEST {
            return Ok(Heard::Unclear(Unclear::NoWord));
        }
        // No other blank divides words: what looks like a command and is none is told so.
        let words = rest.split([' ', '\t']).filter(|word| !word.is_empty());
        Ok(match Command::read(&words.collect::<Vec<_>>()) {
            Err(unclear) => Heard::Unclear(unclear),
            Ok(command) if !allowed.contains(&command.word()) => {
                Heard::Unclear(Unclear::NotAllowed(command.word()))
            }
            Ok(command) => Heard::Command(command),
        })
    }
}

/// The commands that there are, as the end of a sentence in Markdown.
#[must_use]
pub fn list(allowed: &[Word]) -> String {
    let all = Word::ALL.into_iter().filter(|word| allowed.contains(word));
    let all: Vec<String> = all.map(|word| code(word.usage())).collect();
    all.join(", ")
}

/// What is done about a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A workflow is started on the default branch.
    Start {
        /// Its file name.
        workflow: String,
        /// Its inputs.
        inputs: BTreeMap<String, String>,
        /// The head that it is for; none where it is for none.
        head: Option<CommitSha>,
    },
    /// The preview is kept for so long.
    Keep(Duration),
    /// The comment is left as it is.
    Show {
        /// The pull request's head.
        head: CommitSha,
    },
}

/// Why nothing is done about a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum No {
    /// The pull request gets no preview.
    #[error(transparent)]
    Pull(#[from] Refusal),
    /// Another head was looked at.
    #[error(
        "the head of pull request #{number} is {now}, and {} was approved; look at what is new, and approve that",
        asked.short()
    )]
    Moved {
        /// The pull request.
        number: PrNumber,
        /// What was named.
        asked: CommitSha,
        /// The head.
        now: CommitSha,
    },
    /// Previews neither sleep nor end here.
    #[error(
        "previews of this repository neither sleep nor end by themselves ([lifetime] in preview.toml says nothing of it), so \
         this one stays anyway"
    )]
    StaysAnyway,
}

impl Command {
    /// What is done about it, on the pull request `number` of `repository` as it was read live.
    ///
    /// # Errors
    /// When a rule says no.
    pub fn decide(
        &self,
        number: PrNumber,
        pull: Option<&PullRequest>,
        repository: &RepositorySlug,
        config: &Config,
    ) -> Result<Effect, No> {
        let pull = pull.ok_or_else(|| Refusal::NoSuchPull {
            repository: repository.clone(),
            number,
        })?;
        let deploys = |more: &[(&str, &str)]| {
            may_have_preview(pull)?;
            Ok(deploys(pull, config, more))
        };
        match self {
            Self::Approve(asked) if *asked != pull.head => Err(No::Moved {
                number,
                asked: asked.clone(),
                now: pull.head.clone(),
            }),
            Self::Deploy | Self::Approve(_) | Self::Wake => deploys(&[]),
            Self::ResetDatabase => deploys(&[("reset_database", "true")]),
            Self::Destroy => Ok(Effect::Start {
                workflow: config.cleanup.workflow.clone(),
                inputs: inputs([("pr", &*number.to_string()), ("force", "true")]),
                head: None,
            }),
            Self::Keep(long) => {
                may_have_preview(pull)?;
                match (config.lifetime.most, config.lifetime.asleep_after) {
                    (None, None) => Err(No::StaysAnyway),
                    _ => Ok(Effect::Keep(*long)),
                }
            }
            Self::Status => Ok(Effect::Show {
                head: pull.head.clone(),
            }),
        }
    }
}

/// The workflow that deploys, for the head that `pull` has.
fn deploys(pull: &PullRequest, config: &Config, more: &[(&str, &str)]) -> Effect {
    let next = Next {
        subject: Subject::Pr(pull.number),
        head: pull.head.clone(),
    };
    let mut all = next.inputs();
    all.extend(inputs(more.iter().copied()));
    Effect::Start {
        workflow: config.queue.workflow.clone(),
        inputs: all,
        head: Some(pull.head.clone()),
    }
}

fn inputs<'a>(all: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    let all = all.into_iter();
    all.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// How somebody's command is answered, beside what the comment tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which it was; none where it was none.
    pub word: Option<Word>,
    /// The login of who wrote it.
    pub login: String,
    /// What came of it: the end of a sentence in Markdown.
    pub told: String,
}

/// One line of Markdown.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { word, login, told } = self;
        let login = code(login);
        match word {
            Some(word) => write!(f, "{} by {login}: {told}", code(word.usage())),
            None => write!(f, "{login}: {told}"),
        }
    }
}

#[cfg(test)]
mod tests;
