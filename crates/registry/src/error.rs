//! What can go wrong, and what to do then.

use std::time::Duration;

use preview_core::health::{Classified, FailureClass};
use preview_core::names::ImageName;
use tokio::time::Instant;

/// An operation on a registry that failed. The text names the operation, its image and the next step, and never
/// holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry does not let us.
    #[error("{operation}: {registry} refuses: {reason}; {next}")]
    Refused {
        /// What was tried, with its image.
        operation: String,
        /// The registry's host.
        registry: String,
        /// The registry's words.
        reason: String,
        /// What to set.
        next: String,
    },
    /// The bytes are not those of their digest.
    #[error(
        "{operation}: {what} should be {expected} and is {actual}; do not use this image: build and push it again"
    )]
    Corrupt {
        /// What was tried, with its image.
        operation: String,
        /// Which piece.
        what: String,
        /// Its digest or size by the one who refers to it.
        expected: String,
        /// Its digest or size in truth.
        actual: String,
    },
    /// The image is not in the registry.
    #[error("{operation}: {registry} does not have it; build and push it again")]
    Absent {
        /// What was tried, with its image.
        operation: String,
        /// The registry's host.
        registry: String,
    },
    /// What the registry served is no manifest or config as the specifications define them.
    #[error(
        "{operation}: {what} is not what it should be: {detail}; look at it with `crane manifest` or `docker manifest inspect`"
    )]
    Malformed {
        /// What was tried, with its image.
        operation: String,
        /// Which piece.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Not a tag, so nothing was asked.
    #[error("{operation}: {tag:?} is not a tag (1 to 128 letters, digits, `_`, `.` and `-`)")]
    NotATag {
        /// What was tried, with its image.
        operation: String,
        /// The text.
        tag: String,
    },
    /// No useful answer within the time limit.
    #[error(
        "{operation}: no answer from {registry} in {waited:.1?} and {attempts} attempts, the last: {reason}; try again later"
    )]
    Unavailable {
        /// What was tried, with its image.
        operation: String,
        /// The registry's host.
        registry: String,
        /// How long was tried.
        waited: Duration,
        /// How many requests were made.
        attempts: u32,
        /// Why the last attempt failed.
        reason: String,
    },
    /// The registry answered something that repeating would not change.
    #[error(
        "{operation}: {registry} answered {reason}; check the image's name and that this is a registry"
    )]
    Unexpected {
        /// What was tried, with its image.
        operation: String,
        /// The registry's host.
        registry: String,
        /// Status and words of the answer.
        reason: String,
    },
    /// The client could not be made.
    #[error("make the registry client: {0}; check the machine's certificates and proxy settings")]
    Client(String),
}

/// What is being done, to which image, until when.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) what: String,
    pub(crate) name: ImageName,
    pub(crate) started: Instant,
    pub(crate) deadline: Instant,
}

impl Operation {
    pub(crate) fn new(what: String, name: &ImageName, timeout: Duration) -> Self {
        let started = Instant::now();
        Self {
            what,
            name: name.clone(),
            started,
            deadline: started + timeout,
        }
    }

    fn registry(&self) -> String {
        self.name.registry().to_owned()
    }

    pub(crate) fn refused(&self, reason: String, known: bool, push: bool) -> Error {
        let may = if push { "push" } else { "pull" };
        let next = if known {
            format!(
                "check that its credential is valid, that the image exists, and that the account may {may} it"
            )
        } else {
            format!(
                "set a credential for {} that may {may} it, or check the image's name",
                self.registry()
            )
        };
        Error::Refused {
            operation: self.what.clone(),
            registry: self.registry(),
            reason,
            next,
        }
    }

    pub(crate) fn corrupt(&self, what: &str, expected: &str, actual: &str) -> Error {
        Error::Corrupt {
            operation: self.what.clone(),
            what: what.to_owned(),
            expected: expected.to_owned(),
            actual: actual.to_owned(),
        }
    }

    pub(crate) fn malformed(&self, what: &str, detail: String) -> Error {
        Error::Malformed {
            operation: self.what.clone(),
            what: what.to_owned(),
            detail,
        }
    }

    pub(crate) fn absent(&self) -> Error {
        Error::Absent {
            operation: self.what.clone(),
            registry: self.registry(),
        }
    }

    pub(crate) fn not_a_tag(&self, tag: &str) -> Error {
        Error::NotATag {
            operation: self.what.clone(),
            tag: tag.chars().take(150).collect(),
        }
    }

    pub(crate) fn unavailable(&self, attempts: u32, reason: String) -> Error {
        Error::Unavailable {
            operation: self.what.clone(),
            registry: self.registry(),
            waited: self.started.elapsed(),
            attempts,
            reason,
        }
    }

    pub(crate) fn unexpected(&self, reason: &str) -> Error {
        Error::Unexpected {
            operation: self.what.clone(),
            registry: self.registry(),
            reason: reason.to_owned(),
        }
    }
}

impl Classified for Error {
    fn class(&self) -> FailureClass {
        FailureClass::Registry
    }
}
