//! What the definitions of volume snapshots demand beyond required fields: an enumeration, and their rules in CEL.
//! <https://github.com/kubernetes-csi/external-snapshotter/tree/v8.4.0/client/config/crd>

use serde_json::{Value, json};

/// Fields that have to stay once they are there: kind, where, and the field.
const FIXED: [(&str, &str, &str); 5] = [
    ("VolumeSnapshot", "source", "persistentVolumeClaimName"),
    ("VolumeSnapshot", "source", "volumeSnapshotContentName"),
    ("VolumeSnapshotContent", "source", "snapshotHandle"),
    ("VolumeSnapshotContent", "source", "volumeHandle"),
    ("VolumeSnapshotContent", "", "sourceVolumeMode"),
];

const POLICIES: [&str; 2] = ["Delete", "Retain"];

/// A policy that there is not. It keeps the server from looking at the rules, as a required field does that is not there.
pub(super) fn enumeration(kind: &str, spec: &Value) -> Option<(String, String)> {
    let policy = spec["deletionPolicy"].as_str()?;
    let known = kind != "VolumeSnapshotContent" || POLICIES.contains(&policy);
    (!known).then(|| {
        let what =
            format!("Unsupported value: {policy:?}: supported values: \"Delete\", \"Retain\"");
        ("spec.deletionPolicy".to_owned(), what)
    })
}

/// The rules that an object breaks by itself.
pub(super) fn rules(kind: &str, spec: &Value) -> Vec<(String, String)> {
    let mut mistakes = Vec::new();
    let has = |field: &str| spec["source"].get(field).is_some();
    let mut one_of = |[one, other]: [&str; 2]| {
        if has(one) == has(other) {
            let why = format!("exactly one of {one} and {other} must be set");
            mistakes.push(broken("spec.source", &why));
        }
    };
    match kind {
        "VolumeSnapshot" => one_of(["volumeSnapshotContentName", "persistentVolumeClaimName"]),
        "VolumeSnapshotContent" => one_of(["volumeHandle", "snapshotHandle"]),
        _ => {}
    }
    let of = &spec["volumeSnapshotRef"];
    if kind == "VolumeSnapshotContent"
        && (of.get("name").is_none() || of.get("namespace").is_none())
    {
        let why =
            "both spec.volumeSnapshotRef.name and spec.volumeSnapshotRef.namespace must be set";
        mistakes.push(broken("spec.volumeSnapshotRef", why));
    }
    if kind == "VolumeSnapshot" && spec["volumeSnapshotClassName"] == "" {
        let why = "volumeSnapshotClassName must not be the empty string when set";
        let what = format!("Invalid value: {}: {why}", json!(""));
        mistakes.push(("spec.volumeSnapshotClassName".to_owned(), what));
    }
    mistakes
}

/// The rules that a change breaks.
pub(super) fn changes(kind: &str, before: &Value, after: &Value) -> Vec<(String, String)> {
    let fixed = FIXED.iter().filter(|(of, ..)| *of == kind);
    fixed
        .filter_map(|(_, within, field)| {
            let (place, before, after) = match *within {
                "" => ("spec".to_owned(), before, after),
                within => (format!("spec.{within}"), &before[within], &after[within]),
            };
            match (before.get(field)?, after.get(field)) {
                (_, None) => Some(broken(&place, &format!("{field} is required once set"))),
                (before, Some(after)) if before == after => None,
                (_, Some(after)) => {
                    let what = format!("Invalid value: {after}: {field} is immutable");
                    Some((format!("{place}.{field}"), what))
                }
            }
        })
        .collect()
}

/// Of an object the server does not repeat the value.
fn broken(place: &str, why: &str) -> (String, String) {
    (place.to_owned(), format!("Invalid value: {why}"))
}
