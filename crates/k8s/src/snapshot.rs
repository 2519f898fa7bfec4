//! The golden snapshot: read together with the content that it is bound to.

use kube::api::DynamicObject;
use preview_core::objects::Kind;
use preview_core::snapshot::{Golden, SnapshotName, StoredSnapshot, VolumeMode};
use serde_json::Value;

use crate::call::Operation;
use crate::cluster::Cluster;
use crate::error::Error;
use crate::facts::uid;

impl Cluster {
    /// What is at the place of the golden snapshot. Ask [`Self::missing_kinds`] first: a cluster that serves no
    /// VolumeSnapshots has no answer.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or it tells a mode of volumes that Kubernetes does not have.
    pub async fn golden_snapshot(&self, home: &SnapshotName) -> Result<Golden, Error> {
        let operation = self.operation(format!("read {home}"));
        let snapshots = self.api(Kind::VolumeSnapshot, &home.namespace);
        let Some(snapshot) = self.read(&operation, || snapshots.get(&home.name)).await? else {
            return Ok(Golden::Missing);
        };
        let status = &snapshot.data["status"];
        if status["readyToUse"] != true {
            let error = text(&status["error"]["message"]);
            return Ok(Golden::NotReady { error });
        }
        let name = text(&status["boundVolumeSnapshotContentName"]);
        let stored = match &name {
            None => None,
            Some(name) => {
                let contents = self.api(Kind::VolumeSnapshotContent, &home.namespace);
                let content = self.read(&operation, || contents.get(name)).await?;
                let content = content.filter(|content| points_at(content, home, &snapshot));
                content
                    .map(|content| self.stored(&operation, &content))
                    .transpose()?
                    .flatten()
            }
        };
        Ok(stored.map_or(Golden::NotBound { content: name }, Golden::Ready))
    }

    /// What the content says of the snapshot at the storage; none where it names none yet.
    fn stored(
        &self,
        operation: &Operation,
        content: &DynamicObject,
    ) -> Result<Option<StoredSnapshot>, Error> {
        let (spec, status) = (&content.data["spec"], &content.data["status"]);
        // One that was taken has its handle in the status alone, one that somebody announced in its source, too.
        let handle = text(&status["snapshotHandle"]).or(text(&spec["source"]["snapshotHandle"]));
        let (Some(driver), Some(handle)) = (text(&spec["driver"]), handle) else {
            return Ok(None);
        };
        let source_volume_mode = text(&spec["sourceVolumeMode"])
            .map(|mode| {
                let known = VolumeMode::ALL
                    .into_iter()
                    .find(|known| known.as_str() == mode);
                known.ok_or_else(|| {
                    self.malformed(operation, format!("{mode:?} is no mode of volumes"))
                })
            })
            .transpose()?;
        Ok(Some(StoredSnapshot {
            driver,
            handle,
            // Drivers that do not know it say 0.
            restore_size: status["restoreSize"].as_u64().filter(|size| *size > 0),
            source_volume_mode,
        }))
    }
}

/// Whether the content is of this VolumeSnapshot: of its name, and of its uid as soon as the controller wrote that down.
fn points_at(content: &DynamicObject, home: &SnapshotName, snapshot: &DynamicObject) -> bool {
    let of = &content.data["spec"]["volumeSnapshotRef"];
    of["namespace"] == home.namespace.as_str()
        && of["name"] == home.name.as_str()
        && text(&of["uid"]).is_none_or(|of| of == uid(&snapshot.metadata))
}

fn text(value: &Value) -> Option<String> {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned)
}
