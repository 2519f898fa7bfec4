//! Images that nothing needs any more.

use std::collections::BTreeMap;

use preview_core::deployments::{ENVIRONMENT, PROGRESS, progress_payload};
use preview_core::promote::{Outcome, Promotion};
use sandbox::registry::Image;

use crate::*;

/// A pull request that CI has built.
pub(crate) fn built(shop: &Shop, branch: &str) -> u64 {
    let file = format!("web/{branch}.html");
    let number = shop
        .repository
        .open_pull_request(branch, &[(&file, branch)]);
    shop.build(number);
    number
}

/// What a deploy of the pull request leaves on GitHub.
pub(crate) async fn deployed(shop: &Shop, number: u64) {
    let run = "50.1".parse().unwrap();
    let subject = format!("pr-{number}").parse().unwrap();
    let request = DeploymentRequest {
        reference: shop.repository.head_of(number).parse().unwrap(),
        environment: ENVIRONMENT.to_owned(),
        task: PROGRESS.to_owned(),
        description: "Preview".to_owned(),
        payload: progress_payload(&subject, run),
        production: false,
        transient: true,
    };
    github(shop).create_deployment(&request).await.unwrap();
}

/// The images of a pull request's head, by component.
fn images(shop: &Shop, number: u64) -> BTreeMap<String, String> {
    let head = shop.repository.head_of(number);
    let host = shop.world.registry.host();
    let images = ["web", "api"].map(|component| {
        let name = format!("acme/{component}");
        let digest = shop.world.registry.tags(&name)[&head].clone();
        (component.to_owned(), format!("{host}/{name}@{digest}"))
    });
    images.into()
}

