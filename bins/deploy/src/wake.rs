//! Waking a preview that sleeps: what was deployed last is deployed again, and finds its database as it was.

use preview_actions::{Failed, Outside as _};
use preview_core::deploy::Request;
use preview_core::names::Subject;
use preview_core::ownership::Claim;

use crate::world::World;

/// What waking a preview comes to.
pub(crate) enum ToWake {
    /// Deploying this.
    Deploy(Request),
    /// Nothing, for this reason.
    Nothing(String),
}

impl World<'_> {
    /// What was deployed last of the preview of `subject`, which is to sleep.
    pub(crate) async fn to_wake(&self, subject: &Subject) -> Result<ToWake, Failed> {
        let name = self
            .config
            .namespace
            .render(&self.slug, subject)
            .misused()?;
        let found = self.cluster.namespace(&name).await.outside()?;
        let found = found.filter(|found| found.subject().as_ref() == Some(subject));
        let Some((found, head)) = found.and_then(|found| {
            let head = found.head()?;
            Some((found, head))
        }) else {
            return Err(Failed::refused(format!(
                "{subject} has no preview that could be woken; deploy it, by a push or with --sha"
            )));
        };
        let sleeps = found.claim() == Some(Claim::Asleep) || found.asleep_since().is_some();
        if !sleeps || found.terminating {
            return Ok(ToWake::Nothing(format!(
                "the preview of {subject} does not sleep"
            )));
        }
        Ok(ToWake::Deploy(match subject {
            Subject::Pr(number) => Request::Pull {
                number: *number,
                head,
            },
            Subject::Commit(commit) => Request::Commit(commit.clone()),
        }))
    }
}
