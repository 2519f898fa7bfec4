//! A database that begins as a copy of the golden snapshot: whether there is one that it can be made from, and the
//! preview's own objects for it.

use preview_actions::{Failed, Outside as _};
use preview_core::config::{Memory, Seed};
use preview_core::manifests::DATABASE;
use preview_core::objects::{Kind, Manifest, ObjectName};
use preview_core::ownership::TakeOver;
use preview_core::snapshot::{self, Golden, SnapshotName, StoredSnapshot};

use crate::Deploy;
use crate::database::Files;
use crate::stop::Stop;

/// The database's objects, and what its volume is restored from.
#[derive(Debug)]
pub(crate) struct Wave {
    /// The preview's own VolumeSnapshotContent and VolumeSnapshot; empty where its volume is no copy.
    pub(crate) pair: Vec<Manifest>,
    /// The StatefulSet and its Service.
    pub(crate) server: Vec<Manifest>,
}

impl Deploy<'_> {
    /// Checks the golden snapshot, where the database is going to be made from it: one that is kept does not care what
    /// becomes of that.
    pub(crate) async fn check_golden(
        &self,
        take_over: &TakeOver,
        files: &Files,
        refusals: &mut Vec<String>,
    ) -> Result<(), Failed> {
        if self.golden_home().is_none() {
            return Ok(());
        }
        // After a teardown that somebody began, everything is made afresh.
        let ends_first = matches!(take_over, TakeOver::Finish);
        if ends_first || self.is_made_afresh(files).await? {
            self.golden(refusals).await?;
        }
        Ok(())
    }

    /// Where the golden snapshot is, and the size of the volumes that are restored from it; none where databases are not
    /// made from one.
    fn golden_home(&self) -> Option<(&SnapshotName, &Memory)> {
        let database = self.world.config.database.as_ref()?;
        match database.seed.as_ref()? {
            Seed::Snapshot { golden, .. } => Some((golden, &database.size)),
            Seed::Sql(_) | Seed::Image { .. } => None,
        }
    }

    /// The golden snapshot at the storage; none where databases are not made from one, or a rule says no.
    async fn golden(&self, refusals: &mut Vec<String>) -> Result<Option<StoredSnapshot>, Failed> {
        let Some((golden, size)) = self.golden_home() else {
            return Ok(None);
        };
        let found = self.world.cluster.golden_snapshot(golden).await.outside()?;
        let wrong = snapshot::check(golden, &found, size);
        refusals.extend(wrong.iter().map(ToString::to_string));
        Ok(match found {
            Golden::Ready(stored) if wrong.is_empty() => Some(stored),
            _ => None,
        })
    }

    /// The database's objects: for the one that is there, if it is to be kept, or for a fresh one.
    ///
    /// # Errors
    /// When a fresh one should be made from a golden snapshot that was replaced since the preflight, and cannot be now.
    pub(crate) async fn database_wave(&self, is_kept: bool) -> Result<Wave, Stop> {
        let namespace = self.preview.namespace_name();
        let cluster = &self.world.cluster;
        let server = cluster.object(namespace, &server()).await.outside()?;
        let Some(existing) = server.filter(|_| is_kept) else {
            return self.fresh_wave().await;
        };
        // What it was restored from stays with it, and carries this run's fence.
        let content = match self.preview.snapshot_content_of(&existing) {
            Some(name) => cluster.object(namespace, &name).await.outside()?,
            None => None,
        };
        let pair = content.and_then(|content| self.preview.snapshot_pair_as(&content));
        Ok(Wave {
            pair: pair.map(Vec::from).unwrap_or_default(),
            server: self.preview.database_as(&existing),
        })
    }

    async fn fresh_wave(&self) -> Result<Wave, Stop> {
        let mut refusals = Vec::new();
        let stored = self.golden(&mut refusals).await?;
        if !refusals.is_empty() {
            return Err(Failed::Refused(refusals).into());
        }
        Ok(match stored {
            Some(stored) => Wave {
                pair: self.preview.snapshot_pair(&stored).into(),
                server: self.preview.database_from(&stored),
            },
            None => Wave {
                pair: Vec::new(),
                server: self.preview.database(),
            },
        })
    }

    /// Whether there is a StatefulSet of the database.
    pub(crate) async fn has_database_server(&self) -> Result<bool, Failed> {
        let namespace = self.preview.namespace_name();
        let found = self.world.cluster.object(namespace, &server()).await;
        Ok(found.outside()?.is_some())
    }
}

fn server() -> ObjectName {
    ObjectName::new(Kind::StatefulSet, DATABASE)
}
