//! What a preview uses, and all that it is.

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Context as _, ensure};
use preview_core::{outcome::Program, ownership::keys, quota::Overdraft};
use serde_json::Value;

use super::{super::kube::until, PATIENCE, Stage, runs::Event};

/// Everything that a preview can be made of, by the server's own view.
const KINDS: [(&str, &str); 15] = [
    ("v1", "ResourceQuota"),
    ("v1", "LimitRange"),
    ("v1", "ServiceAccount"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Service"),
    ("v1", "Pod"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
];

/// Every object of a preview by its kind and name, without what may change: its status, and the fence with what follows
/// from it. Never printed as a whole: Secrets are among them.
pub(crate) struct Everything(BTreeMap<String, Value>);

impl Stage {
    /// Adds sections to the configuration.
    pub(crate) fn configure(&mut self, sections: &str) {
        sections.clone_into(&mut self.sections);
    }

    /// Runs `preview-deploy` for a preview that does not fit its quota; gives who needs how much.
    pub(crate) async fn deploy_beyond_quota(&mut self) -> anyhow::Result<Overdraft> {
        let ended = self.run(Program::Deploy, Event::WorkflowRun).await?;
        let result = ended.with(1, "refused")?.result;
        result
            .overdraft
            .context("preview-deploy does not say who needs how much")
    }

    /// Waits until the quota controller counts so many CPUs of limits: what runs at rest, and no Job any more.
    pub(crate) async fn uses_what_the_arithmetic_says(&self, cpus: &str) -> anyhow::Result<()> {
        let namespace = self.preview()?;
        until(Instant::now() + PATIENCE, async || {
            let quota = self.object("v1", "ResourceQuota", Some(&namespace), "preview");
            let used = quota.await?["status"]["used"].clone();
            Ok(match used["limits.cpu"] == cpus {
                true => Ok(()),
                false => Err(format!("{cpus} CPUs should be used: {used}")),
            })
        })
        .await?;
        self.progress.say(&format!(
            "the quota controller counts {cpus} CPUs of limits"
        ));
        Ok(())
    }

    /// Everything that the preview is.
    pub(crate) async fn everything(&self) -> anyhow::Result<Everything> {
        let namespace = self.preview()?;
        let mut all = BTreeMap::new();
        for (api, kind) in KINDS {
            for object in self.list(api, kind, Some(&namespace)).await? {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                // A pod of a Deployment that is gone may take its time.
                if object["metadata"].get("deletionTimestamp").is_none() {
                    all.insert(format!("{kind}/{name}"), lasting(object.clone()));
                }
            }
        }
        let whole = self.object("v1", "Namespace", None, &namespace).await?;
        all.insert(format!("Namespace/{namespace}"), lasting(whole));
        Ok(Everything(all))
    }

    /// Checks that nothing of the preview is another than `before`: specs, data, generations and uids, the pods' too.
    pub(crate) async fn is_as_before(&self, before: &Everything) -> anyhow::Result<()> {
        let now = self.everything().await?;
        let names = before.0.keys().chain(now.0.keys());
        let mut changed: Vec<String> = names
            .filter(|name| before.0.get(*name) != now.0.get(*name))
            .map(|name| difference(name, before.0.get(name), now.0.get(name)))
            .collect();
        changed.sort();
        changed.dedup();
        ensure!(
            changed.is_empty(),
            "a deploy that should change nothing changed:\n{}",
            changed.join("\n")
        );
        let count = now.0.len();
        self.progress
            .say(&format!("{count} objects are as they were"));
        Ok(())
    }
}

/// The object without its status, and without the fence, its version and who last wrote what of it.
fn lasting(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    let metadata = &mut object["metadata"];
    for (place, keys) in [
        ("", &["resourceVersion", "managedFields"][..]),
        ("labels", &[keys::FENCE]),
        // The fence once more, as that of a run that came to its end, and when it began.
        ("annotations", &[keys::FENCE, keys::COMPLETED, keys::ACTIVE]),
    ] {
        let fields = match place {
            "" => metadata.as_object_mut(),
            place => metadata.get_mut(place).and_then(Value::as_object_mut),
        };
        if let Some(fields) = fields {
            for key in keys {
                fields.remove(*key);
            }
        }
    }
    object
}

/// Where two states of an object differ; of Secrets nothing is shown.
fn difference(name: &str, before: Option<&Value>, now: Option<&Value>) -> String {
    match (before, now) {
        (Some(_), None) => format!("{name} is gone"),
        (None, Some(_)) => format!("{name} is new"),
        (Some(before), Some(now)) if !name.starts_with("Secret/") => {
            let mut places = Vec::new();
            compare("", before, now, &mut places);
            format!("{name}: {}", places.join(", "))
        }
        _ => format!("{name} is another"),
    }
}

fn compare(place: &str, before: &Value, now: &Value, places: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            let keys: std::collections::BTreeSet<_> = before.keys().chain(now.keys()).collect();
            for key in keys {
                let of = |fields: &serde_json::Map<String, Value>| {
                    fields.get(key).cloned().unwrap_or_default()
                };
                compare(&format!("{place}.{key}"), &of(before), &of(now), places);
            }
        }
        (before, now) if before != now => places.push(format!("{place} was {before}, is {now}")),
        _ => {}
    }
}
