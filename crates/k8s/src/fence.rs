//! The fence: whether a preview is still this run's.

use backon::BackoffBuilder as _;
use preview_core::names::{Fence, NamespaceName};
use preview_core::ownership::Claimant;
use tokio::time::Instant;

use crate::call::{Operation, pauses};
use crate::cluster::Cluster;
use crate::error::Error;

/// What came of work that is only ours to do while the Namespace carries our fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fenced<T> {
    /// It was done, and the fence was ours before each write.
    Done(T),
    /// Another run owns the preview now; nothing more was written.
    Superseded {
        /// The run; none when the annotation is gone.
        by: Option<Fence>,
    },
    /// The Namespace is gone, or on its way out.
    Gone,
}

impl<T> Fenced<T> {
    /// The same with another value.
    pub(crate) fn map<U>(self, value: impl FnOnce(T) -> U) -> Fenced<U> {
        match self {
            Self::Done(done) => Fenced::Done(value(done)),
            Self::Superseded { by } => Fenced::Superseded { by },
            Self::Gone => Fenced::Gone,
        }
    }
}

/// What one round of read and write came to.
pub(crate) enum Round<T> {
    Settled(T),
    /// Somebody was faster, for this reason: start again with what is read now.
    Again(String),
}

/// Goes round until it is settled, or `operation` has no time left.
pub(crate) async fn until_settled<T>(
    operation: &Operation,
    mut round: impl AsyncFnMut() -> Result<Round<T>, Error>,
) -> Result<T, Error> {
    let mut pauses = pauses().build();
    for attempt in 1.. {
        let reason = match round().await? {
            Round::Settled(settled) => return Ok(settled),
            Round::Again(reason) => reason,
        };
        let pause = pauses.next().unwrap_or_default();
        if Instant::now() + pause >= operation.deadline {
            return Err(operation.contended(attempt, reason));
        }
        tracing::debug!(
            operation = operation.what,
            reason,
            "again with what is read now"
        );
        tokio::time::sleep(pause).await;
    }
    unreachable!("rounds are not limited by their number")
}

impl Cluster {
    /// Reads the Namespace and tells whether it is still `claimant`'s.
    pub(crate) async fn confirm(
        &self,
        operation: &Operation,
        claimant: &Claimant,
        namespace: &NamespaceName,
    ) -> Result<Fenced<()>, Error> {
        let Some(read) = self.namespace_within(operation, namespace).await? else {
            return Ok(Fenced::Gone);
        };
        claimant.owner.check(&read)?;
        Ok(if read.terminating {
            Fenced::Gone
        } else if claimant.still_owns(&read) {
            Fenced::Done(())
        } else {
            Fenced::Superseded { by: read.fence() }
        })
    }
}
