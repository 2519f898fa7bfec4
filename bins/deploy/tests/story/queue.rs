//! More pull requests than slots.

use futures::future::join_all;
use preview_core::names::RepositoryId;
use preview_core::ownership::{Owner, keys};
use serde_json::json;

use crate::DEPLOY;
use crate::shop::{Ran, Shop};

/// A pull request that CI has built, from a branch of its own.
fn opened(shop: &Shop, branch: &str) -> u64 {
    let page = format!("web/{branch}.html");
    let number = shop
        .repository
        .open_pull_request(branch, &[(&page, branch)]);
    shop.build(number);
    number
}

/// Deploys by hand: such runs can be started at the same time.
async fn deploy(shop: &Shop, number: u64) -> Ran {
    let head = shop.repository.head_of(number);
    let arguments = ["--pr", &number.to_string(), "--sha", &head];
    shop.run(DEPLOY, &arguments, &[]).await
}

fn annotation(shop: &Shop, number: u64, key: &str) -> String {
    let name = format!("preview-pr-{number}");
    let namespace = shop.world.cluster.object("Namespace", "", &name);
    let annotations = &namespace.unwrap()["metadata"]["annotations"];
    annotations[key].as_str().unwrap_or_default().to_owned()
}

/// The comment without times.
fn comment(shop: &Shop, number: u64) -> String {
    let text = shop.comment(number);
    let lines = text.lines().map(|line| match line.split_once(" since ") {
        Some((who, _)) => format!("{who} since [then]"),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_slot_waits_and_says_for_whom() {
    let shop = Shop::open().await;
    shop.configure("capacity = 1");
    let (first, second) = (opened(&shop, "cart"), opened(&shop, "search"));
    deploy(&shop, first).await.exits(0);
    let ran = deploy(&shop, second).await.exits(0);
    insta::assert_snapshot!(ran.verdict(), @"queued: all 1 slots are taken");
    insta::assert_snapshot!(comment(&shop, second), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: 🚦 Queued — 1 of 1
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    The one slot for previews is taken. This one is number 1 of 1 in the queue. It is deployed by itself when its turn comes: closing a pull request frees its slot.

    - `pr-7` since [then]

    [The run and its log](https://github.com/acme/shop/actions/runs/101/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-8`

    </details>
    ");
    assert_eq!(annotation(&shop, second, keys::CLAIM), "queued");
    assert_eq!(
        annotation(&shop, second, keys::APPROVED),
        shop.repository.head_of(second)
    );
    assert_eq!(shop.contents("preview-pr-8"), "");
    assert_eq!(annotation(&shop, first, keys::CLAIM), "held");
    assert_ne!(annotation(&shop, first, keys::HELD_SINCE), "");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn eleven_at_once_and_ten_slots() {
    let shop = Shop::open().await;
    let all: Vec<u64> = (0..11)
        .map(|n| opened(&shop, &format!("feature-{n}")))
        .collect();
    let ran = join_all(all.iter().map(|number| deploy(&shop, *number))).await;
    let of = |verdict: &str| {
        let ended = all.iter().zip(&ran);
        let ended = ended.filter(|(_, ran)| ran.result["verdict"] == verdict);
        ended.map(|(number, _)| *number).collect::<Vec<u64>>()
    };
    assert_eq!(
        (of("deployed").len(), of("queued").len()),
        (10, 1),
        "{ran:#?}"
    );
    let waiting = of("queued")[0];
    let told = comment(&shop, waiting);
    assert!(told.contains("**Status**: 🚦 Queued — 1 of 1"), "{told}");
    assert!(
        told.contains("All 10 slots for previews are taken."),
        "{told}"
    );
    for holder in of("deployed") {
        assert!(told.contains(&format!("- `pr-{holder}` since ")), "{told}");
    }
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_closes_while_it_is_deployed_frees_its_slot_for_the_next() {
    let shop = Shop::open().await;
    shop.configure("capacity = 1");
    shop.repository
        .add_dispatched_workflow("preview-deploy.yml", &["pr", "sha"]);
    let (first, second) = (opened(&shop, "cart"), opened(&shop, "search"));
    deploy(&shop, first).await.exits(0);
    deploy(&shop, second).await.exits(0);
    shop.repository
        .push(first, &[("web/cart.html", "a better cart")]);
    shop.build(first);
    let never = sandbox::cluster::Behaviour::NeverReady;
    shop.world.cluster.behave("acme/web", never);
    let phase = || annotation(&shop, first, keys::PHASE);
    let close = async {
        crate::shop::soon("it is updated", || phase() == "updating").await;
        shop.repository.close(first);
        let fine = sandbox::cluster::Behaviour::Fine { log: vec![] };
        shop.world.cluster.behave("acme/web", fine);
    };
    let (ran, ()) = tokio::join!(deploy(&shop, first), close);
    assert!(ran.exits(0).verdict().starts_with("destroyed: "));
    let dispatches = shop.repository.dispatches();
    let inputs: Vec<_> = dispatches
        .iter()
        .map(|dispatch| dispatch.inputs.clone())
        .collect();
    let head = shop.repository.head_of(second);
    assert_eq!(inputs, [json!({ "pr": "8", "sha": head })]);

    // And as GitHub starts it, it gets the slot.
    let ran = deploy(&shop, second).await.exits(0);
    assert!(ran.verdict().starts_with("deployed: "), "{ran:#?}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_that_a_dead_run_left_up_will_do_for_the_next() {
    let shop = Shop::open().await;
    shop.configure("capacity = 1");
    let number = opened(&shop, "cart");
    let owner = Owner {
        repository: RepositoryId(shop.repository.id()),
        subject: format!("pr-{number}").parse().unwrap(),
    };
    let left = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": format!("preview-pr-{number}"),
        "labels": owner.labels(),
        "annotations": {
            keys::HEAD: shop.repository.head_of(number), keys::FENCE: "50.1", keys::CLAIM: "claiming",
        },
        "finalizers": [keys::FINALIZER],
    } });
    shop.world.cluster.create("preview-deploy", left).unwrap();
    let ran = deploy(&shop, number).await.exits(0);
    let slot = ran.steps();
    let slot: Vec<&str> = slot
        .lines()
        .filter(|line| line.contains(" slot of "))
        .collect();
    insta::assert_snapshot!(slot.join("\n"), @"✓ held slot of preview-pr-7");
    shop.close();
}
