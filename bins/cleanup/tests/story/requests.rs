//! What taking down one preview asks of GitHub.

use preview_core::deployments::{ENVIRONMENT, PROGRESS, progress_payload};
use preview_core::names::Fence;

use crate::*;

/// The deployment by which the run `run` showed how its deploy of the pull request went.
async fn showed_progress(shop: &Shop, number: u64, run: u64) {
    let subject = owner(shop, number).subject;
    let request = DeploymentRequest {
        reference: shop.repository.head_of(number).parse().unwrap(),
        environment: ENVIRONMENT.to_owned(),
        task: PROGRESS.to_owned(),
        description: "A preview".to_owned(),
        payload: progress_payload(&subject, Fence { run, attempt: 1 }),
        production: false,
        transient: true,
    };
    github(shop).create_deployment(&request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cleanup_asks_little_of_github_however_many_heads_there_were() {
    let shop = Shop::open().await;
    let number = opened(&shop);
    preview(&shop, number).await;
    for run in 1..=10 {
        showed_progress(&shop, number, run).await;
    }
    let all: Vec<_> = shop.repository.deployments().into_iter().collect();
    let over: Vec<_> = all[..9]
        .iter()
        .map(|one| preview_github::DeploymentId(one.id))
        .collect();
    github(&shop)
        .retire_deployments(&over, "A newer run is there")
        .await
        .unwrap();
    shop.repository.close(number);
    shop.routes();
    on_closed(&shop, number).await.exits(0);
    insta::assert_snapshot!(shop.routes().join("\n"), @r"
    GET /repos/acme/shop
    GET /pulls/{id}
    GET /deployments
    GET /pulls/{id}/commits
    GET /orgs/acme/packages/container/api/versions
    GET /users/acme/packages/container/api/versions
    GET /orgs/acme/packages/container/web/versions
    GET /users/acme/packages/container/web/versions
    GET /issues/{id}/labels
    GET /issues
    DELETE /labels/{label}
    POST /graphql
    GET /issues/{id}/comments
    GET /issues/{id}/comments
    PATCH /issues/comments/{id}
    POST /graphql
    POST /deployments/{id}/statuses
    ");
    shop.close();
}
