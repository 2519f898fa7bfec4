//! Images as GitHub's packages.

use preview_core::names::ImageName;

use crate::*;

fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

fn web() -> ImageName {
    "ghcr.io/acme/shop/web".parse().unwrap()
}

#[tokio::test]
async fn versions_are_listed_with_their_tags_and_deleted_one_by_one() {
    for is_organization in [true, false] {
        let stage = Stage::new().await;
        if is_organization {
            stage.server.add_organization("acme");
        }
        let push = |digit, tags: &[&str]| {
            stage
                .server
                .package_pushed("acme", "shop/web", &digest(digit), tags);
        };
        push('a', &["one", "latest"]);
        push('b', &[]);
        let (package, versions) = stage.github.package(&web()).await.unwrap().unwrap();
        let read = versions.iter().map(|one| &one.version);
        let read: Vec<_> = read
            .map(|one| (one.digest.to_string(), one.tags.join(" ")))
            .collect();
        let (a, b) = (digest('a'), digest('b'));
        assert_eq!(read, [(b, String::new()), (a, "one latest".to_owned())]);

        // Somebody moves a tag after it was listed.
        push('c', &["latest"]);
        let now = stage.github.package_version(&package, &versions[1]).await;
        assert_eq!(now.unwrap().unwrap().tags, ["one"]);
        let delete = async || {
            stage
                .github
                .delete_package_version(&package, &versions[1])
                .await
        };
        assert!(delete().await.unwrap());
        assert!(!delete().await.unwrap(), "it is gone already");
        let now = stage.github.package_version(&package, &versions[1]).await;
        assert_eq!(now.unwrap(), None);
        stage.conforms();
    }
}

#[tokio::test]
async fn what_is_no_package_has_no_versions() {
    let stage = Stage::new().await;
    assert_eq!(stage.github.package(&web()).await.unwrap(), None);
    let bare = "registry.test/web".parse().unwrap();
    assert_eq!(stage.github.package(&bare).await.unwrap(), None);
    stage.conforms();
}

#[tokio::test]
async fn what_may_not_be_deleted_is_told_in_githubs_words() {
    let stage = Stage::new().await;
    stage
        .server
        .package_pushed("acme", "shop/web", &digest('a'), &["one"]);
    let (package, versions) = stage.github.package(&web()).await.unwrap().unwrap();
    let delete = async || {
        let deleted = stage
            .github
            .delete_package_version(&package, &versions[0])
            .await;
        deleted
            .unwrap_err()
            .to_string()
            .replace(&digest('a'), "sha256:…")
    };
    stage.server.set_downloads(&digest('a'), 5_001);
    let often = delete().await;
    stage
        .server
        .revoke_package_admin(sandbox::github::ACTIONS_BOT);
    let told = format!("{often}\n{}", delete().await);
    insta::assert_snapshot!(told, @r"
    cannot delete the version sha256:… of ghcr.io/acme/shop/web: GitHub refuses it (400: Publicly visible package versions with more than 5000 downloads cannot be deleted. Contact GitHub support for further assistance.); correct what it names and run this again
    cannot delete the version sha256:… of ghcr.io/acme/shop/web: the token may not do this (403: You need admin access to the package.); it needs packages: write, and admin on the package: grant it under `permissions:` of the workflow's job, or to the App whose token it is
    ");
    stage.conforms();
}

#[tokio::test]
async fn the_commits_of_a_pull_request_are_listed() {
    let stage = Stage::new().await;
    let number = stage
        .repository
        .open_pull_request("cart", &[("a.txt", "a")]);
    let first = stage.repository.head_of(number);
    let second = stage.repository.push(number, &[("b.txt", "b")]);
    let commits = stage.github.commits_of_pull(pr(number)).await.unwrap();
    let commits: Vec<String> = commits.iter().map(ToString::to_string).collect();
    assert_eq!(commits, [first, second]);
    stage.conforms();
}
