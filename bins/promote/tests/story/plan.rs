//! What would be promoted, and which commit is meant.

use sandbox::Gate;

use crate::*;

/// The lines of the chain, without commits and digests.
fn shown(shop: &Shop, number: u64, commit: &str, ran: &Ran) -> String {
    plain(shop, number, commit, &ran.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_the_chain_link_by_link_and_writes_nothing() {
    let (shop, number, commit) = merged().await;
    let ran = shop
        .run(PROMOTE, &["plan", "--commit", &commit], &[])
        .await
        .exits(0);
    insta::assert_snapshot!(shown(&shop, number, &commit, &ran), @r"
    [M] to production:
      ✅ merged                        [M]
      ✅ tested                        pr-7 at [head] by run 50.1
      ✅ tree                          81d9bdeaa249213c6d6f272a4c83472fdcce78fc
      ✅ api: in the record            registry.test/acme/api@sha256:[hex]
      ✅ api: built by                 branch
      ✅ api: in the registry          sha256:[hex]
      ✅ api: complete                 all pieces
      ✅ api: revision                 053cac9992fa719810a6705d11020799ddce1cb7
      ➖ api: ran in the preview       not verified: no pod reports an image
      ✅ web: in the record            registry.test/acme/web@sha256:[hex]
      ✅ web: built by                 branch
      ✅ web: in the registry          sha256:[hex]
      ✅ web: complete                 all pieces
      ✅ web: revision                 053cac9992fa719810a6705d11020799ddce1cb7
      ➖ web: ran in the preview       not verified: no pod reports an image
      ✅ Deployment/web: there         runs docker.io/acme/web@sha256:[hex]
      ✅ Deployment/web: nothing lost  c38b2ef is contained in it
      ✅ Deployment/api: there         runs docker.io/acme/api@sha256:[hex]
      ✅ Deployment/api: nothing lost  c38b2ef is contained in it
      ✅ production: not frozen        not frozen
    planned: production would run [M]
    ");
    assert_eq!(ran.output("verdict"), "planned");
    assert_eq!(ran.output("broken-links"), "");
    assert_eq!(runs(&shop, "web"), before("web"));
    assert_eq!(shop.repository.comments(number), Vec::new());
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_refused_names_the_broken_links_and_what_mends_them() {
    let (shop, number) = built().await;
    let record = record(&shop, number);
    keep(&shop, &record, signed(&record, RECORD_KEY)).await;
    shop.repository.push_to_base(&[("api/main.rs", "dearer")]);
    let commit = shop.repository.merge(number, MergeStyle::Squash);
    let ran = shop
        .run(PROMOTE, &["plan", "--pr", "7"], &[])
        .await
        .exits(1);
    assert_eq!(ran.output("broken-links"), "tree");
    assert_eq!(ran.output("test-commit"), commit);
    let base = shop.repository.parents(&commit)[0].clone();
    let error = ran.error().replace(&base[..7], "[base]");
    insta::assert_snapshot!(plain(&shop, number, &commit, &error), @"error: tree: what was tested is not what was merged: the preview of pr-7 at [head] tested the tree 81d9bdeaa249213c6d6f272a4c83472fdcce78fc, and [M] has the tree cff5db98e8ee82fbe253fd608518b0779f7e5c75: main moved on from c38b2ef between the test and the merge, and the tested tree lacked [base] (Work on main); let CI push images of it, test it by itself with `preview-deploy --commit [M]`, and promote it again");
    assert_eq!(shop.repository.comments(number), Vec::new());
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_promotes_the_head_that_no_push_told_of() {
    let (shop, _, commit) = merged().await;
    let ran = shop
        .on(PROMOTE, "schedule", &json!({ "schedule": "*/10 * * * *" }))
        .await;
    let ran = ran.exits(0);
    assert_eq!(
        ran.verdict(),
        format!("promoted: production runs {}", &commit[..7])
    );
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_is_not_merged_is_not_promoted() {
    let (shop, number) = built().await;
    let ran = shop.run(PROMOTE, &["--pr", &number.to_string()], &[]).await;
    insta::assert_snapshot!(ran.exits(1).error(), @"error: pull request #7 is not merged; merge it, or give --commit");
    let ran = shop.run(PROMOTE, &["--pr", "99"], &[]).await;
    insta::assert_snapshot!(ran.exits(1).error(), @"error: acme/shop has no pull request #99");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_commits_pushed_at_once_the_newest_that_may_be_is_promoted() {
    let (shop, number, tested) = merged().await;
    let before_push = shop.repository.parents(&tested)[0].clone();
    // Merged right after, over a base that its preview has not seen.
    let skewed = shop
        .repository
        .open_pull_request("feature/tea", &[("web/tea.html", "tea")]);
    shop.build(skewed);
    let record = record(&shop, skewed);
    let stale = Record {
        tree: shop.repository.tree(&before_push).parse().unwrap(),
        ..record
    };
    keep(&shop, &stale, signed(&stale, RECORD_KEY)).await;
    let newest = shop.repository.merge(skewed, MergeStyle::Squash);
    let mut push = shop.repository.push_payload(&newest);
    push["before"] = before_push.into();
    let ran = shop.on(PROMOTE, "push", &push).await.exits(1);
    assert!(ran.error().contains("tree: what was tested"), "{ran:#?}");
    assert_eq!(ran.output("test-commit"), newest);
    let web = shop.world.registry.tags("acme/web")[&shop.repository.head_of(number)].clone();
    assert!(runs(&shop, "web").ends_with(&web), "{ran:#?}");
    assert!(shop.comment(number).contains("🚀 Promoted — production"));
    assert!(
        shop.comment(skewed)
            .contains("⛔ Not promoted — production")
    );

    // Without the one before, which the target has by now, there is nothing to promote.
    let ran = shop.on(PROMOTE, "push", &push).await.exits(1);
    assert!(!ran.steps().contains("set images"), "{ran:#?}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_in_ignored_paths_alone_is_promoted_and_named() {
    let (shop, number) = built().await;
    let file = shop.path("preview.toml");
    let toml = std::fs::read_to_string(&file).unwrap();
    let ignoring = "[promote]\nignore = [\"docs/**\"]\n\n[[promote.targets]]";
    std::fs::write(file, toml.replace("[[promote.targets]]", ignoring)).unwrap();
    let record = record(&shop, number);
    keep(&shop, &record, signed(&record, RECORD_KEY)).await;
    shop.repository
        .push_to_base(&[("docs/index.md", "how to buy")]);
    let commit = shop.repository.merge(number, MergeStyle::Squash);
    let ran = on_push(&shop, &commit).await.exits(0);
    assert!(
        ran.summary
            .contains("differs in ignored paths alone: docs/index.md"),
        "{}",
        ran.summary
    );

    let (_, commit) = {
        let second = shop
            .repository
            .open_pull_request("feature/tea", &[("web/tea.html", "tea")]);
        shop.build(second);
        let record = crate::record(&shop, second);
        keep(&shop, &record, signed(&record, RECORD_KEY)).await;
        shop.repository
            .push_to_base(&[("docs/index.md", "how to pay"), ("api/main.rs", "dearer")]);
        (second, shop.repository.merge(second, MergeStyle::Squash))
    };
    let ran = on_push(&shop, &commit).await.exits(1);
    assert_eq!(ran.output("broken-links"), "tree");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_evidence_takes_few_requests_to_github() {
    let (shop, number, commit) = merged().await;
    let gate = Gate::closed_from(usize::MAX);
    let plan = ["plan", "--commit", &commit];
    killed::through(&shop, &plan, &gate).await.exits(0);
    let asked: Vec<String> = gate
        .came()
        .into_iter()
        .filter(|request| request.contains(" /repos/"))
        .collect();
    assert!((1..=15).contains(&asked.len()), "#{number}: {asked:#?}");
    shop.close();
}
