//! What can go wrong between us and GitHub.

use std::time::Duration;

use jiff::Timestamp;
use preview_core::doctor::TokenFormat;
use preview_core::health::{Classified, FailureClass};

/// An operation that failed: what was tried on which object, why it failed, and what to do next.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation}: {problem}")]
pub struct Error {
    /// What was tried, with its object: `read pull request #12 of acme/shop`.
    pub operation: String,
    /// Why it failed.
    pub problem: Problem,
}

/// Why an operation failed. Its text ends with the next step.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The settings, or what the caller wants to write, cannot be sent.
    #[error("{0}")]
    Invalid(String),
    /// 401.
    #[error(
        "GitHub does not accept the token (401: {message}); check that GITHUB_TOKEN is set and has not expired"
    )]
    BadToken {
        /// What GitHub says.
        message: String,
    },
    /// 403 that is no rate limit.
    #[error(
        "the token may not do this (403: {message}); it needs {needs}: {}",
        token.granted()
    )]
    NotPermitted {
        /// What GitHub says.
        message: String,
        /// The permission that is missing, as GitHub names it where it does.
        needs: String,
        /// What the token is.
        token: TokenFormat,
    },
    /// GitHub asks to wait for longer than there is time.
    #[error(
        "GitHub's rate limit is used up ({message}); it resets at {until}: run this again after that"
    )]
    RateLimited {
        /// What GitHub says.
        message: String,
        /// From when on requests are answered again.
        until: Timestamp,
    },
    /// 404 where the object must exist.
    #[error(
        "GitHub does not find it (404: {message}); check that it exists and that the token may see it"
    )]
    NotFound {
        /// What GitHub says.
        message: String,
    },
    /// Any other answer in 300..500.
    #[error("GitHub refuses it ({status}: {message}); correct what it names and run this again")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// What GitHub says, with the fields it complains of.
        message: String,
    },
    /// 5xx, no connection, or no answer in time; also after repeating it.
    #[error("{message}; see https://www.githubstatus.com and run this again")]
    Unavailable {
        /// What happened instead of an answer.
        message: String,
    },
    /// An answer that cannot be read: HTML, cut off, or of another shape than GitHub's.
    #[error(
        "the answer is not what GitHub's API gives ({message}); check GITHUB_API_URL and any proxy on the way, and run \
         this again"
    )]
    Unreadable {
        /// What is wrong with it, with its beginning.
        message: String,
        /// Whether asking again may help: a cut-off or foreign answer, but not one of an unexpected shape.
        passing: bool,
    },
}

impl Error {
    pub(crate) fn new(operation: impl Into<String>, problem: Problem) -> Self {
        Self {
            operation: operation.into(),
            problem,
        }
    }

    /// Whether the same request may be answered later.
    pub(crate) fn is_passing(&self) -> bool {
        match &self.problem {
            Problem::RateLimited { .. } | Problem::Unavailable { .. } => true,
            Problem::Unreadable { passing, .. } => *passing,
            Problem::Invalid(_)
            | Problem::BadToken { .. }
            | Problem::NotPermitted { .. }
            | Problem::NotFound { .. }
            | Problem::Refused { .. } => false,
        }
    }

    /// Whether the request may have been carried out although it failed.
    pub(crate) fn may_have_landed(&self) -> bool {
        matches!(
            self.problem,
            Problem::Unavailable { .. } | Problem::Unreadable { .. }
        )
    }

    /// How long GitHub asks to wait.
    pub(crate) fn asked_to_wait(&self) -> Option<Duration> {
        let Problem::RateLimited { until, .. } = &self.problem else {
            return None;
        };
        let wait = until.duration_since(Timestamp::now());
        Some(Duration::try_from(wait).unwrap_or_default())
    }
}

impl Classified for Error {
    fn class(&self) -> FailureClass {
        FailureClass::GitHub
    }
}
