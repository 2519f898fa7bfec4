//! One request with its repetitions, and what its answer means.

use std::sync::atomic::Ordering;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::error::{Error, Final, Meaning, chain, meaning};

/// What came of a request that the server understood.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    /// It was done.
    Done(T),
    /// 404, in the server's words.
    Absent(String),
    /// What we had read is not what is there any more, in the server's words.
    Conflict(String),
}

/// What is being done, since when and until when.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) what: String,
    pub(crate) started: Instant,
    pub(crate) deadline: Instant,
}

impl Operation {
    pub(crate) fn contended(&self, attempts: u32, reason: String) -> Error {
        Error::Contended {
            operation: self.what.clone(),
            waited: self.started.elapsed(),
            attempts,
            reason,
        }
    }
}

impl Cluster {
    pub(crate) fn operation(&self, what: String) -> Operation {
        let started = Instant::now();
        Operation {
            what,
            started,
            deadline: started + self.timeouts.operation,
        }
    }

    /// Sends what `request` makes until there is an answer that repeating would not change. Only for reads, and for
    /// writes that may be sent twice: applied, or conditional on a version.
    pub(crate) async fn call<T, F>(
        &self,
        operation: &Operation,
        mut request: impl FnMut() -> F,
    ) -> Result<Answer<T>, Error>
    where
        F: Future<Output = kube::Result<T>>,
    {
        if let Some(reason) = &self.unknown {
            return Err(Error::Configuration(reason.clone()));
        }
        let mut pauses = pauses().build();
        for attempt in 1.. {
            let outcome = self.attempt(operation, &mut request).await;
            let (reason, connection, asked) = match outcome {
                Ok(value) => return Ok(Answer::Done(value)),
                Err(Meaning::Absent(reason)) => return Ok(Answer::Absent(reason)),
                Err(Meaning::Conflict(reason)) => return Ok(Answer::Conflict(reason)),
                Err(Meaning::Final(end)) => return Err(self.finally(operation, end)),
                Err(Meaning::Transient {
                    reason,
                    connection,
                    pause,
                }) => (reason, connection, pause),
            };
            let pause = asked
                .unwrap_or_default()
                .max(pauses.next().unwrap_or_default());
            if Instant::now() + pause >= self.patience(operation) {
                return Err(self.gave_up(operation, attempt, reason, connection));
            }
            tokio::time::sleep(pause).await;
        }
        unreachable!("attempts are not limited by their number")
    }

    async fn attempt<T, F>(
        &self,
        operation: &Operation,
        request: &mut impl FnMut() -> F,
    ) -> Result<T, Meaning>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let started = Instant::now();
        let limit = started + self.timeouts.attempt;
        let outcome = tokio::time::timeout_at(limit.min(operation.deadline), request()).await;
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Ok(Ok(value)) => {
                self.answered.store(true, Ordering::Relaxed);
                tracing::debug!(operation = operation.what, ms, "answered");
                Ok(value)
            }
            Ok(Err(error)) => {
                if matches!(error, kube::Error::Api(_)) {
                    self.answered.store(true, Ordering::Relaxed);
                }
                tracing::debug!(
                    operation = operation.what,
                    ms,
                    error = chain(&error),
                    "failed"
                );
                Err(meaning(&error))
            }
            Err(_) => {
                tracing::debug!(operation = operation.what, ms, "no answer");
                Err(Meaning::Transient {
                    reason: format!("no answer within {:.1?}", started.elapsed()),
                    connection: true,
                    pause: None,
                })
            }
        }
    }

    fn patience(&self, operation: &Operation) -> Instant {
        if self.answered.load(Ordering::Relaxed) {
            operation.deadline
        } else {
            operation
                .deadline
                .min(operation.started + self.timeouts.first_contact)
        }
    }

    fn gave_up(
        &self,
        operation: &Operation,
        attempts: u32,
        reason: String,
        connection: bool,
    ) -> Error {
        if connection {
            Error::Unreachable {
                operation: operation.what.clone(),
                server: self.server.clone(),
                reason,
            }
        } else {
            Error::Unavailable {
                operation: operation.what.clone(),
                server: self.server.clone(),
                waited: operation.started.elapsed(),
                attempts,
                reason,
            }
        }
    }

    pub(crate) fn finally(&self, operation: &Operation, end: Final) -> Error {
        let operation = operation.what.clone();
        let server = self.server.clone();
        match end {
            Final::Unauthorized(reason) => Error::Unauthorized {
                operation,
                server,
                reason,
            },
            Final::Forbidden(reason) => Error::Forbidden { operation, reason },
            Final::Refused(code, reason) => Error::Refused {
                operation,
                code,
                reason,
            },
            Final::Malformed(detail) => Error::Malformed {
                operation,
                server,
                detail,
            },
            Final::Configuration(reason) => Error::Configuration(reason),
        }
    }

    pub(crate) fn malformed(&self, operation: &Operation, detail: impl Into<String>) -> Error {
        self.finally(operation, Final::Malformed(detail.into()))
    }

    /// The answer of a read or a list; none where nothing is there.
    pub(crate) async fn read<T, F>(
        &self,
        operation: &Operation,
        request: impl FnMut() -> F,
    ) -> Result<Option<T>, Error>
    where
        F: Future<Output = kube::Result<T>>,
    {
        match self.call(operation, request).await? {
            Answer::Done(value) => Ok(Some(value)),
            Answer::Absent(_) => Ok(None),
            Answer::Conflict(reason) => Err(self.finally(operation, Final::Refused(409, reason))),
        }
    }

    /// The answer of a list: a collection is always there, unless the cluster does not serve the kind.
    pub(crate) async fn list<T, F>(
        &self,
        operation: &Operation,
        request: impl FnMut() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = kube::Result<T>>,
    {
        self.read(operation, request)
            .await?
            .ok_or_else(|| Error::Absent {
                operation: operation.what.clone(),
                reason: "the cluster does not know this kind of object".to_owned(),
                next: "use a cluster of a supported version".to_owned(),
            })
    }
}

/// Pauses of 0.1 s, 0.2 s, … up to 3 s, each with a random part; the operation's deadline ends them.
pub(crate) fn pauses() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(3))
        .with_jitter()
        .without_max_times()
}