/// All versions, by their tags; commits by what the story calls them.
fn versions(shop: &Shop, names: &[(&str, &str)]) -> String {
    let all = shop.world.github.packages();
    let mut lines: Vec<String> = all
        .iter()
        .map(|version| {
            let tags = version.tags.iter().map(|tag| {
                let named = names.iter().find(|(commit, _)| tag == commit);
                named.map_or(tag.as_str(), |(_, name)| *name)
            });
            let mut tags: Vec<&str> = tags.collect();
            tags.sort_unstable();
            match tags.as_slice() {
                [] => format!("{}, in an index", version.package),
                tags => format!("{} {}", version.package, tags.join(" ")),
            }
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

/// Every version that GitHub lists is in the registry, with all that it is made of.
async fn nothing_is_broken(shop: &Shop) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plain_http = [shop.world.registry.host()].into();
    let registry =
        preview_registry::Registry::new(preview_registry::Settings::new(None, plain_http));
    let registry = registry.unwrap();
    for version in shop.world.github.packages() {
        let host = shop.world.registry.host();
        let image = format!("{host}/acme/{}@{}", version.package, version.digest);
        let inspected = registry.inspect(&image.parse().unwrap()).await.unwrap();
        assert!(inspected.is_complete(), "{image}: {:?}", inspected.missing);
    }
}

pub(crate) fn warnings(ran: &Ran) -> String {
    let lines = ran.stdout.lines().chain(ran.stderr.lines());
    let warnings = lines.filter(|line| line.starts_with("warning"));
    warnings.collect::<Vec<_>>().join("\n")
}

/// Lines of a text without the digests and versions of this run.
fn told_of_images(shop: &Shop, text: &str) -> String {
    let lines = text.lines().filter(|line| line.contains("images"));
    shop.without_hashes(&lines.collect::<Vec<_>>().join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pull_request_takes_its_images_along_and_nobody_elses() {
    let shop = Shop::open().await;
    let number = built(&shop, "cart");
    let first = shop.repository.head_of(number);
    let before = shop.repository.merge_commit_of(number).unwrap();
    shop.repository.push(number, &[("web/sum.html", "a sum")]);
    shop.build(number);
    let head = shop.repository.head_of(number);
    let other = built(&shop, "search");
    let search = shop.repository.head_of(other);
    // Two indexes over one manifest: the other pull request's has an attestation besides.
    let shared = Image::of(&before).containing("web").attested();
    shop.publish("web", &search, &shared);
    shop.publish("web", "latest", &Image::of(&"1".repeat(40)));
    let names = [(first.as_str(), "H1"), (&head, "H2"), (&search, "H3")];
    insta::assert_snapshot!(versions(&shop, &names), @r"
    api H1
    api H2
    api H3
    api, in an index
    api, in an index
    api, in an index
    web H1
    web H2
    web H3
    web latest
    web, in an index
    web, in an index
    web, in an index
    web, in an index
    web, in an index
    web, in an index
    ");

    shop.repository.close(number);
    let ran = on_closed(&shop, number).await.exits(0);
    insta::assert_snapshot!(versions(&shop, &names), @r"
    api H3
    api, in an index
    web H3
    web latest
    web, in an index
    web, in an index
    web, in an index
    web, in an index
    web, in an index
    ");
    nothing_is_broken(&shop).await;
    let cleaned = ran.result["cleaned_images"].as_array().unwrap();
    assert_eq!(cleaned.len(), 7, "{cleaned:#?}");
    assert_eq!(warnings(&ran), "");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_or_may_be_promoted_or_rolled_back_to_stays() {
    let shop = Shop::open().await;
    let merged = built(&shop, "cart");
    let head = shop.repository.head_of(merged);
    deployed(&shop, merged).await;
    let images_of_merged = images(&shop, merged);
    let names = [(head.as_str(), "H")];
    let all = versions(&shop, &names);
    let commit = shop.repository.merge(merged, MergeStyle::Squash);
    let sweep = async || shop.run(CLEANUP, &["sweep"], &[]).await.exits(0);
    on_closed(&shop, merged).await.exits(0);
    sweep().await;
    assert_eq!(versions(&shop, &names), all, "it is not promoted yet");

    let images = images_of_merged.iter();
    let images = images.map(|(name, image)| (name.parse().unwrap(), image.parse().unwrap()));
    let promotion = Promotion {
        commit: commit.parse().unwrap(),
        subject: Some(format!("pr-{merged}").parse().unwrap()),
        images: images.collect(),
        before: BTreeMap::new(),
        run: Some("60.1".parse().unwrap()),
        by: None,
        outcome: Outcome::Promoted,
    };
    promoted(&shop, &commit, promotion.payload()).await;
    on_closed(&shop, merged).await.exits(0);
    for later in 0..9 {
        let later = shop
            .repository
            .push_to_base(&[("web/x.html", &later.to_string())]);
        promoted(&shop, &later, json!({})).await;
    }
    sweep().await;
    assert_eq!(
        versions(&shop, &names),
        all,
        "it may be rolled back to: it is one of the last ten"
    );

    let later = shop.repository.push_to_base(&[("web/x.html", "later")]);
    promoted(&shop, &later, json!({})).await;
    sweep().await;
    assert_eq!(versions(&shop, &names), "");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_that_runs_an_image_keeps_it() {
    let shop = Shop::open().await;
    let number = built(&shop, "cart");
    let names = [(&*shop.repository.head_of(number), "H")];
    let all = versions(&shop, &names);
    // It has none of its own for a component that it leaves as it was.
    let other = opened(&shop);
    namespace(&shop, other, shop.repository.id());
    let runs = images(&shop, number);
    let runs = runs.iter().map(|(name, image)| format!("{name}={image}"));
    let name = format!("preview-pr-{other}");
    let place = ("Namespace", "", name.as_str());
    let runs = runs.collect::<Vec<_>>().join(" ");
    let annotate = |namespace: &mut Value| {
        namespace["metadata"]["annotations"][keys::IMAGES] = json!(runs);
    };
    shop.world
        .cluster
        .edit("preview-deploy", place, annotate)
        .unwrap();
    shop.repository.close(number);
    on_closed(&shop, number).await.exits(0);
    assert_eq!(versions(&shop, &names), all);

    shop.repository.close(other);
    on_closed(&shop, other).await.exits(0);
    on_closed(&shop, number).await.exits(0);
    assert_eq!(versions(&shop, &names), "");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_github_does_not_delete_is_told_and_fails_nothing() {
    let shop = Shop::open().await;
    let number = built(&shop, "cart");
    preview(&shop, number).await;
    let web = images(&shop, number)["web"].clone();
    let (_, digest) = web.split_once('@').unwrap();
    shop.world.github.set_downloads(digest, 5_001);
    shop.repository.close(number);
    let ran = on_closed(&shop, number).await.exits(0);
    assert_eq!(
        ran.verdict(),
        "destroyed: the preview of pull request #7 is gone"
    );
    let names = [(&*shop.repository.head_of(number), "H")];
    insta::assert_snapshot!(versions(&shop, &names), @"web H");
    insta::assert_snapshot!(told_of_images(&shop, &shop.comment(number)), @"- Not all images that nothing needs any more are deleted: cannot delete the version sha256:[hex] of registry.test/acme/web: GitHub refuses it (400: Publicly visible package versions with more than 5000 downloads cannot be deleted. Contact GitHub support for further assistance.); correct what it names and run this again");

    let bot = sandbox::github::ACTIONS_BOT;
    shop.world.github.revoke_package_admin(bot);
    shop.world.github.set_downloads(digest, 1);
    let ran = shop.run(CLEANUP, &["sweep"], &[]).await.exits(0);
    assert_eq!(warnings(&ran), "", "nobody has deployed this head");
    let again = on_closed(&shop, number).await.exits(0);
    insta::assert_snapshot!(shop.without_hashes(&warnings(&again)), @"warning: cannot delete the version sha256:[hex] of registry.test/acme/web: the token may not do this (403: You need admin access to the package.); it needs packages: write, and admin on the package: grant it under `permissions:` of the workflow's job, or to the App whose token it is");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_does_not_tell_what_is_in_an_index_keeps_it() {
    let shop = Shop::open().await;
    let number = built(&shop, "cart");
    let names = [(&*shop.repository.head_of(number), "H")];
    let all = versions(&shop, &names);
    let fault = sandbox::Fault::Answer {
        status: 403,
        headers: Vec::new(),
        body: "{}".to_owned(),
    };
    let traffic = shop.world.registry.traffic();
    traffic.plan("GET", "/manifests/", 100, fault);
    shop.repository.close(number);
    let ran = on_closed(&shop, number).await.exits(0);
    assert_eq!(versions(&shop, &names), all);
    insta::assert_snapshot!(shop.without_hashes(&warnings(&ran)), @r"
    warning: read the manifests of registry.test/acme/api@sha256:[hex]: registry.test refuses: 403 {}; check that its credential is valid, that the image exists, and that the account may pull it
    warning: read the manifests of registry.test/acme/web@sha256:[hex]: registry.test refuses: 403 {}; check that its credential is valid, that the image exists, and that the account may pull it
    ");
    shop.close();
}
