//! Commits that are previewed by themselves: what was merged, or is about to be.

use sandbox::cluster::Behaviour;
use sandbox::github::MergeStyle;
use sandbox::registry::Image;
use serde_json::Value;

use crate::DEPLOY;
use crate::shop::{Ran, Shop, soon};

/// CI of a commit: builds it, and pushes the images under its tag.
fn build(shop: &Shop, commit: &str) {
    for component in ["web", "api"] {
        shop.publish(component, commit, &Image::of(commit).containing(component));
    }
}

/// #7, previewed and then merged onto a base that had moved on: nobody has seen what that left.
async fn skewed(shop: &Shop) -> String {
    let number = shop.open_pull_request();
    let payload = shop.repository.workflow_run_payload(number);
    shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    shop.repository.push_to_base(&[("api/main.rs", "dearer")]);
    shop.repository.merge(number, MergeStyle::Squash)
}

async fn deploy(shop: &Shop, commit: &str) -> Ran {
    shop.run(DEPLOY, &["--commit", commit], &[]).await
}

fn namespace(commit: &str) -> String {
    format!("preview-pr-c{}", &commit[..12])
}

fn is_there(shop: &Shop, commit: &str) -> bool {
    let namespace = shop
        .world
        .cluster
        .object("Namespace", "", &namespace(commit));
    namespace.is_some()
}

