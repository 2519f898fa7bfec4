//! Files are complete, or an error.

use preview_core::names::BlobSha;

use crate::*;

const SHA: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

fn entry(path: &str, mode: &str) -> Value {
    json!({ "path": path, "mode": mode, "sha": SHA, "type": "blob" })
}

#[tokio::test]
async fn folders_links_and_submodules_are_no_files() {
    let server = MockServer::start().await;
    let entries = json!([
        entry("z.sh", "100755"),
        entry("folder", "040000"),
        entry("link", "120000"),
        entry("submodule", "160000"),
        entry("folder/a.txt", "100644"),
    ]);
    let at = format!("/repos/acme/shop/git/trees/{SHA}");
    let answer = ok(json!({ "sha": SHA, "truncated": false, "tree": entries }));
    serve(&server, "GET", &at, answer).await;
    let files = client(&server).files_of_tree(&SHA.parse().unwrap()).await;
    let paths: Vec<String> = files.unwrap().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["folder/a.txt", "z.sh"]);
}

#[tokio::test]
async fn a_part_of_a_tree_is_not_taken_for_the_tree() {
    let server = MockServer::start().await;
    let at = format!("/repos/acme/shop/git/trees/{SHA}");
    let part = json!({ "sha": SHA, "truncated": true, "tree": [entry("a.txt", "100644")] });
    serve(&server, "GET", &at, ok(part)).await;
    let error = client(&server)
        .files_of_tree(&SHA.parse().unwrap())
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @"cannot list the files of tree e69de29bb2d1d6434b8b29ae775ad8c2e48c5391 of acme/shop: GitHub lists only 1 of its entries, as it does beyond 100,000 or 7 MB; what is configured by patterns of paths cannot be used in a repository of this size");
}

#[tokio::test]
async fn a_file_is_read_whole_or_not_at_all() {
    let server = MockServer::start().await;
    let at = format!("/repos/acme/shop/git/blobs/{SHA}");
    let blob = |content: &str, encoding: &str, size: u64| {
        ok(json!({ "sha": SHA, "content": content, "encoding": encoding, "size": size }))
    };
    let answers = vec![
        blob("c2VsZWN0\nIDE7Cg==\n", "base64", 10),
        blob("c2VsZWN0", "base64", 10),
        blob("select 1;", "utf-8", 9),
        blob("select 1;", "base64", 9),
        blob("", "base64", 9_000_000),
    ];
    serve_in_turn(&server, "GET", &at, answers).await;
    let github = client(&server);
    let sha: BlobSha = SHA.parse().unwrap();
    assert_eq!(github.blob(&sha).await.unwrap(), b"select 1;\n");
    let mut errors = Vec::new();
    for _ in 0..4 {
        errors.push(github.blob(&sha).await.unwrap_err().to_string());
    }
    insta::assert_snapshot!(errors.join("\n"), @r#"
    cannot read file e69de29bb2d1d6434b8b29ae775ad8c2e48c5391 of acme/shop: the answer is not what GitHub's API gives (it is said to have 10 bytes and has 6); check GITHUB_API_URL and any proxy on the way, and run this again
    cannot read file e69de29bb2d1d6434b8b29ae775ad8c2e48c5391 of acme/shop: the answer is not what GitHub's API gives (its encoding is "utf-8"); check GITHUB_API_URL and any proxy on the way, and run this again
    cannot read file e69de29bb2d1d6434b8b29ae775ad8c2e48c5391 of acme/shop: the answer is not what GitHub's API gives (its content is no base64: Invalid symbol 59, offset 7.); check GITHUB_API_URL and any proxy on the way, and run this again
    cannot read file e69de29bb2d1d6434b8b29ae775ad8c2e48c5391 of acme/shop: it has 9000000 bytes, and 8388608 are the most that is read; keep something so large in an image
    "#);
}

#[tokio::test]
async fn a_mode_a_link_and_a_submodule_can_differ_and_folders_say_nothing() {
    let server = MockServer::start().await;
    let other = "0".repeat(40);
    let tree = |truncated: bool, entries: Value| {
        ok(json!({ "sha": SHA, "truncated": truncated, "tree": entries }))
    };
    let with =
        |path: &str, mode: &str, sha: &str| json!({ "path": path, "mode": mode, "sha": sha });
    let same = entry("same.txt", "100644");
    let one = json!([
        same,
        entry("folder", "040000"),
        entry("run.sh", "100644"),
        entry("link", "120000"),
        entry("submodule", "160000"),
    ]);
    let another = json!([
        same,
        with("folder", "040000", &other),
        entry("run.sh", "100755"),
        with("link", "120000", &other),
        with("submodule", "160000", &other),
    ]);
    let at = |sha: &str| format!("/repos/acme/shop/git/trees/{sha}");
    let whole = tree(false, one.clone());
    serve_in_turn(&server, "GET", &at(SHA), vec![whole, tree(true, one)]).await;
    serve(&server, "GET", &at(&other), tree(false, another)).await;
    let github = client(&server);
    let (one, other) = (SHA.parse().unwrap(), other.parse().unwrap());
    let differing = github.differing_paths(&one, &other).await.unwrap();
    assert_eq!(differing.unwrap(), ["link", "run.sh", "submodule"]);
    let in_part = github.differing_paths(&one, &other).await.unwrap();
    assert_eq!(in_part, None);
}
