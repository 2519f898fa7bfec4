//! The fence: whether a preview is still this run's.

use preview_core::names::{Fence, NamespaceName};
use preview_core::ownership::Claimant;

use crate::call::Operation;
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
