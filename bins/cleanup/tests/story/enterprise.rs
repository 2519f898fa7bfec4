//! Cleaning up on a GitHub Enterprise Server, and with tokens to which packages are closed.

use sandbox::github::TokenKind;

use crate::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_leads_to_the_server_that_it_is_on() {
    let shop = Shop::open_on_enterprise_server().await;
    let number = opened(&shop);
    preview(&shop, number).await;
    shop.repository.close(number);
    on_closed(&shop, number).await.exits(0);
    assert!(!is_there(&shop, number));
    assert_eq!(shop.repository.labels(number), Vec::<String>::new());
    insta::assert_snapshot!(shop.links(number).join("\n"), @"https://git.acme.test/acme/shop/actions/runs/100/attempts/1");
    shop.run(CLEANUP, &["sweep"], &[]).await.exits(0);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_to_which_packages_are_closed_takes_down_the_rest() {
    let mut told = Vec::new();
    for (secret, login, kind) in [
        ("ghs_of_an_app", "acme-previews[bot]", TokenKind::App),
        ("github_pat_fine", "robin", TokenKind::FineGrained),
        ("ghp_classic", "robin", TokenKind::Person),
    ] {
        let shop = Shop::open().await;
        shop.world.github.add_token(secret, login, kind);
        let number = opened(&shop);
        shop.build(number);
        preview(&shop, number).await;
        shop.repository.close(number);
        let payload = shop.repository.pull_request_closed_payload(number);
        std::fs::write(shop.path("event.json"), payload.to_string()).unwrap();
        let event = shop.path("event.json").to_str().unwrap().to_owned();
        let variables = [
            ("GITHUB_EVENT_NAME", "pull_request".to_owned()),
            ("GITHUB_EVENT_PATH", event),
            ("GITHUB_TOKEN", secret.to_owned()),
        ];
        let ran = shop.run(CLEANUP, &[], &variables).await.exits(0);
        assert!(!is_there(&shop, number));
        let comments = shop.repository.comments(number);
        assert_eq!(comments.last().unwrap().0, login);
        let warnings = shop.without_hashes(&images::warnings(&ran));
        told.push(format!("{kind:?}\n{warnings}"));
        shop.close();
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    App
    warning: cannot list the versions of the package registry.test/acme/api: the token may not do this (403: Resource not accessible by integration); it needs packages: read, which only `GITHUB_TOKEN` and a classic token can have: grant it under `permissions:` of the workflow's job, or to the App whose token it is
    warning: cannot list the versions of the package registry.test/acme/web: the token may not do this (403: Resource not accessible by integration); it needs packages: read, which only `GITHUB_TOKEN` and a classic token can have: grant it under `permissions:` of the workflow's job, or to the App whose token it is
    FineGrained
    warning: cannot list the versions of the package registry.test/acme/api: the token may not do this (403: Resource not accessible by personal access token); it needs packages: read, which only `GITHUB_TOKEN` and a classic token can have: grant it where its owner keeps the token, in their settings
    warning: cannot list the versions of the package registry.test/acme/web: the token may not do this (403: Resource not accessible by personal access token); it needs packages: read, which only `GITHUB_TOKEN` and a classic token can have: grant it where its owner keeps the token, in their settings
    Person
    warning: cannot delete the version sha256:[hex] of registry.test/acme/api: the token may not do this (403: You need admin access to the package.); it needs packages: write, and admin on the package: give the token the scope that this takes
    warning: cannot delete the version sha256:[hex] of registry.test/acme/web: the token may not do this (403: You need admin access to the package.); it needs packages: write, and admin on the package: give the token the scope that this takes
    ");
}
