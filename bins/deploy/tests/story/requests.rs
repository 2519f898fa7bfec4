//! What a deploy asks of GitHub: `GITHUB_TOKEN` may ask 1,000 times an hour, for all workflows of a repository together.
//! <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#primary-rate-limit-for-github_token-in-github-actions>

use crate::DEPLOY;
use crate::approval::{deploys, guarded, starts, step};
use crate::shop::Shop;

/// How many requests a deploy of so many components may take.
const fn most(components: usize) -> usize {
    20 + 3 * components
}

impl Shop {
    /// Deploys the head that a pull request has, as its CI starts it; what that asked of GitHub.
    async fn deploys_counted(&self, number: u64) -> Vec<String> {
        let payload = self.repository.workflow_run_payload(number);
        self.routes();
        self.on(DEPLOY, "workflow_run", &payload).await.exits(0);
        self.routes()
    }

    /// Takes the component `api` out of `preview.toml`.
    fn without_api(&self) {
        let file = self.path("preview.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let (before, rest) = text.split_once("[components.api]").unwrap();
        let (_, after) = rest.split_once("[database]").unwrap();
        std::fs::write(&file, format!("{before}[database]{after}")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_deploy_asks_little_of_github() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let asked = shop.deploys_counted(number).await;
    insta::assert_snapshot!(asked.join("\n"), @r"
    GET /pulls
    GET /compare/main...{sha}
    GET /pulls/{id}
    POST /deployments
    POST /deployments/{id}/statuses
    POST /statuses/{sha}
    GET /issues/{id}/comments
    POST /issues/{id}/comments
    GET /issues/{id}/comments
    GET /pulls/{id}
    GET /pulls/{id}
    PATCH /issues/comments/{id}
    PATCH /issues/comments/{id}
    GET /pulls/{id}
    POST /deployments
    POST /deployments/{id}/statuses
    POST /graphql
    POST /issues/{id}/labels
    PATCH /labels/{label}
    PATCH /labels/{label}
    POST /deployments/{id}/statuses
    POST /statuses/{sha}
    PATCH /issues/comments/{id}
    GET /pulls/{id}
    POST /statuses/{sha}
    ");
    assert!(asked.len() <= most(2), "{}", asked.len());
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_of_the_next_head_asks_little_of_github() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    shop.deploys_counted(number).await;
    shop.repository
        .push(number, &[("web/cart.html", "a better cart")]);
    shop.build(number);
    let asked = shop.deploys_counted(number).await;
    insta::assert_snapshot!(asked.join("\n"), @r"
    GET /pulls
    GET /compare/main...{sha}
    GET /pulls/{id}
    POST /deployments
    POST /deployments/{id}/statuses
    POST /statuses/{sha}
    GET /issues/{id}/comments
    PATCH /issues/comments/{id}
    GET /pulls/{id}
    PATCH /issues/comments/{id}
    PATCH /issues/comments/{id}
    GET /pulls/{id}
    POST /deployments
    POST /deployments/{id}/statuses
    POST /graphql
    PATCH /labels/{label}
    PATCH /labels/{label}
    GET /deployments
    POST /deployments/{id}/statuses
    POST /deployments/{id}/statuses
    POST /deployments/{id}/statuses
    POST /statuses/{sha}
    PATCH /issues/comments/{id}
    GET /pulls/{id}
    POST /statuses/{sha}
    ");
    assert!(asked.len() <= most(2), "{}", asked.len());
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_of_one_component_asks_little_of_github() {
    let shop = Shop::open().await;
    shop.without_api();
    let number = shop.open_pull_request();
    let asked = shop.deploys_counted(number).await;
    insta::assert_snapshot!(asked.join("\n"), @r"
    GET /pulls
    GET /compare/main...{sha}
    GET /pulls/{id}
    POST /deployments
    POST /deployments/{id}/statuses
    POST /statuses/{sha}
    GET /issues/{id}/comments
    POST /issues/{id}/comments
    GET /issues/{id}/comments
    GET /pulls/{id}
    GET /pulls/{id}
    PATCH /issues/comments/{id}
    GET /pulls/{id}
    POST /deployments
    POST /deployments/{id}/statuses
    POST /graphql
    POST /issues/{id}/labels
    PATCH /labels/{label}
    POST /deployments/{id}/statuses
    POST /statuses/{sha}
    PATCH /issues/comments/{id}
    GET /pulls/{id}
    POST /statuses/{sha}
    ");
    assert!(asked.len() <= most(1), "{}", asked.len());

    shop.repository
        .push(number, &[("web/cart.html", "a better cart")]);
    shop.build(number);
    let asked = shop.deploys_counted(number).await;
    assert!(asked.len() <= most(1), "{asked:#?}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_approval_and_deploying_by_it_each_ask_little_of_github() {
    let shop = guarded().await;
    let number = shop.open_pull_request();
    let run = starts(&shop, number);
    shop.routes();
    let asked = step(&shop, run, number, &["ask"]).await.exits(0);
    let asking = shop.routes();
    insta::assert_snapshot!(asking.join("\n"), @r"
    GET /pulls
    GET /compare/main...{sha}
    GET /environments
    GET /pulls/{id}
    GET /actions/runs
    POST /graphql
    GET /issues/{id}/comments
    POST /issues/{id}/comments
    GET /issues/{id}/comments
    POST /statuses/{sha}
    ");
    shop.repository.approve(run, "preview-approval", "anna");
    deploys(&shop, run, number, &asked).await.exits(0);
    let deploying = shop.routes();
    insta::assert_snapshot!(deploying.join("\n"), @r"
    GET /pulls
    GET /environments
    GET /actions/runs/{id}/approvals
    GET /compare/main...{sha}
    GET /pulls/{id}
    POST /deployments
    POST /deployments/{id}/statuses
    POST /statuses/{sha}
    GET /issues/{id}/comments
    PATCH /issues/comments/{id}
    GET /pulls/{id}
    GET /pulls/{id}
    PATCH /issues/comments/{id}
    PATCH /issues/comments/{id}
    GET /pulls/{id}
    POST /deployments
    POST /deployments/{id}/statuses
    POST /graphql
    POST /issues/{id}/labels
    PATCH /labels/{label}
    PATCH /labels/{label}
    POST /deployments/{id}/statuses
    POST /statuses/{sha}
    PATCH /issues/comments/{id}
    GET /pulls/{id}
    POST /statuses/{sha}
    ");
    for asked in [asking, deploying] {
        assert!(asked.len() <= most(2), "{}", asked.len());
    }
    shop.close();
}
