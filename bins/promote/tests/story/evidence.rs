//! What is between the preview and production: forks, lost pieces, labels that somebody edited, images that share what
//! they consist of.

use sandbox::registry::{Image, Kind};

use crate::*;

fn web() -> ComponentName {
    "web".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forks_pull_request_is_promoted_where_a_workflow_of_ours_built_it_and_not_where_its_author_did()
 {
    for built_by in [BuiltBy::Trusted, BuiltBy::Contributor] {
        let shop = Shop::open().await;
        production(&shop);
        let number = shop.repository.open_pull_request_from_fork(
            "mallory",
            "feature/cart",
            &[("web/cart.html", "a cart")],
        );
        shop.build(number);
        let mut record = record(&shop, number);
        for recorded in record.components.values_mut() {
            recorded.built_by = built_by;
        }
        keep(&shop, &record, signed(&record, RECORD_KEY)).await;
        let commit = shop.repository.merge(number, MergeStyle::Merge);
        let ran = on_push(&shop, &commit).await;
        if built_by == BuiltBy::Trusted {
            ran.exits(0);
            assert_eq!(
                runs(&shop, "web"),
                record.components[&web()].image.to_string()
            );
        } else {
            let ran = ran.exits(1);
            assert_eq!(ran.output("broken-links"), "api: built by, web: built by");
            assert_eq!(ran.output("test-commit"), commit);
            assert_eq!(runs(&shop, "web"), before("web"));
            insta::assert_snapshot!(plain(&shop, number, &commit, &shop.comment(number)), @r"
            <!-- preview-environments:comment -->
            ## 🚀 Preview Environment

            **Status**: ⛔ Not promoted — production
            **Last Updated**: [now]
            **Commit**: [head]

            ---

            - web: built by: the image of web, registry.test/acme/web@sha256:[hex], was built by a contributor's own workflow, which proves nothing about what is in it; let CI push images of it, test it by itself with \`preview-deploy --commit [M]\`, and promote it again
            - api: built by: the image of api, registry.test/acme/api@sha256:[hex], was built by a contributor's own workflow, which proves nothing about what is in it; let CI push images of it, test it by itself with \`preview-deploy --commit [M]\`, and promote it again

            [The run and its log](https://github.com/acme/shop/actions/runs/100/attempts/1)

            <details>
            <summary>Deployment Details</summary>

            - Namespace: `shop`

            </details>
            ");
        }
        shop.close();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_the_registry_lost_after_the_preview_is_named() {
    let (shop, number) = built().await;
    let record = record(&shop, number);
    keep(&shop, &record, signed(&record, RECORD_KEY)).await;
    let built_from = shop.repository.merge_commit_of(number).unwrap();
    let commit = shop.repository.merge(number, MergeStyle::Squash);
    let image = Image::of(&built_from).containing("web").build();
    // A clean-up of untagged versions takes what an index lists.
    let child = image.digests(Kind::Manifest)[0];
    assert!(shop.world.registry.remove_manifest("acme/web", child));
    let ran = on_push(&shop, &commit).await.exits(1);
    assert_eq!(ran.output("broken-links"), "web: complete");
    let lost = format!("the registry lacks manifest {child}");
    assert!(ran.error().contains(&lost), "{ran:#?}");
    let told = shop.comment(number);
    assert!(
        told.contains("is incomplete: the registry lacks manifest"),
        "{told}"
    );
    assert_eq!(runs(&shop, "web"), before("web"));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_somebody_edited_is_set_right_and_told_and_decides_nothing() {
    let (shop, number, commit) = merged().await;
    shop.repository
        .add_label(number, "image-digest/web:sha256:0123456789ab");
    let ran = on_push(&shop, &commit).await.exits(0);
    let warnings = ran
        .stdout
        .lines()
        .filter(|line| line.starts_with("warning: "));
    let warnings = warnings.collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(warnings, @"warning: the labels of #7 did not show what was tested (image-digest/web:sha256:0123456789ab); the record decides, and they are set right");
    let tested = record(&shop, number).components[&web()].image.to_string();
    assert_eq!(runs(&shop, "web"), tested);
    assert_eq!(
        shop.repository.labels(number),
        Vec::<String>::new(),
        "it was promoted"
    );
    shop.close();
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