/// `text` without the commit.
fn plain(text: &str, commit: &str) -> String {
    let text = text.replace(commit, "[commit]");
    let text = text.replace(&commit[..12], "[12 digits]");
    text.replace(&commit[..7], "[commit]")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_commit_is_previewed_by_itself() {
    let shop = Shop::open().await;
    let commit = skewed(&shop).await;
    build(&shop, &commit);
    let (comment, labels) = (shop.comment(7), shop.repository.labels(7));
    let before = shop.repository.deployments().len();

    let planned = shop.run(DEPLOY, &["plan", "--commit", &commit], &[]).await;
    assert!(!is_there(&shop, &commit));
    let ran = deploy(&shop, &commit).await.exits(0);
    let told = [planned.exits(0).verdict(), ran.verdict(), ran.steps()];
    insta::assert_snapshot!(shop.without_hashes(&plain(&told.join("\n"), &commit)), @r"
    planned: would deploy commit [commit] to preview-pr-c[12 digits], to answer at https://c[12 digits].pr.example.com
    deployed: commit [commit] answers at https://c[12 digits].pr.example.com
    ✓ create Namespace/preview-pr-c[12 digits]
    ✓ create deployment
    ✓ claiming slot of preview-pr-c[12 digits]
    ✓ held slot of preview-pr-c[12 digits]
    ✓ apply ResourceQuota/preview, LimitRange/preview, ConfigMap/app-config, NetworkPolicy/deny-all, NetworkPolicy/allow-same-namespace, NetworkPolicy/allow-dns, NetworkPolicy/allow-ingress-controller, NetworkPolicy/allow-internet, ServiceAccount/preview, ServiceAccount/default, Secret/app-secret
    ✓ apply StatefulSet/database, Service/database
    ✓ await StatefulSet/database
    ✓ apply ConfigMap/database-state
    ✓ apply Job/api-migrate-[x]
    ✓ await Job/api-migrate-[x]
    ✓ apply ConfigMap/database-state
    ✓ apply Job/api-seed-[x]
    ✓ await Job/api-seed-[x]
    ✓ apply ConfigMap/database-state
    ✓ apply Deployment/web, Service/web, Deployment/api, Service/api
    ✓ await Deployment/web, Deployment/api
    ✓ apply Ingress/web
    = prune preview-pr-c[12 digits]
    ✓ record test of commit-[commit]
    ");
    assert!(is_there(&shop, &commit));
    let started = plain(ran.summary.lines().next().unwrap(), &commit);
    insta::assert_snapshot!(started, @"## ✅ preview-deploy commit-[commit]: deployed");

    let made = &shop.repository.deployments()[before..];
    let shown: Vec<String> = made
        .iter()
        .map(|made| format!("{}: {}", made.payload["kind"], made.states.join(", ")))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    "preview-environments/progress": in_progress, success
    "preview-environments/record": success
    "#);
    let record: Value = serde_json::from_str(made[1].payload["record"].as_str().unwrap()).unwrap();
    assert_eq!(record["subject"], format!("commit-{commit}"));
    assert_eq!(record["head"], commit);
    assert_eq!(record["tree"], shop.repository.tree(&commit));
    assert_eq!(record["base"], Value::Null);
    let status = &shop.repository.statuses(&commit)[0];
    assert_eq!(
        (status.context.as_str(), status.state.as_str()),
        ("preview", "success")
    );
    assert_eq!(shop.comment(7), comment, "nobody is told on a pull request");
    assert_eq!(shop.repository.labels(7), labels);

    let again = deploy(&shop, &commit).await.exits(0);
    assert_eq!(again.verdict(), ran.verdict());
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_merged_or_about_to_be_and_built_is_previewed_by_itself() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let head = shop.repository.head_of(number);
    let unknown = "f".repeat(40);
    let base = shop.repository.head("main");
    let tagged_wrong = shop.repository.push_to_base(&[("api/main.rs", "dearer")]);
    for component in ["web", "api"] {
        shop.publish(
            component,
            &tagged_wrong,
            &Image::of(&base).containing(component),
        );
    }
    let not_built = shop.repository.push_to_base(&[("api/main.rs", "cheap")]);
    let mut told = Vec::new();
    for (what, commit) in [
        ("a pull request's head", &head),
        ("no commit", &unknown),
        ("images of another commit", &tagged_wrong),
        ("no images", &not_built),
    ] {
        let ran = deploy(&shop, commit).await.exits(1);
        let mut error = ran.stderr.clone();
        for (sha, name) in [(&base, "[base]"), (commit, "[commit]")] {
            error = error.replace(sha.as_str(), name);
            let tree = shop.repository.tree(sha);
            if !tree.is_empty() {
                error = error.replace(&tree, &name.replace(']', "'s tree]"));
            }
        }
        told.push(format!("{what}:\n{}", shop.without_hashes(&error)));
        assert!(!is_there(&shop, commit), "{what}");
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    a pull request's head:
    error: commit [commit] is neither on main nor the head of a group in its merge queue, so no merge has reviewed it and it gets no preview by itself; open a pull request of it

    no commit:
    error: acme/shop has no commit [commit]; give a commit of main, or the head of a group in its merge queue

    images of another commit:
    error: the image of component web, registry.test/acme/web@sha256:[hex], was built from [base] with the tree [base's tree], and the commit [commit] has the tree [commit's tree]; run CI again for that
    error: the image of component api, registry.test/acme/api@sha256:[hex], was built from [base] with the tree [base's tree], and the commit [commit] has the tree [commit's tree]; run CI again for that

    no images:
    error: component web has no image: registry.test/acme/web has none of the tags [commit] (the commit); let CI push it under the tag of the commit
    error: component api has no image: registry.test/acme/api has none of the tags [commit] (the commit); let CI push it under the tag of the commit
    ");
    assert_eq!(shop.repository.statuses(&not_built)[0].state, "failure");
    let both = ["--commit", &head, "--pr", "7", "--sha", &head];
    let both = shop.run(DEPLOY, &both, &[]).await.exits(2);
    assert!(both.stderr.contains("cannot be used with"), "{both:#?}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_the_merge_queue_is_previewed_until_the_queue_gives_it_up() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let kept = shop.repository.queue(number);
    build(&shop, &kept);
    let asked = shop.repository.merge_group_payload(&kept);
    let ran = shop.on(DEPLOY, "merge_group", &asked).await.exits(0);
    assert!(ran.verdict().starts_with("deployed: commit "), "{ran:#?}");
    assert_eq!(shop.repository.merge_queued(number), kept);
    deploy(&shop, &kept).await.exits(0);
    assert!(is_there(&shop, &kept));

    let eight = [("api/main.rs", "cheaper")];
    let eight = shop.repository.open_pull_request("feature/prices", &eight);
    let given_up = shop.repository.queue(eight);
    build(&shop, &given_up);
    shop.world.cluster.behave("acme/web", Behaviour::NeverReady);
    let give_up = async {
        let web = || {
            let namespace = namespace(&given_up);
            shop.world.cluster.object("Deployment", &namespace, "web")
        };
        soon("web is applied", || web().is_some()).await;
        shop.repository.unqueue(eight);
        let fine = Behaviour::Fine { log: vec![] };
        shop.world.cluster.behave("acme/web", fine);
    };
    let (ran, ()) = tokio::join!(deploy(&shop, &given_up), give_up);
    insta::assert_snapshot!(plain(&ran.exits(0).verdict(), &given_up), @"destroyed: commit [commit] left main or its merge queue while it was deployed, so what was made is destroyed again");
    assert!(!is_there(&shop, &given_up));
    shop.close();
}
