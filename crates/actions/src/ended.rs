//! How a workflow ends.

use std::fmt;

use preview_core::health::{Classified, Failure, FailureClass};
use preview_core::names::NamespaceName;
use preview_core::outcome::Exit;

use crate::environment::UsageError;

/// A workflow that came to its end, whatever that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conclusion {
    /// The exit code.
    pub exit: Exit,
    /// One word: `deployed`, `nothing`, `superseded`, ….
    pub verdict: &'static str,
    /// One sentence on why, for people.
    pub reason: String,
}

impl Conclusion {
    /// Exit code 0: done, nothing to do, or superseded.
    #[must_use]
    pub fn done(verdict: &'static str, reason: impl fmt::Display) -> Self {
        Self {
            exit: Exit::Done,
            verdict,
            reason: reason.to_string(),
        }
    }
}

/// A workflow that could not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// Exit code 2: arguments, environment or configuration are wrong.
    Misused(String),
    /// Exit code 1: rules say no, each with its next step.
    Refused(Vec<String>),
    /// Exit code 3: GitHub, the registry, the cluster or the runner failed; which of them, and the error.
    Outside(FailureClass, String),
    /// Exit code 3 too: what was deployed in this namespace does not come up. Running again may help, and no rule of ours was broken.
    Broken(Box<Failure>, NamespaceName),
}

impl Failed {
    /// One rule says no.
    #[must_use]
    pub fn refused(why: impl fmt::Display) -> Self {
        Self::Refused(vec![why.to_string()])
    }

    /// The outside failed, as this error tells.
    #[must_use]
    pub fn of(error: &impl Classified) -> Self {
        Self::Outside(error.class(), error.to_string())
    }

    /// The cluster is not as it has to be.
    #[must_use]
    pub fn cluster(error: impl Into<String>) -> Self {
        Self::Outside(FailureClass::Cluster, error.into())
    }

    /// What kind of failure it is; none where a rule says no.
    #[must_use]
    pub fn class(&self) -> Option<FailureClass> {
        match self {
            Self::Misused(_) => Some(FailureClass::Configuration),
            Self::Refused(_) => None,
            Self::Outside(class, _) => Some(*class),
            Self::Broken(failure, _) => Some(failure.class),
        }
    }

    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Misused(_) => Exit::Misused,
            Self::Refused(_) => Exit::Refused,
            Self::Outside(..) | Self::Broken(..) => Exit::OutsideFailed,
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misused(why) | Self::Outside(_, why) => f.write_str(why),
            Self::Refused(reasons) => f.write_str(&reasons.join("; ")),
            Self::Broken(failure, namespace) => {
                write!(
                    f,
                    "{failure}; look at `{}`",
                    failure.next_command(namespace)
                )
            }
        }
    }
}

impl From<UsageError> for Failed {
    fn from(error: UsageError) -> Self {
        Self::Misused(error.to_string())
    }
}

/// Says of an error which exit code it has, where the adapters' types cannot.
pub trait Outside<T, E> {
    /// The outside failed: exit code 3, with what it was that failed.
    ///
    /// # Errors
    /// As `self`.
    fn outside(self) -> Result<T, Failed>
    where
        E: Classified;

    /// The program was called or configured wrongly: exit code 2.
    ///
    /// # Errors
    /// As `self`.
    fn misused(self) -> Result<T, Failed>;
}

impl<T, E: fmt::Display> Outside<T, E> for Result<T, E> {
    fn outside(self) -> Result<T, Failed>
    where
        E: Classified,
    {
        self.map_err(|error| Failed::of(&error))
    }

    fn misused(self) -> Result<T, Failed> {
        self.map_err(|error| Failed::Misused(error.to_string()))
    }
}
