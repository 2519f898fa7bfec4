//! Links of the chain that are broken where nobody meant to: each is named, with both values, on the pull request.

use sandbox::registry::{Image, Kind};

use crate::*;

/// The lines of the comment that say why.
fn why(shop: &Shop, number: u64, commit: &str) -> String {
    let comment = plain(shop, number, commit, &shop.comment(number));
    assert!(
        comment.contains("⛔ Not promoted — production"),
        "{comment}"
    );
    let said = comment
        .lines()
        .filter(|line| line.starts_with("- ") && !line.starts_with("- Namespace"));
    said.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_repository_is_refused_although_its_key_is_ours() {
    let (shop, number) = built().await;
    let theirs = Record {
        repository: RepositoryId(shop.repository.id() + 1),
        ..record(&shop, number)
    };
    keep(&shop, &theirs, signed(&theirs, RECORD_KEY)).await;
    let commit = shop.repository.merge(number, MergeStyle::Squash);
    let ran = on_push(&shop, &commit).await.exits(1);
    insta::assert_snapshot!(ran.output("broken-links"), @"tested");
    insta::assert_snapshot!(why(&shop, number, &commit), @"- tested: a record cannot be believed: the record is of repository 700001004, not of 700001003; deploy a preview of this repository");
    assert_eq!(runs(&shop, "web"), before("web"));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_says_that_it_was_built_from_another_commit_than_its_record_is_refused() {
    let (shop, number) = built().await;
    let mut record = record(&shop, number);
    let head = shop.repository.head_of(number);
    let test_merge = shop.repository.merge_commit_of(number).unwrap();
    for recorded in record.components.values_mut() {
        recorded.built_from = head.parse().unwrap();
    }
    keep(&shop, &record, signed(&record, RECORD_KEY)).await;
    let commit = shop.repository.merge(number, MergeStyle::Squash);
    let ran = on_push(&shop, &commit).await.exits(1);
    insta::assert_snapshot!(ran.output("broken-links"), @"api: revision, web: revision");
    let said = why(&shop, number, &commit).replace(&test_merge, "[B]");
    insta::assert_snapshot!(said, @r"
    - web: revision: the image of web, registry.test/acme/web@sha256:[hex], says it was built from [B], and the record says [head]; let CI push images of it, test it by itself with \`preview-deploy --commit [M]\`, and promote it again
    - api: revision: the image of api, registry.test/acme/api@sha256:[hex], says it was built from [B], and the record says [head]; let CI push images of it, test it by itself with \`preview-deploy --commit [M]\`, and promote it again
    ");
    assert_eq!(runs(&shop, "web"), before("web"));
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

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_not_lost_where_the_default_branch_was_rewritten() {
    let (shop, number) = built().await;
    // What production runs was on the default branch once, and is no part of it any more.
    let lost = shop
        .repository
        .push_to("before-the-rewrite", &[("web/lost.html", "lost")]);
    for component in ["web", "api"] {
        let of = ("Deployment", "shop", component);
        let annotate = |deployment: &mut Value| {
            deployment["metadata"]["annotations"]["preview-environments/commit"] = json!(lost);
        };
        shop.world.cluster.edit("kubectl", of, annotate).unwrap();
    }
    let record = record(&shop, number);
    keep(&shop, &record, signed(&record, RECORD_KEY)).await;
    let commit = shop.repository.merge(number, MergeStyle::Squash);
    let ran = on_push(&shop, &commit).await.exits(1);
    insta::assert_snapshot!(ran.output("broken-links"), @"Deployment/web: nothing lost, Deployment/api: nothing lost");
    let said = why(&shop, number, &commit);
    insta::assert_snapshot!(said.replace(&lost[..7], "[lost]"), @r"
    - Deployment/web: nothing lost: Deployment/web runs [lost]045be6c8262ebf7f15eb8579a5760b427, which [M] does not contain, so promoting it would lose changes; promote a commit of main that contains both
    - Deployment/api: nothing lost: Deployment/api runs [lost]045be6c8262ebf7f15eb8579a5760b427, which [M] does not contain, so promoting it would lose changes; promote a commit of main that contains both
    ");
    assert_eq!(runs(&shop, "web"), before("web"));
    shop.close();
}
