//! A promotion that is killed, and run again: after each of its writes, and after every fifth of its reads.
//! `cargo xtask test --judged` takes them all.

use futures::{StreamExt as _, stream};
use sandbox::Gate;

use crate::shop::{is_write, reads};
use crate::*;

/// Worlds at the same time.
const WORLDS: usize = 4;

/// Runs the program by a way with a gate on it.
pub(crate) async fn through(shop: &Shop, arguments: &[&str], gate: &Gate) -> Ran {
    let github = shop.world.github.through(gate).await.unwrap();
    let cluster = shop.world.cluster.through(gate).await.unwrap();
    let kubeconfig = shop.path("kubeconfig-with-a-gate");
    std::fs::write(&kubeconfig, shop.world.cluster.kubeconfig_at(&cluster)).unwrap();
    let ways = [
        ("GITHUB_API_URL", github),
        ("KUBECONFIG", kubeconfig.to_str().unwrap().to_owned()),
    ];
    shop.run(PROMOTE, arguments, &ways).await
}

/// What people and the next run find.
fn left(shop: &Shop, number: u64, commit: &str) -> String {
    let mut lines = Vec::new();
    for component in ["web", "api"] {
        let deployment = shop
            .world
            .cluster
            .object("Deployment", "shop", component)
            .unwrap();
        let annotations = &deployment["metadata"]["annotations"];
        let is_m = annotations["preview-environments/commit"] == commit;
        let kept = annotations["preview-environments/before"].as_str().unwrap();
        let tags = shop.world.registry.tags(&format!("acme/{component}"));
        lines.push(format!(
            "{component}: as tested {}, of M {is_m}, what ran before is known {}, latest {}",
            runs(shop, component).ends_with(&tags[&shop.repository.head_of(number)]),
            kept.contains(&before(component)),
            runs(shop, component).ends_with(&tags["latest"]),
        ));
    }
    lines.push(format!("labels: {:?}", shop.repository.labels(number)));
    let mut deployments: Vec<String> = shop
        .repository
        .deployments()
        .into_iter()
        .map(|it| format!("deployment to {}: {}", it.environment, it.state))
        // One that was created and not told of is put away by the next run.
        .filter(|it| it != "deployment to production: inactive")
        .collect();
    deployments.sort();
    lines.extend(deployments);
    for (_, body) in shop.repository.comments(number) {
        let status = body.lines().find(|line| line.starts_with("**Status**: "));
        lines.push(format!("told: {}", status.unwrap()));
    }
    lines.join("\n")
}

/// Kills a promotion after its request `nth`, and runs another; gives what is left then, and where that was.
async fn killed_after(nth: usize) -> (String, String) {
    let (shop, number, commit) = merged().await;
    target(&shop, "migrate = { component = \"api\" }\n");
    let gate = Gate::closed_from(nth + 1);
    let arguments = ["--commit", commit.as_str()];
    {
        let promotion = through(&shop, &arguments, &gate);
        tokio::pin!(promotion);
        tokio::select! {
            _ = &mut promotion => {}
            () = gate.holds() => {}
        }
        // What is dropped here is killed.
    }
    let came = gate.came();
    let last = came.get(nth - 1).cloned().unwrap_or_default();
    let next = shop.run(PROMOTE, &["--commit", &commit], &[]).await;
    assert_eq!(next.exit, 0, "killed after {last}: {next:#?}");
    let left = left(&shop, number, &commit);
    shop.close();
    (left, last)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_was_killed_anywhere_is_made_good_by_the_next() {
    let (shop, number, commit) = merged().await;
    target(&shop, "migrate = { component = \"api\" }\n");
    let open = Gate::closed_from(usize::MAX);
    through(&shop, &["--commit", &commit], &open).await.exits(0);
    let whole = left(&shop, number, &commit);
    let came = open.came();
    shop.close();
    insta::assert_snapshot!(whole, @r"
    web: as tested true, of M true, what ran before is known true, latest true
    api: as tested true, of M true, what ran before is known true, latest true
    labels: []
    deployment to preview: inactive
    deployment to production: success
    told: **Status**: 🚀 Promoted — production
    ");

    let nth = |(at, request): (usize, &String)| {
        (is_write(request) || at % reads() == 0).then_some(at + 1)
    };
    let killed = came.iter().enumerate().filter_map(nth);
    let each = stream::iter(killed).map(killed_after);
    let each: Vec<(String, String)> = each.buffer_unordered(WORLDS).collect().await;
    assert!(each.len() > 15, "{came:#?}");
    for (left, last) in each {
        assert_eq!(left, whole, "killed after {last}");
    }
}
