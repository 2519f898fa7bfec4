//! Commands of components that run once for each database: `migrate` and `seed`.

use serde_json::{Value, json};

use super::{Preview, labels, pod, short_hash};
use crate::config::Component;
use crate::names::{PinnedImage, Uid};
use crate::objects::{Kind, Manifest};

/// A migration that failed is tried once more: the database may just have been restarting.
const RETRIES: u32 = 1;

/// `migrate` of every component that has one, then `seed`; a wave of nothing is left out.
pub(super) fn waves(preview: &Preview<'_>, volume_claim: &Uid) -> Vec<Vec<Manifest>> {
    if preview.config.database.is_none() {
        return Vec::new();
    }
    type Command = fn(&Component) -> Option<&Vec<String>>;
    let waves: [(&str, Command); 2] = [
        ("migrate", |component| component.migrate.as_ref()),
        ("seed", |component| component.seed.as_ref()),
    ];
    let wave = |(what, command): (&str, Command)| -> Vec<Manifest> {
        let jobs = preview.images.iter().filter_map(|(component, image)| {
            let command = command(component)?;
            Some(job(preview, component, image, what, command, volume_claim))
        });
        jobs.collect()
    };
    waves
        .into_iter()
        .map(wave)
        .filter(|wave| !wave.is_empty())
        .collect()
}

fn job(
    preview: &Preview<'_>,
    component: &Component,
    image: &PinnedImage,
    what: &str,
    command: &[String],
    volume_claim: &Uid,
) -> Manifest {
    // Not the component's own name: its Service must not take a migration for a replica.
    let program = format!("{}-{what}", component.name);
    let labels = labels(&program, component.name.as_str());
    let mut container = pod::container(preview, component, image, what);
    container["command"] = json!(command);
    let mut spec = pod::spec(container);
    spec["restartPolicy"] = json!("Never");
    let template = json!({ "metadata": { "labels": labels }, "spec": spec });
    let hash = short_hash(&[&template, &Value::String(volume_claim.to_string())]);
    let spec = json!({
        "backoffLimit": RETRIES,
        "activeDeadlineSeconds": preview.config.deadline.as_secs(),
        "template": template,
    });
    Manifest::new(
        Kind::Job,
        format!("{program}-{hash}"),
        &labels,
        json!({ "spec": spec }),
    )
}
