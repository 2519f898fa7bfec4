//! What a sweep tells Prometheus.

use crate::sweep::{annotate, orphans, previewed};
use crate::*;

/// The metrics that tell something, without when and how long.
fn metrics(shop: &Shop) -> String {
    let text = std::fs::read_to_string(shop.path("sweep.prom")).unwrap();
    let lines = text.lines().filter(|line| {
        let is_nothing = line.starts_with('#') || line.ends_with("} 0");
        !is_nothing || line.contains("_success")
    });
    let lines = lines.filter(|line| !line.contains("_seconds"));
    let lines = lines.map(|line| line.replace("repository=\"acme/shop\"", ""));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_is_told_what_there_is_and_what_was_done() {
    let shop = Shop::open().await;
    shop.configure("sweep = { limit = 1 }");
    let open = previewed(&shop, "open");
    annotate(&shop, open, keys::PHASE, "ready");
    waiting(&shop, "search");
    orphans(&shop, 2);
    let file = shop.path("sweep.prom");
    let sweep = ["sweep", "--metrics", file.to_str().unwrap()];
    shop.run(CLEANUP, &sweep, &[]).await.exits(1);
    insta::assert_snapshot!(metrics(&shop), @r#"
    preview_environments_previews{,phase="ready"} 1
    preview_environments_previews{,phase="unknown"} 2
    preview_environments_slots{,claim="held"} 2
    preview_environments_slots{,claim="queued"} 1
    preview_environments_capacity{} 10
    preview_environments_queue_length{} 1
    preview_environments_swept{,measure="destroyed"} 1
    preview_environments_swept{,measure="left"} 1
    # HELP preview_environments_sweep_success Whether the last sweep ended with exit code 0.
    # TYPE preview_environments_sweep_success gauge
    preview_environments_sweep_success{} 0
    "#);
    shop.run(CLEANUP, &sweep, &[]).await.exits(0);
    insta::assert_snapshot!(metrics(&shop), @r#"
    preview_environments_previews{,phase="ready"} 1
    preview_environments_previews{,phase="unknown"} 1
    preview_environments_slots{,claim="held"} 1
    preview_environments_slots{,claim="queued"} 1
    preview_environments_capacity{} 10
    preview_environments_queue_length{} 1
    preview_environments_swept{,measure="destroyed"} 1
    # HELP preview_environments_sweep_success Whether the last sweep ended with exit code 0.
    # TYPE preview_environments_sweep_success gauge
    preview_environments_sweep_success{} 1
    "#);
    let times = std::fs::read_to_string(&file).unwrap();
    let ended = times.lines().find_map(|line| {
        let name = "preview_environments_sweep_timestamp_seconds{repository=\"acme/shop\"} ";
        line.strip_prefix(name)?.parse::<i64>().ok()
    });
    let ago = jiff::Timestamp::now().as_second() - ended.unwrap();
    assert!((0..60).contains(&ago), "{ago}");
    // Nothing is left beside it that a collector could take for another.
    let left = std::fs::read_dir(shop.folder.path()).unwrap();
    let left = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_str().unwrap().starts_with("sweep.prom")
    });
    assert_eq!(left.count(), 1);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_without_its_metrics_has_failed_and_has_swept() {
    let shop = Shop::open().await;
    let closed = previewed(&shop, "closed");
    shop.repository.close(closed);
    let file = shop.path("no-folder/sweep.prom");
    let sweep = ["sweep", "--metrics", file.to_str().unwrap()];
    let ran = shop.run(CLEANUP, &sweep, &[]).await.exits(2);
    insta::assert_snapshot!(ran.error(), @"error: write the metrics to @JOB@/no-folder/sweep.prom: No such file or directory (os error 2); make it writable");
    assert!(!is_there(&shop, closed));
    let dry = ["sweep", "--dry-run", "--metrics", "sweep.prom"];
    shop.run(CLEANUP, &dry, &[]).await.exits(2);
    assert!(!shop.path("sweep.prom").exists());
    shop.close();
}
