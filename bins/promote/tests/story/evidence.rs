//! What is between the preview and production: bytes that changed, images that share what they consist of, previews that
//! were not to be. What else breaks there is the play `links` of `xtask/src/life`.

use sandbox::registry::{Image, Kind};

use crate::*;

fn web() -> ComponentName {
    "web".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_names_another_index_over_the_same_manifest_runs_the_image_all_the_same() {
    let (shop, number) = built().await;
    // CI builds the very same files again: another index, with an attestation in it, over the same manifest.
    let head = shop.repository.head_of(number);
    let built_from = shop.repository.merge_commit_of(number).unwrap();
    let image = Image::of(&built_from).containing("web");
    let one = shop.publish("web", &head, &image);
    let other = shop.publish("web", &head, &image.attested());
    assert_ne!(one, other);
    // Production runs the one that comes first in the alphabet; the other was tested.
    let (older, newer) = if one < other {
        (one, other)
    } else {
        (other, one)
    };
    let deployment = ("Deployment", "shop", "web");
    let set = |object: &mut Value| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!(older);
    };
    shop.world.cluster.edit("kubectl", deployment, set).unwrap();
    let mut tested = record(&shop, number);
    tested.components.get_mut(&web()).unwrap().image = newer.parse().unwrap();
    keep(&shop, &tested, signed(&tested, RECORD_KEY)).await;
    let commit = shop.repository.merge(number, MergeStyle::Squash);
    let ran = on_push(&shop, &commit).await.exits(0);
    assert_eq!(runs(&shop, "web"), newer);
    let verified = "  Deployment/web, container web: verified";
    assert!(ran.stdout.contains(verified), "{ran:#?}");
    let pods = shop.world.cluster.pods("shop");
    let ids: Vec<String> = pods.into_iter().flat_map(|pod| pod.image_ids).collect();
    assert!(ids.contains(&older), "{ids:?} {older}");
    assert!(!ids.contains(&newer), "{ids:?} {newer}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_was_to_have_no_preview_leaves_nothing_to_promote() {
    let shop = Shop::open().await;
    production(&shop);
    let file = shop.path("preview.toml");
    let toml = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        file,
        format!("{toml}\n[pull_requests]\nexclude_paths = [\"docs/**\"]\n"),
    )
    .unwrap();
    let number = shop
        .repository
        .open_pull_request("docs", &[("docs/index.md", "how to buy")]);
    let commit = shop.repository.merge(number, MergeStyle::Squash);
    let ran = on_push(&shop, &commit).await.exits(0);
    insta::assert_snapshot!(plain(&shop, number, &commit, &ran.verdict()), @r#"nothing: #7, merged as [M], was to have no preview: the one file that it changes, "docs/index.md", matches docs/** (pull_requests.exclude_paths); what it changed comes with the next one that is tested"#);
    assert_eq!(shop.repository.comments(number), Vec::new());
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_had_set_the_image_before_is_named() {
    let (shop, _, commit) = merged().await;
    let ran = on_push(&shop, &commit).await.exits(0);
    let named = "  the image of Deployment/web, container web, was set by kubectl before";
    assert!(ran.stdout.contains(named), "{ran:#?}");
    let (_, next) = merged_another(&shop, "tea").await;
    let ran = on_push(&shop, &next).await.exits(0);
    assert!(
        !ran.stdout.contains("was set by"),
        "it is ours now: {ran:#?}"
    );
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_what_their_digest_says_are_refused() {
    for kind in [Kind::Index, Kind::Manifest, Kind::Config] {
        let (shop, number) = built().await;
        let record = record(&shop, number);
        keep(&shop, &record, signed(&record, RECORD_KEY)).await;
        let built_from = shop.repository.merge_commit_of(number).unwrap();
        let commit = shop.repository.merge(number, MergeStyle::Squash);
        let image = Image::of(&built_from).containing("web").build();
        let digest = image.digests(kind)[0];
        assert!(shop.world.registry.corrupt("acme/web", digest));
        let ran = on_push(&shop, &commit).await.exits(1);
        assert_eq!(runs(&shop, "web"), before("web"), "{kind:?}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(ran.output("broken-links"), @"web: complete");
        }
        shop.close();
    }
}
