//! A migration before a rollout, a verification after it, and what becomes of production where one of them fails.

use crate::receivers::Slack;
use crate::*;

const MIGRATE: &str = "migrate = { component = \"api\" }\n";

/// The Jobs in production by name without their hash, each with the image that it ran.
fn jobs(shop: &Shop) -> Vec<(String, String)> {
    let names = shop.world.cluster.names("Job", "shop");
    let jobs = names.iter().map(|name| {
        let job = shop.world.cluster.object("Job", "shop", name).unwrap();
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        let (name, _) = name.rsplit_once('-').unwrap();
        (
            name.to_owned(),
            container["image"].as_str().unwrap().to_owned(),
        )
    });
    jobs.collect()
}

fn tested_api(shop: &Shop, number: u64) -> String {
    record(shop, number).components[&"api".parse().unwrap()]
        .image
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_migrated_with_the_very_image_before_any_is_set() {
    let (shop, number, commit) = merged().await;
    target(&shop, MIGRATE);
    let ran = on_push(&shop, &commit).await.exits(0);
    let steps = shop.without_hashes(&ran.steps());
    let first: Vec<&str> = steps.lines().take(3).collect();
    insta::assert_snapshot!(first.join("\n"), @r"
    ✓ take Lease of production
    ✓ run migrate as Job/api-migrate-[x]
    ✓ set images Deployment/api
    ");
    assert_eq!(
        jobs(&shop),
        [("api-migrate".to_owned(), tested_api(&shop, number))]
    );
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_leaves_production_untouched() {
    let (shop, number, commit) = merged().await;
    target(&shop, MIGRATE);
    let log = vec!["column price is there already".to_owned()];
    let broken = Behaviour::Crash { exit_code: 1, log };
    shop.world
        .cluster
        .behave(&tested_api(&shop, number), broken);
    let ran = on_push(&shop, &commit).await.exits(3);
    insta::assert_snapshot!(plain(&shop, number, &commit, &ran.error()), @"error: Job/api-migrate-[x]: container crashes (pod api-migrate-[x]-[x], container migrate): ended with exit code 1 (Error); look at `kubectl -n shop logs api-migrate-[x]-[x] -c migrate`");
    assert!(
        ran.stdout.contains("column price is there already"),
        "{ran:#?}"
    );
    for component in ["web", "api"] {
        assert_eq!(runs(&shop, component), before(component));
    }
    assert!(!ran.steps().contains("set images"), "{ran:#?}");
    assert!(
        shop.comment(number)
            .contains("⛔ Not promoted — production")
    );

    let fine = Behaviour::Fine { log: vec![] };
    shop.world.cluster.behave(&tested_api(&shop, number), fine);
    on_push(&shop, &commit).await.exits(0);
    assert_ne!(runs(&shop, "api"), before("api"));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_that_fails_brings_back_what_ran_and_somebody_is_told() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (shop, number, commit) = merged().await;
    let verify = "verify = { component = \"web\", command = [\"web\", \"selfcheck\"] }\n";
    target(&shop, &format!("{MIGRATE}{verify}"));
    // The command ends badly where the server with the same image runs well.
    let log = vec!["the till does not open".to_owned()];
    let broken = Behaviour::Crash { exit_code: 7, log };
    shop.world.cluster.behave("web selfcheck", broken);
    let slack = Slack::answering(&[]).await;
    let hook = [("PREVIEW_SLACK_WEBHOOK", slack.url())];
    let ran = shop
        .run(PROMOTE, &["--commit", &commit], &hook)
        .await
        .exits(3);
    insta::assert_snapshot!(plain(&shop, number, &commit, &ran.error()), @"error: Job/web-verify-[x]: container crashes (pod web-verify-[x]-[x], container verify): ended with exit code 7 (Error); what ran before is set back, and runs; the database stays migrated; look at `kubectl -n shop logs web-verify-[x]-[x] -c verify`");
    for component in ["web", "api"] {
        assert_eq!(runs(&shop, component), before(component));
    }
    assert!(
        slack.text().contains("to production failed"),
        "{}",
        slack.text()
    );
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_migration_nothing_is_set_back_where_the_configuration_says_so() {
    let (shop, number, commit) = merged().await;
    target(
        &shop,
        &format!("{MIGRATE}rollback_after_migration = \"refuse\"\n"),
    );
    let image = record(&shop, number).components[&"web".parse().unwrap()]
        .image
        .to_string();
    let broken = Behaviour::Crash {
        exit_code: 2,
        log: vec![],
    };
    shop.world.cluster.behave(&image, broken);
    let ran = on_push(&shop, &commit).await.exits(3);
    insta::assert_snapshot!(plain(&shop, number, &commit, &ran.error()), @"error: Deployment/web: container crashes (pod web-[x]-[x], container web): ended with exit code 2 (Error); nothing was set back, for the database was migrated and `rollback_after_migration` says so: in Deployment/api api runs registry.test/acme/api@sha256:[hex]; in Deployment/web web runs registry.test/acme/web@sha256:[hex]; look at `kubectl -n shop logs web-[x]-[x] -c web --previous`");
    assert_eq!(runs(&shop, "web"), image);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_does_not_answer_brings_back_what_ran() {
    let (shop, number, commit) = merged().await;
    // A port that nobody listens on any more.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let door = format!("connect_to = \"{closed}\"");
    let page = "host = \"shop.example.com\", path = \"/ready\", deadline = \"2s\"";
    target(&shop, &format!("verify = {{ {page}, {door} }}"));
    let ran = on_push(&shop, &commit).await.exits(3);
    let error = ran.error().replace(&closed.to_string(), "[door]");
    insta::assert_snapshot!(plain(&shop, number, &commit, &error), @"error: Deployment/web: page does not answer: after 2s https://shop.example.com/ready should answer 200 and does not answer: connect to [door]: Connection refused (os error 111); what ran before is set back, and runs; look at `kubectl -n shop logs Deployment/web --all-containers`");
    assert_eq!(runs(&shop, "web"), before("web"));
    shop.close();
}
