//! What can be known to go wrong on the cluster, before anything is applied to it.
//!
//! A check reads, and returns what a rule says no to; everything that is wrong is told at once.

use preview_actions::{Failed, Outside as _};
use preview_core::ownership::TakeOver;

use crate::Deploy;
use crate::stop::Stop;

impl Deploy<'_> {
    /// Checks everything that only the cluster can tell. Nothing is written before it passed, the Namespace neither.
    ///
    /// # Errors
    /// When a rule says no; all of those that do are told together.
    pub(crate) async fn preflight(&self) -> Result<(), Stop> {
        self.may_take_namespace().await?;
        let refusals: Vec<String> = Vec::new();
        if refusals.is_empty() {
            return Ok(());
        }
        // Whoever has pushed meanwhile is told by the run for that head, not by this one.
        self.still_wanted().await?;
        Err(Failed::Refused(refusals).into())
    }

    /// Whether the Namespace is free, or this preview's own, and no newer run has it: only then may this run tell
    /// anybody how it went.
    async fn may_take_namespace(&self) -> Result<(), Stop> {
        let name = self.preview.namespace_name();
        let existing = self.world.cluster.namespace(name).await.outside()?;
        match self.claimant.take_over(existing.as_ref()) {
            TakeOver::Refused(foreign) => Err(Failed::refused(foreign).into()),
            TakeOver::Superseded { by } => Err(Stop::superseded_by(Some(by))),
            TakeOver::Create | TakeOver::Take | TakeOver::Finish => Ok(()),
        }
    }
}
