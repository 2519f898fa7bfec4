//! What a database's volume is restored from: a VolumeSnapshot in the preview's namespace, and a VolumeSnapshotContent
//! for the golden snapshot at the storage. Both are the preview's own: a volume is restored from a VolumeSnapshot of its
//! own namespace only, and a VolumeSnapshotContent is bound to one VolumeSnapshot.

use serde_json::{Value, json};

use super::{DATABASE, labels, short_hash};
use crate::names::NamespaceName;
use crate::objects::{Kind, Manifest};
use crate::snapshot::{StoredSnapshot, VolumeMode};

/// What the pair is made of.
pub(super) const KINDS: [Kind; 2] = [Kind::VolumeSnapshotContent, Kind::VolumeSnapshot];

/// The VolumeSnapshot's name, which tells one snapshot at the storage from another: neither object can be given
/// another source.
/// <https://kubernetes.io/docs/concepts/storage/volume-snapshots/#volume-snapshot-contents>
pub(super) fn name(stored: &StoredSnapshot) -> String {
    let mode = stored.source_volume_mode.map(VolumeMode::as_str);
    let hash = short_hash(&[&json!([stored.driver, stored.handle, mode])]);
    format!("{DATABASE}-{hash}")
}

/// The VolumeSnapshotContent and the VolumeSnapshot, each of which points at the other.
///
/// `Retain`: with `Delete` the snapshot at the storage, which is everybody's, would go with the first preview.
pub(super) fn pair(namespace: &NamespaceName, stored: &StoredSnapshot) -> [Manifest; 2] {
    let (name, labels) = (name(stored), labels(DATABASE, DATABASE));
    let content = content_name(namespace, &name);
    let mut spec = json!({
        "deletionPolicy": "Retain",
        "driver": stored.driver,
        "source": { "snapshotHandle": stored.handle },
        "volumeSnapshotRef": { "namespace": namespace, "name": name },
    });
    if let Some(mode) = stored.source_volume_mode {
        spec["sourceVolumeMode"] = json!(mode.as_str());
    }
    let of_content = json!({ "source": { "volumeSnapshotContentName": content } });
    [
        Manifest::new(
            Kind::VolumeSnapshotContent,
            content,
            &labels,
            json!({ "spec": spec }),
        ),
        Manifest::new(
            Kind::VolumeSnapshot,
            name,
            &labels,
            json!({ "spec": of_content }),
        ),
    ]
}

/// The VolumeSnapshotContent's name: it lies in no namespace, so its name tells previews apart.
pub(super) fn content_name(namespace: &NamespaceName, snapshot: &str) -> String {
    format!("{namespace}-{snapshot}")
}

/// What a volume's claim names as its source.
/// <https://kubernetes.io/docs/concepts/storage/persistent-volumes/#volume-snapshot-and-restore-volume-from-snapshot-support>
pub(super) fn data_source(stored: &StoredSnapshot) -> Value {
    let (group, _) = Kind::VolumeSnapshot
        .api_version()
        .split_once('/')
        .unwrap_or_default();
    json!({ "apiGroup": group, "kind": Kind::VolumeSnapshot.as_str(), "name": name(stored) })
}

/// The VolumeSnapshot that the claim of a StatefulSet's volume, as the cluster holds it, names as its source.
pub(super) fn source_of(stateful_set: &Value) -> Option<&str> {
    let claims = stateful_set["spec"]["volumeClaimTemplates"].as_array()?;
    let source = claims.iter().map(|claim| &claim["spec"]["dataSource"]);
    let mut of_kind = source.filter(|source| source["kind"] == Kind::VolumeSnapshot.as_str());
    of_kind.next()?["name"].as_str()
}

/// The snapshot at the storage that a VolumeSnapshotContent of [a pair](pair), as the cluster holds it, stands for.
pub(super) fn stored_by(content: &Value) -> Option<StoredSnapshot> {
    let (spec, text) = (&content["spec"], |value: &Value| {
        Some(value.as_str()?.to_owned())
    });
    let mode = spec["sourceVolumeMode"].as_str();
    Some(StoredSnapshot {
        driver: text(&spec["driver"])?,
        handle: text(&spec["source"]["snapshotHandle"])?,
        restore_size: None,
        source_volume_mode: VolumeMode::ALL
            .into_iter()
            .find(|known| Some(known.as_str()) == mode),
    })
}
