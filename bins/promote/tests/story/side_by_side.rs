//! Two promotions at once: the newer commit wins, and never half of each.

use futures::{StreamExt as _, stream};
use sandbox::Gate;

use crate::shop::{is_write, reads};
use crate::*;

/// Worlds at the same time.
const WORLDS: usize = 4;

/// Two pull requests that are merged and tested, and neither promoted; their commits, the older first.
async fn two_merged() -> (Shop, [String; 2], u64) {
    let (shop, _, older) = merged().await;
    let (number, newer) = merged_another(&shop, "tea").await;
    (shop, [older, newer], number)
}

/// Freezes the promotion of one commit at its request `nth`, has that of the other run whole, and lets it go on; what
/// came of the frozen one, and its requests.
async fn meanwhile(shop: &Shop, frozen: &str, whole: &str, nth: usize) -> (Ran, Vec<String>) {
    let gate = Gate::closed_from(nth);
    let (first, second) = (["--commit", frozen], ["--commit", whole]);
    let run = killed::through(shop, &first, &gate);
    tokio::pin!(run);
    let early = tokio::select! {
        ran = &mut run => Some(ran),
        () = gate.holds() => None,
    };
    shop.run(PROMOTE, &second, &[]).await.exits(0);
    gate.open();
    let ran = match early {
        Some(ran) => ran,
        None => run.await,
    };
    (ran, gate.came())
}

/// Freezes the promotion of the newer or of the older commit at its request `nth`.
async fn interrupted(of_newer: bool, nth: usize) -> String {
    let (shop, [older, newer], number) = two_merged().await;
    let (frozen, whole) = if of_newer {
        (&newer, &older)
    } else {
        (&older, &newer)
    };
    let (ran, came) = meanwhile(&shop, frozen, whole, nth).await;
    let at = came.get(nth - 1).cloned().unwrap_or_default();
    ran.exits(0);
    let runs = ["web", "api"].map(|component| {
        let tags = shop.world.registry.tags(&format!("acme/{component}"));
        let digest = &tags[&shop.repository.head_of(number)];
        runs(&shop, component).ends_with(digest) && tags["latest"] == *digest
    });
    shop.close();
    match runs {
        [true, true] => String::new(),
        other => format!("frozen at {at}, newer: {of_newer}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_promotions_at_once_the_newer_commit_ends_up_everywhere() {
    for of_newer in [false, true] {
        let (shop, [older, newer], _) = two_merged().await;
        let commit = if of_newer { &newer } else { &older };
        let open = Gate::closed_from(usize::MAX);
        killed::through(&shop, &["--commit", commit], &open)
            .await
            .exits(0);
        shop.close();
        let came = open.came();
        let nth = |(at, request): (usize, &String)| {
            (is_write(request) || at % reads() == 0).then_some(at + 1)
        };
        let each = came.iter().enumerate().filter_map(nth);
        let each = stream::iter(each).map(|nth| interrupted(of_newer, nth));
        let wrong: Vec<String> = each.buffer_unordered(WORLDS).collect().await;
        assert!(wrong.len() > 15, "{came:#?}");
        let wrong: Vec<&String> = wrong.iter().filter(|it| !it.is_empty()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
