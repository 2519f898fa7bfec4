//! The way back by hand, the freeze that it leaves, and the history.

use crate::receivers::Slack;
use crate::*;

/// Two pull requests, one after the other, in production; their numbers and commits.
async fn two_promotions() -> (Shop, [(u64, String); 2]) {
    let (shop, number, first) = merged().await;
    on_push(&shop, &first).await.exits(0);
    let (second, newer) = merged_another(&shop, "tea").await;
    on_push(&shop, &newer).await.exits(0);
    (shop, [(number, first), (second, newer)])
}

fn image_of(shop: &Shop, number: u64, component: &str) -> String {
    let tags = shop.world.registry.tags(&format!("acme/{component}"));
    let digest = &tags[&shop.repository.head_of(number)];
    format!("{}/acme/{component}@{digest}", shop.world.registry.host())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_goes_to_what_was_promoted_before_and_freezes_until_resume() {
    let (shop, [(older, first), (newer, second)]) = two_promotions().await;
    assert_eq!(runs(&shop, "web"), image_of(&shop, newer, "web"));

    let _ = rustls::crypto::ring::default_provider().install_default();
    let slack = Slack::answering(&[]).await;
    let variables = [
        ("PREVIEW_SLACK_WEBHOOK", slack.url()),
        ("GITHUB_ACTOR", "alice".to_owned()),
    ];
    let back = ["rollback", "--reason", "tea is too dear"];
    let ran = shop.run(PROMOTE, &back, &variables).await.exits(0);
    assert_eq!(
        ran.verdict(),
        format!("rolled-back: production runs {}", &first[..7])
    );
    for component in ["web", "api"] {
        assert_eq!(runs(&shop, component), image_of(&shop, older, component));
        let tags = shop.world.registry.tags(&format!("acme/{component}"));
        assert!(runs(&shop, component).ends_with(&tags["latest"]));
    }
    let told = shop.comment(newer);
    let told = told.replace(&first[..7], "[first]");
    insta::assert_snapshot!(plain(&shop, newer, &second, &told), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ↩️ Rolled back — production
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    **Merged as**: [M]
    **Runs instead**: [first]
    **Why**: tea is too dear (from [M] to [first] by alice, run 102.1)
    **Next**: nothing is promoted there until `preview-promote resume --target production`

    [The run and its log](https://github.com/acme/shop/actions/runs/102/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `shop`

    </details>
    ");
    assert!(
        slack.text().contains("production was rolled back to"),
        "{}",
        slack.text()
    );

    // What is merged next is kept out, in the words of who rolled back.
    let (third, next) = merged_another(&shop, "milk").await;
    let ran = on_push(&shop, &next).await.exits(1);
    assert_eq!(ran.output("broken-links"), "production: not frozen");
    let error = ran.error().replace(&first[..7], "[first]");
    insta::assert_snapshot!(plain(&shop, newer, &second, &error), @"error: production: not frozen: production is frozen: tea is too dear (from [M] to [first] by alice, run 102.1); when it may be promoted to again: `preview-promote resume --target production`");
    assert_eq!(runs(&shop, "web"), image_of(&shop, older, "web"));

    let ran = shop.run(PROMOTE, &["resume"], &[]).await.exits(0);
    assert!(
        ran.verdict().starts_with(
            "resumed: production may be promoted to again; it was frozen: tea is too dear"
        ),
        "{ran:#?}"
    );
    on_push(&shop, &next).await.exits(0);
    assert_eq!(runs(&shop, "web"), image_of(&shop, third, "web"));
    let again = shop.run(PROMOTE, &["resume"], &[]).await.exits(0);
    assert_eq!(again.verdict(), "nothing: production is not frozen");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_goes_further_back_each_time_and_where_one_says() {
    let (shop, [(older, first), (newer, second)]) = two_promotions().await;
    let (_, third) = merged_another(&shop, "milk").await;
    on_push(&shop, &third).await.exits(0);
    let to = ["rollback", "--to", &second];
    shop.run(PROMOTE, &to, &[]).await.exits(0);
    assert_eq!(runs(&shop, "web"), image_of(&shop, newer, "web"));
    shop.run(PROMOTE, &["rollback"], &[]).await.exits(0);
    assert_eq!(runs(&shop, "web"), image_of(&shop, older, "web"));
    let ran = shop.run(PROMOTE, &["rollback"], &[]).await.exits(1);
    let error = ran.error().replace(&first[..7], "[first]");
    insta::assert_snapshot!(error, @"error: nothing was promoted to production before [first]; name a tested commit of main with --to");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_way_back_to_what_was_never_tested_or_is_gone() {
    let (shop, [(older, first), _]) = two_promotions().await;
    let untested = shop.repository.parents(&first)[0].clone();
    pushed_long_ago(&shop, &untested);
    let to = ["rollback", "--to", &untested];
    let ran = shop.run(PROMOTE, &to, &[]).await.exits(1);
    assert_eq!(ran.output("broken-links"), "tested");
    let digest = image_of(&shop, older, "web");
    let (_, digest) = digest.split_once('@').unwrap();
    assert!(shop.world.registry.remove_manifest("acme/web", digest));
    let ran = shop.run(PROMOTE, &["rollback"], &[]).await.exits(1);
    assert_eq!(ran.output("broken-links"), "web: in the registry");
    // Nothing is frozen for a way back that there is not.
    let ran = shop.run(PROMOTE, &["resume"], &[]).await.exits(0);
    assert_eq!(ran.verdict(), "nothing: production is not frozen");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_of_nothing_is_refused() {
    let shop = Shop::open().await;
    production(&shop);
    for component in ["web", "api"] {
        assert!(shop.world.cluster.delete(("Deployment", "shop", component)));
    }
    let ran = shop.run(PROMOTE, &["rollback"], &[]).await.exits(1);
    insta::assert_snapshot!(ran.error(), @"error: no promotion has brought anything to production, so there is nothing to go back from; where somebody set its images by hand: `kubectl -n shop rollout undo`");
    let ran = shop
        .run(PROMOTE, &["rollback", "--commit", &"a".repeat(40)], &[])
        .await;
    insta::assert_snapshot!(ran.exits(2).error(), @"error: rollback, resume and history take no --pr, --commit and --adopt; leave them out");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_tells_what_was_promoted_by_whom_and_how_it_ended() {
    let (shop, [(_, first), (_, second)]) = two_promotions().await;
    shop.run(PROMOTE, &["rollback"], &[]).await.exits(0);
    shop.run(PROMOTE, &["resume"], &[]).await.exits(0);
    let (_, third) = merged_another(&shop, "milk").await;
    let host = shop.world.registry.host();
    let crash = Behaviour::Crash {
        exit_code: 2,
        log: vec![],
    };
    shop.world
        .cluster
        .behave(&format!("{host}/acme/api"), crash);
    on_push(&shop, &third).await.exits(3);
    // What is no promotion of ours, and what somebody else's workflow deployed there, is left out.
    let deployments = shop.repository.deployments();
    assert!(deployments.iter().any(|it| it.environment == "preview"));

    let ran = shop
        .run(PROMOTE, &["history"], &[("COLUMNS", "80".into())])
        .await;
    let ran = ran.exits(0);
    let mut shown = ran.stdout.clone();
    for (commit, name) in [(&first, "first"), (&second, "second"), (&third, "third")] {
        shown = shown.replace(&commit[..7], &format!("[{name:^5}]"));
    }
    let lines = shown.lines().map(|line| {
        // When, and the digests.
        let line = if line.starts_with("20") {
            format!("[when]            {}", &line[18..])
        } else {
            line.to_owned()
        };
        line.split("  API").next().unwrap().trim_end().to_owned()
    });
    let shown = lines.collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(shown, @r"
    WHEN              TARGET      OUTCOME      COMMIT   TESTED  BY  IMAGES
    [when]            production  failed       [third]  #9      –
    [when]            production  rolled back  [first]  #7      –
    [when]            production  promoted     [second]  #8      –
    [when]            production  promoted     [first]  #7      –
    listed: 4 promotions
    ");
    let history = ran.result["history"].as_array().unwrap();
    let outcomes: Vec<&str> = history
        .iter()
        .map(|it| it["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["failed", "rolled-back", "promoted", "promoted"]);
    assert_eq!(
        history[3]["before"]["Deployment/web, container web"],
        before("web")
    );
    let ran = shop
        .run(PROMOTE, &["history", "--limit", "1"], &[])
        .await
        .exits(0);
    assert_eq!(ran.verdict(), "listed: 1 promotion");
    shop.close();
}
