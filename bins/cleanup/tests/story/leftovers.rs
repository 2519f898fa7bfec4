//! What runs that woke up late have left in previews.

use crate::sweep::{annotate, previewed, swept};
use crate::*;

/// A preview that a run has completed; its fence.
fn completed(shop: &Shop, branch: &str, conclusion: &str) -> (u64, String) {
    let number = previewed(shop, branch);
    let run = shop.repository.start_run(number, "preview-deploy.yml");
    shop.repository.finish_run(run, conclusion);
    let fence = format!("{run}.1");
    for (key, value) in [
        (keys::FENCE, fence.as_str()),
        (keys::COMPLETED, fence.as_str()),
        (keys::PHASE, "ready"),
    ] {
        annotate(shop, number, key, value);
    }
    (number, fence)
}

/// An object in the preview that the run `fence` has written.
fn written(shop: &Shop, number: u64, (kind, name): (&str, &str), fence: &str) {
    let mut labels = json!(owner(shop, number).labels());
    labels[keys::FENCE] = json!(fence);
    let mut object = json!({ "apiVersion": "v1", "kind": kind,
        "metadata": { "name": name, "namespace": format!("preview-pr-{number}"), "labels": labels } });
    if kind == "PersistentVolumeClaim" {
        object["spec"] = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
    }
    shop.world.cluster.create("preview-deploy", object).unwrap();
}

fn config_maps(shop: &Shop, number: u64) -> Vec<String> {
    let namespace = format!("preview-pr-{number}");
    let mut names = shop.world.cluster.names("ConfigMap", &namespace);
    names.retain(|name| name != "kube-root-ca.crt");
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_late_run_left_in_a_preview_goes_once_the_newer_one_has_succeeded() {
    let shop = Shop::open().await;
    let (ready, fence) = completed(&shop, "ready", "success");
    for (name, by) in [
        ("settings", fence.as_str()),
        ("late", "50.1"),
        ("database-state", "50.1"),
    ] {
        written(&shop, ready, ("ConfigMap", name), by);
    }
    written(&shop, ready, ("Secret", "app-secret"), "50.1");
    written(&shop, ready, ("PersistentVolumeClaim", "data"), "50.1");
    let others = [
        completed(&shop, "failed", "failure").0,
        completed(&shop, "asleep", "success").0,
        completed(&shop, "updating", "success").0,
    ];
    annotate(&shop, others[1], keys::ASLEEP_SINCE, "2026-01-01T00:00:00Z");
    annotate(&shop, others[2], keys::PHASE, "updating");
    for number in others {
        written(&shop, number, ("ConfigMap", "late"), "50.1");
    }

    let ran = shop.run(CLEANUP, &["sweep"], &[]).await.exits(0);
    let told = swept(&ran).replace(&fence, "[fence]");
    insta::assert_snapshot!(told, @"preview-pr-7 pruned: runs before [fence] had left ConfigMap/late there");
    assert_eq!(config_maps(&shop, ready), ["database-state", "settings"]);
    for (kind, name) in [("Secret", "app-secret"), ("PersistentVolumeClaim", "data")] {
        let stays = shop.world.cluster.object(kind, "preview-pr-7", name);
        assert!(stays.is_some(), "{kind}");
    }
    for number in others {
        assert_eq!(config_maps(&shop, number), ["late"]);
    }
    let requests = shop.world.cluster.traffic().exchanges().into_iter();
    let lists = requests.filter(|asked| asked.target.starts_with("/api/v1/configmaps"));
    assert_eq!(lists.count(), 1);
    shop.close();
}
