//! What can be known to go wrong on the cluster, before anything is applied to it.
//!
//! A check reads, and adds what a rule says no to; everything that is wrong is told at once. What a later wave needs of
//! what was read goes into [`Found`].

use jiff::Timestamp;
use preview_actions::{Failed, Outside as _};
use preview_core::objects::Kind;
use preview_core::ownership::TakeOver;
use preview_core::tls::{self, HomeSecret, SecretData};

use crate::Deploy;
use crate::database::Files;
use crate::stop::Stop;
use crate::story::Story;

/// What was found on the cluster before anything was applied, for the waves that need it.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The certificate, to be copied; none where previews have none of their own.
    pub(crate) certificate: Option<SecretData>,
    /// What the repository has for the database.
    pub(crate) files: Files,
}

impl Deploy<'_> {
    /// Checks everything that only the cluster can tell. Nothing is written before it passed, the Namespace neither.
    ///
    /// # Errors
    /// When a rule says no; all of those that do are told together.
    pub(crate) async fn preflight(&self, story: &mut Story<'_>) -> Result<Found, Stop> {
        let take_over = self.may_take_namespace(story).await?;
        let mut refusals = self.missing_kinds().await?;
        let all_are_served = refusals.is_empty();
        self.check_quota(story, &mut refusals).await?;
        let certificate = self.certificate(&mut refusals).await?;
        let files = match self.database_files().await {
            Err(Stop::Failed(Failed::Refused(more))) => {
                refusals.extend(more);
                Files::default()
            }
            files => files?,
        };
        if all_are_served {
            self.check_golden(&take_over, &files, &mut refusals).await?;
        }
        if refusals.is_empty() {
            return Ok(Found { certificate, files });
        }
        // Whoever has pushed meanwhile is told by the run for that head, not by this one.
        self.still_wanted().await?;
        Err(Failed::Refused(refusals).into())
    }

    /// The certificate that previews share, if it may be used for this preview's hosts.
    async fn certificate(&self, refusals: &mut Vec<String>) -> Result<Option<SecretData>, Failed> {
        let Some(home) = &self.world.config.tls else {
            return Ok(None);
        };
        let found = self.world.cluster.certificate(home).await.outside()?;
        let hosts = self.preview.hosts();
        let wrong = tls::check(home, &found, &hosts, Timestamp::now());
        refusals.extend(wrong.iter().map(ToString::to_string));
        Ok(match found {
            HomeSecret::Certificate { data, .. } => Some(data),
            _ => None,
        })
    }

    /// Kinds of which the preview has objects and the cluster has no definition.
    async fn missing_kinds(&self) -> Result<Vec<String>, Failed> {
        let kinds: Vec<Kind> = self.preview.custom_kinds().into_iter().collect();
        let missing = self.world.cluster.missing_kinds(&kinds).await.outside()?;
        Ok(missing.into_iter().map(not_installed).collect())
    }

    /// Whether the Namespace is free, or this preview's own, and no newer run has it: only then may this run tell
    /// anybody how it went.
    async fn may_take_namespace(&self, story: &mut Story<'_>) -> Result<TakeOver, Stop> {
        let name = self.preview.namespace_name();
        let existing = self.world.cluster.namespace(name).await.outside()?;
        match self.claimant.take_over(existing.as_ref()) {
            TakeOver::Refused(foreign) => {
                story.lacks_namespace();
                Err(Failed::refused(foreign).into())
            }
            TakeOver::Superseded { by } => Err(Stop::superseded_by(Some(by))),
            free => {
                if matches!(free, TakeOver::Create) {
                    story.lacks_namespace();
                }
                Ok(free)
            }
        }
    }
}

/// What is told of a kind that a cluster does not serve.
fn not_installed(kind: Kind) -> String {
    let what = match kind {
        Kind::HttpRoute => "install the Gateway API there, or have preview.toml name no Gateway",
        Kind::VolumeSnapshot | Kind::VolumeSnapshotContent => {
            "install the definitions of CSI volume snapshots there, or have preview.toml name another seed"
        }
        _ => "use a cluster that serves it, or leave what needs it out",
    };
    format!(
        "the cluster does not serve {kind} of {}, and the preview has one: {what}",
        kind.api_version()
    )
}
