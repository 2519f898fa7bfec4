//! The three commits of a pull request's life.

use reqwest::Method;
use sandbox::github::MergeStyle;
use serde_json::json;

use crate::client::Desk;

async fn tree(desk: &Desk, sha: &str) -> String {
    let commit = desk.get(&format!("/git/commits/{sha}")).await;
    commit["tree"]["sha"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn however_it_is_merged_the_tree_is_the_tested_one() {
    for style in [MergeStyle::Merge, MergeStyle::Squash, MergeStyle::Rebase] {
        let desk = Desk::open().await;
        let base = desk.shop.head("main");
        let pr = desk
            .shop
            .open_pull_request("feature/cart", &[("web/cart.html", "cart")]);
        let h = desk.shop.push(pr, &[("web/cart.html", "a better cart")]);

        let open = desk.get(&format!("/pulls/{pr}")).await;
        assert_eq!(open["head"]["sha"], json!(h));
        assert_eq!(open["mergeable"], json!(true));
        let b = open["merge_commit_sha"].as_str().unwrap().to_owned();
        let test_merge = desk.get(&format!("/git/commits/{b}")).await;
        assert_eq!(test_merge["parents"][0]["sha"], json!(base));
        assert_eq!(test_merge["parents"][1]["sha"], json!(h));

        let m = desk.shop.merge(pr, style);
        let merged = desk.get(&format!("/pulls/{pr}")).await;
        assert_eq!(merged["merged"], json!(true));
        assert_eq!(merged["merge_commit_sha"], json!(m));
        assert!(h != b && b != m && h != m, "three commits, never the same");
        assert_eq!(tree(&desk, &m).await, tree(&desk, &b).await, "{style:?}");

        let of_m = desk.get(&format!("/commits/{m}/pulls")).await;
        assert_eq!(of_m[0]["number"], json!(pr));
        desk.close();
    }
}

#[tokio::test]
async fn when_the_base_moved_the_trees_differ_and_the_test_merge_is_made_anew() {
    let desk = Desk::open().await;
    let pr = desk
        .shop
        .open_pull_request("feature/cart", &[("web/cart.html", "cart")]);
    let tested = desk.shop.merge_commit_of(pr).unwrap();
    desk.shop.push_to_base(&[("api/prices.rs", "prices")]);
    let today = desk.shop.merge_commit_of(pr).unwrap();
    assert_ne!(tested, today);
    let m = desk.shop.merge(pr, MergeStyle::Squash);
    assert_ne!(tree(&desk, &m).await, tree(&desk, &tested).await);
    assert_eq!(tree(&desk, &m).await, tree(&desk, &today).await);
    desk.close();
}

#[tokio::test]
async fn a_conflict_leaves_no_test_merge() {
    let desk = Desk::open().await;
    let pr = desk
        .shop
        .open_pull_request("feature/title", &[("README.md", "Our shop")]);
    desk.shop.push_to_base(&[("README.md", "The shop")]);
    let pull = desk.get(&format!("/pulls/{pr}")).await;
    assert_eq!(
        (&pull["mergeable"], &pull["merge_commit_sha"]),
        (&json!(false), &json!(null))
    );
    desk.close();
}

#[tokio::test]
async fn the_test_merge_may_lag_behind_a_push() {
    let desk = Desk::open().await;
    let pr = desk
        .shop
        .open_pull_request("feature/cart", &[("cart", "1")]);
    let before = desk.shop.merge_commit_of(pr).unwrap();
    desk.shop.push(pr, &[("cart", "2")]);
    desk.shop.lag_mergeability(pr, 1);
    let first = desk.get(&format!("/pulls/{pr}")).await;
    assert_eq!(
        (&first["mergeable"], &first["merge_commit_sha"]),
        (&json!(null), &json!(before))
    );
    let second = desk.get(&format!("/pulls/{pr}")).await;
    assert_eq!(
        second["merge_commit_sha"],
        json!(desk.shop.merge_commit_of(pr))
    );
    desk.close();
}

#[tokio::test]
async fn a_fork_is_found_by_its_owner_and_branch_and_by_nothing_else() {
    let desk = Desk::open().await;
    let pr = desk
        .shop
        .open_pull_request_from_fork("mallory", "fix", &[("README.md", "Mine")]);
    let h = desk.shop.head_of(pr);
    assert_eq!(desk.get(&format!("/commits/{h}/pulls")).await, json!([]));
    let found = desk.get("/pulls?state=open&head=mallory:fix").await;
    assert_eq!(found[0]["number"], json!(pr));
    assert_eq!(found[0]["head"]["repo"]["full_name"], json!("mallory/shop"));
    assert_eq!(desk.get("/pulls?state=open&head=acme:fix").await, json!([]));

    desk.shop.delete_fork("mallory");
    let orphan = desk.get(&format!("/pulls/{pr}")).await;
    assert_eq!(orphan["head"]["repo"], json!(null));
    assert_eq!(orphan["head"]["sha"], json!(h));

    let m = desk.shop.merge(pr, MergeStyle::Merge);
    for landed in [&h, &m] {
        let of = desk.get(&format!("/commits/{landed}/pulls")).await;
        assert_eq!(of[0]["number"], json!(pr), "on the default branch now");
    }
    desk.close();
}

#[tokio::test]
async fn commits_trees_files_and_comparisons() {
    let desk = Desk::open().await;
    let base = desk.shop.head("main");
    let pr = desk
        .shop
        .open_pull_request("feature/cart", &[("web/cart.html", "cart\nof goods")]);
    let h = desk.shop.head_of(pr);
    desk.shop.push_to_base(&[("api/main.rs", "fn main() {}")]);

    let compared = desk.get(&format!("/compare/main...{h}")).await;
    assert_eq!(compared["status"], json!("diverged"));
    assert_eq!(compared["merge_base_commit"]["sha"], json!(base));
    let compared = desk.get("/compare/main...feature/cart").await;
    assert_eq!(compared["ahead_by"], json!(1));
    let compared = desk.get(&format!("/compare/{base}...main")).await;
    assert_eq!(compared["status"], json!("ahead"));

    let files = desk.get(&format!("/pulls/{pr}/files")).await;
    assert_eq!(files[0]["filename"], json!("web/cart.html"));
    assert_eq!(
        files.as_array().unwrap().len(),
        1,
        "the base's own changes are not the PR's"
    );
    let commits = desk.get(&format!("/pulls/{pr}/commits")).await;
    assert_eq!(commits[0]["sha"], json!(h));

    let tree = desk.get(&format!("/git/trees/{h}?recursive=1")).await;
    let paths: Vec<_> = tree["tree"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["path"])
        .collect();
    assert_eq!(
        paths,
        ["README.md", "web", "web/cart.html", "web/index.html"]
    );
    let flat = desk.get(&format!("/git/trees/{h}")).await;
    let inner = flat["tree"][1]["sha"].as_str().unwrap();
    let inner = desk.get(&format!("/git/trees/{inner}")).await;
    assert_eq!(inner["tree"][0]["path"], json!("cart.html"));

    let head = desk.get("/git/ref/heads/feature/cart").await;
    assert_eq!(head["object"]["sha"], json!(h));
    let commit = desk.get(&format!("/commits/{}", &h[..8])).await;
    assert_eq!(commit["sha"], json!(h));
    let readme = desk.get("/contents/README.md").await;
    assert_eq!(readme["content"], json!("QSBzaG9w\n"));
    let folder = desk.get("/contents/web?ref=feature/cart").await;
    assert_eq!(folder[0]["path"], json!("web/cart.html"));
    assert_eq!(desk.raw("/contents/README.md").await, "A shop");
    let (status, _) = desk.ask(Method::GET, "/contents/absent", None).await;
    assert_eq!(status, 404);
    let (status, body) = desk
        .ask(Method::GET, &format!("/commits/{}", "0".repeat(40)), None)
        .await;
    assert_eq!(
        (status, body["message"].as_str().unwrap().get(..8)),
        (422, Some("No commi"))
    );
    desk.close();
}

#[tokio::test]
async fn closed_reopened_and_listed_accordingly() {
    let desk = Desk::open().await;
    let pr = desk
        .shop
        .open_pull_request("feature/cart", &[("cart", "1")]);
    desk.shop.close(pr);
    assert_eq!(desk.get("/pulls").await, json!([]));
    assert_eq!(
        desk.get("/pulls?state=closed").await[0]["number"],
        json!(pr)
    );
    assert_eq!(
        desk.get(&format!("/pulls/{pr}")).await["merged"],
        json!(false)
    );
    desk.shop.reopen(pr);
    assert_eq!(desk.get("/pulls").await[0]["state"], json!("open"));
    desk.close();
}
