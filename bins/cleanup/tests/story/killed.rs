//! A cleanup that is killed, and run again: after each of its writes, and after every fifth of its reads.
//! `cargo xtask test --judged` takes them all.
//!
//! In a world of its own for each request a run is frozen when it has had the answer, and killed there: it does not get to
//! say anything. What the next one leaves must be what one leaves that nothing happened to.

use futures::{StreamExt as _, stream};
use preview_core::deployments::{RECORD, subject_of};
use preview_core::names::RepositoryId;
use preview_core::record::{Record, VERSION};

use crate::images::{built, deployed};
use crate::shop::{is_write, reads};
use crate::*;

/// Worlds at the same time.
const WORLDS: usize = 4;

/// A closed pull request with all that a deploy leaves of it, and another one that waits for its slot.
async fn left_to_clean_up() -> (Shop, u64) {
    let shop = Shop::open().await;
    shop.configure("capacity = 1");
    shop.repository
        .add_dispatched_workflow("preview-deploy.yml", &["pr", "sha"]);
    let number = built(&shop, "cart");
    preview(&shop, number).await;
    deployed(&shop, number).await;
    recorded(&shop, number).await;
    waiting(&shop, "search");
    shop.repository.close(number);
    (shop, number)
}

/// Keeps what was tested, as a deploy does.
pub(crate) async fn recorded(shop: &Shop, number: u64) {
    let head = shop.repository.head_of(number);
    let built_from = shop.repository.merge_commit_of(number).unwrap();
    let record = Record {
        version: VERSION,
        repository: RepositoryId(shop.repository.id()),
        slug: "acme/shop".parse().unwrap(),
        subject: format!("pr-{number}").parse().unwrap(),
        head: head.parse().unwrap(),
        tree: shop.repository.tree(&built_from).parse().unwrap(),
        base: None,
        components: [].into(),
        pods: [].into(),
        run: "50.1".parse().unwrap(),
        approval: None,
        tested_at: "2025-12-19T14:32:00Z".parse().unwrap(),
    };
    let request = DeploymentRequest {
        reference: record.head.clone(),
        environment: preview_core::deployments::ENVIRONMENT.to_owned(),
        task: RECORD.to_owned(),
        description: "Tested".to_owned(),
        payload: record.payload(None),
        production: false,
        transient: true,
    };
    github(shop).create_deployment(&request).await.unwrap();
}

/// Runs a cleanup by a way with a gate on it.
async fn clean_up_through(shop: &Shop, number: u64, gate: &Gate) -> Ran {
    let github = shop.world.github.through(gate).await.unwrap();
    let cluster = shop.world.cluster.through(gate).await.unwrap();
    let kubeconfig = shop.path("kubeconfig-with-a-gate");
    std::fs::write(&kubeconfig, shop.world.cluster.kubeconfig_at(&cluster)).unwrap();
    let ways = [
        ("GITHUB_API_URL", github),
        ("KUBECONFIG", kubeconfig.to_str().unwrap().to_owned()),
    ];
    shop.run(CLEANUP, &["--pr", &number.to_string()], &ways)
        .await
}

/// Everything that is left of the preview, and what is told of it. The receipt is not part of it: what was gone before
/// nobody can prove any more.
fn left(shop: &Shop, number: u64) -> String {
    let cluster = &shop.world.cluster;
    let mut lines = vec![
        format!("its Namespace is there: {}", is_there(shop, number)),
        format!("volumes: {:?}", cluster.names("PersistentVolume", "")),
        format!("labels: {:?}", shop.repository.labels(number)),
        format!("defined: {:?}", shop.repository.label_definitions()),
        format!("images: {:?}", shop.world.github.packages()),
    ];
    let repository = RepositoryId(shop.repository.id());
    lines.extend(shop.repository.deployments().iter().map(|deployment| {
        let subject = subject_of(&deployment.payload, repository).unwrap();
        let kind = deployment.payload["kind"].as_str().unwrap();
        format!("{kind} of {subject}: {}", deployment.state)
    }));
    let dispatches = shop.repository.dispatches().into_iter();
    let started = dispatches.map(|one| one.inputs["pr"].as_str().unwrap().to_owned());
    // A run that is started twice finds its work done.
    let started: BTreeSet<String> = started.collect();
    lines.push(format!("started: {started:?}"));
    for (_, body) in shop.repository.comments(number) {
        let status = body.lines().find(|line| line.starts_with("**Status**: "));
        lines.push(format!("told: {}", status.unwrap()));
    }
    lines.join("\n")
}

/// Kills a cleanup after its request `nth`, and runs another; gives what is left then, and where that was.
async fn killed_after(nth: usize) -> (String, String) {
    let (shop, number) = left_to_clean_up().await;
    let gate = Gate::closed_from(nth + 1);
    {
        let cleanup = clean_up_through(&shop, number, &gate);
        tokio::pin!(cleanup);
        tokio::select! {
            _ = &mut cleanup => {}
            () = gate.holds() => {}
        }
        // What is dropped here is killed.
    }
    let came = gate.came();
    let last = nth.checked_sub(1).and_then(|last| came.get(last));
    let place = format!(
        "killed after request {nth}, {}",
        last.map_or("none", String::as_str)
    );
    let again = on_closed(&shop, number).await;
    let mut left = left(&shop, number);
    if again.exit != 0 {
        left = format!("{left}\n{again:#?}");
    }
    shop.close();
    (place, left)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_cleanup_left_the_next_one_finishes_wherever_it_died() {
    let (shop, number) = left_to_clean_up().await;
    let gate = Gate::closed_from(usize::MAX);
    clean_up_through(&shop, number, &gate).await.exits(0);
    let undisturbed = left(&shop, number);
    insta::assert_snapshot!(undisturbed, @r#"
    its Namespace is there: false
    volumes: []
    labels: []
    defined: []
    images: []
    preview-environments/progress of pr-7: inactive
    preview-environments/record of pr-7: inactive
    started: {"8"}
    told: **Status**: 🗑️ Destroyed
    "#);
    shop.close();

    let reads = reads();
    let came = gate.came();
    let numbered = came.iter().zip(1..);
    let chosen: Vec<usize> = numbered
        .filter(|(request, nth)| is_write(request) || nth % reads == 0)
        .map(|(_, nth)| nth)
        .collect();
    let writes = came.iter().filter(|request| is_write(request)).count();
    assert!(
        writes > 12,
        "{writes} writes are not a whole cleanup: {came:#?}"
    );
    let found = stream::iter(chosen).map(killed_after).buffered(WORLDS);
    let found = found.filter(|(_, left)| std::future::ready(*left != undisturbed));
    let found: Vec<String> = found
        .map(|(place, left)| format!("{place}:\n{left}"))
        .collect()
        .await;
    assert!(
        found.is_empty(),
        "{} of {} found:\n{}",
        found.len(),
        came.len(),
        found.join("\n\n")
    );
}
