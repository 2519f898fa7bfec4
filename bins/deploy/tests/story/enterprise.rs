//! A shop on a GitHub Enterprise Server.

use sandbox::cluster::Behaviour;

use crate::DEPLOY;
use crate::doctor::{doctor, healthy_in};
use crate::shop::{Ran, Shop};

async fn on_ci(shop: &Shop, number: u64) -> Ran {
    let payload = shop.repository.workflow_run_payload(number);
    shop.on(DEPLOY, "workflow_run", &payload).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_told_by_links_to_the_server_that_it_is_on() {
    let shop = Shop::open_on_enterprise_server().await;
    let number = shop.open_pull_request();
    // Its pages are linked by the server's own address.
    for n in 0..120 {
        let thought = format!("thought {n}");
        shop.repository.comment(number, "alice", &thought);
    }
    let ran = on_ci(&shop, number).await.exits(0);
    assert!(ran.verdict().starts_with("deployed: "), "{ran:#?}");

    shop.repository.push(number, &[("web/cart.html", "broken")]);
    shop.build(number);
    let crash = Behaviour::Crash {
        exit_code: 3,
        log: Vec::new(),
    };
    shop.world.cluster.behave("acme/web", crash);
    on_ci(&shop, number).await.exits(3);
    let mut links = shop.links(number);
    links.sort();
    links.dedup();
    insta::assert_snapshot!(links.join("\n"), @r"
    https://git.acme.test/acme/shop/actions/runs/100/attempts/1
    https://git.acme.test/acme/shop/actions/runs/101/attempts/1
    ");
    let comments = shop.repository.comments(number);
    assert_eq!(comments.len(), 121, "the one comment is found on page two");

    let asked = shop.world.github.traffic().exchanges();
    let pages: Vec<&str> = asked
        .iter()
        .map(|exchange| exchange.target.as_str())
        .filter(|target| !target.starts_with("/api/v3/") && *target != "/api/graphql")
        .collect();
    assert_eq!(pages, Vec::<&str>::new());
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_the_pages_is_no_address_of_the_api() {
    let shop = Shop::open_on_enterprise_server().await;
    let number = shop.open_pull_request();
    let head = shop.repository.head_of(number);
    let pages = [("GITHUB_API_URL", shop.world.github.server_url())];
    let ran = shop
        .run(DEPLOY, &["--pr", "7", "--sha", &head], &pages)
        .await;
    insta::assert_snapshot!(ran.exits(3).error(), @"error: cannot read pull request #7 of acme/shop: the answer is not what GitHub's API gives (a 404 that is none of GitHub's API: <!DOCTYPE html> <title>Page not found</title> <p>This is not the web page you are looking for.); check GITHUB_API_URL and any proxy on the way, and run this again");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_tells_what_an_enterprise_server_lacks() {
    let shop = healthy_in(Shop::open_on_enterprise_server().await);
    let ran = doctor(&shop, &[]).await.exits(0);
    let url = shop.world.github.server_url();
    let host = url.strip_prefix("http://").unwrap();
    let told = ran.stdout.replace(host, "git.acme.test");
    let first: Vec<&str> = told.lines().take(3).collect();
    insta::assert_snapshot!(first.join("\n"), @r"
    – GitHub Enterprise Server: git.acme.test is an Enterprise server: it knows no attestations of builds, and its registry is containers.git.acme.test in place of ghcr.io; for what is to be typed, tell gh
        export GH_HOST=git.acme.test
    ✓ GitHub token: the token of a job, github-actions[bot]; it reads acme/shop
    ");
    shop.close();
}
