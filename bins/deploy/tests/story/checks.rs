//! Ready means that pages answered: what is asked, and what is told where they do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sandbox::cluster::Reply;

use crate::DEPLOY;
use crate::shop::Shop;

/// The shop with a check of `web`, and `more` in its configuration.
async fn checked(check: &str, more: &str) -> Shop {
    let shop = Shop::open().await;
    let path = shop.path("preview.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replacen(
        "[components.web]\n",
        &format!("[components.web]\ncheck = {{ {check} }}\n"),
        1,
    );
    std::fs::write(path, format!("{text}\n{more}\n")).unwrap();
    shop
}

fn reply(status: u16, body: &str) -> Reply {
    Reply {
        status,
        content_type: "text/html".to_owned(),
        body: body.to_owned(),
    }
}

/// An address at which nobody listens.
fn closed_door() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_asked_until_it_answers_as_it_should() {
    let check = "through = \"cluster\", path = \"/health\", status = 204";
    let shop = checked(check, "").await;
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    shop.world.cluster.respond(move |visit| {
        assert_eq!(visit.path, "/health");
        match count.fetch_add(1, Ordering::Relaxed) {
            0 => reply(503, "warming up"),
            _ => reply(204, ""),
        }
    });
    let number = shop.open_pull_request();
    let payload = shop.repository.workflow_run_payload(number);
    let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    assert_eq!(asked.load(Ordering::Relaxed), 2, "{ran:#?}");
    let steps = ran.steps();
    let check = steps.find("✓ check Service/web:8080/health").unwrap();
    let recorded = steps.find("✓ record").unwrap();
    assert!(check < recorded, "{steps}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_answers_something_else_is_told_by_what_it_says() {
    let shop = checked("through = \"cluster\", deadline = \"2s\"", "").await;
    shop.world
        .cluster
        .respond(|_| reply(500, "<h1>Oops</h1>\n```\n</details> @all\n::error::no\n"));
    let number = shop.open_pull_request();
    let payload = shop.repository.workflow_run_payload(number);
    let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(3);
    insta::assert_snapshot!(ran.error(), @"error: Deployment/web: page does not answer: after 2s Service/web:8080/ should answer 200 and answers 500; look at `kubectl -n preview-pr-7 logs Deployment/web --all-containers`");
    assert_eq!(ran.result["failure"]["class"], "check");
    insta::assert_snapshot!(shop.comment(number), @"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ❌ Failed — checking that it answers after [time]
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    **What failed**: page does not answer — `Deployment/web`
    **Message**: after 2s Service/web:8080/ should answer 200 and answers 500
    **Who acts**: the author of this pull request
    **Next**: `kubectl -n preview-pr-7 logs Deployment/web --all-containers`

    What it answered begins:

    ````text
    <h1>Oops</h1>
    ```
    </details> @all
    ::error::no
    ````

    [The run and its log](https://github.com/acme/shop/actions/runs/100/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-7`
    - Database: Ready
    - Web: Ready (2/2 replicas)
    - API: Ready (1/1 replicas)

    </details>
    ");
    let recorded = shop.repository.deployments().into_iter();
    let recorded = recorded.filter(|d| d.payload["kind"] == "preview-environments/record");
    assert_eq!(recorded.count(), 0, "what did not answer was not tested");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_only_the_cluster_sees_is_a_matter_of_its_route() {
    let door = closed_door();
    let more = format!("[checks]\nconnect_to = \"{door}\"");
    let shop = checked("path = \"/ready\", deadline = \"2s\"", &more).await;
    let number = shop.open_pull_request();
    let payload = shop.repository.workflow_run_payload(number);
    let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(3);
    let comment = shop.comment(number).replace(&door, "[door]");
    insta::assert_snapshot!(comment, @"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ❌ Failed — checking that it answers after [time]
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    **What failed**: route does not lead to the page — `Ingress/web`
    **Message**: after 2s https:&#8203;//7.pr.example.com/ready should answer 200 and does not answer: connect to [door]: Connection refused (os error 111); within the cluster it answers 200
    **Who acts**: whoever operates the previews
    **Next**: `kubectl -n preview-pr-7 describe Ingress/web`

    [The run and its log](https://github.com/acme/shop/actions/runs/100/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-7`
    - Database: Ready
    - Web: Ready (2/2 replicas)
    - API: Ready (1/1 replicas)

    </details>
    ");
    assert_eq!(ran.result["failure"]["class"], "route");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_that_the_cluster_does_not_have_are_refused_before_anything_is_done() {
    let shop = Shop::open().await;
    let path = shop.path("preview.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let gateway = "[gateway]\nname = \"public\"\nnamespace = \"gateways\"\n";
    std::fs::write(&path, format!("{text}\n{gateway}")).unwrap();
    let number = shop.open_pull_request();
    let payload = shop.repository.workflow_run_payload(number);
    let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(1);
    insta::assert_snapshot!(ran.error(), @"error: the cluster does not serve HTTPRoute of gateway.networking.k8s.io/v1, and the preview has one: install the Gateway API there, or have preview.toml name no Gateway");
    insta::assert_snapshot!(shop.comment(number), @"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⛔ Refused
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    - the cluster does not serve HTTPRoute of gateway.networking.k8s.io/v1, and the preview has one: install the Gateway API there, or have preview.toml name no Gateway

    [The run and its log](https://github.com/acme/shop/actions/runs/100/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Nothing is deployed

    </details>
    ");
    let namespace = shop.world.cluster.object("Namespace", "", "preview-pr-7");
    assert_eq!(namespace, None, "nothing is done");

    shop.world.cluster.install_gateway_api();
    shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    let route = shop
        .world
        .cluster
        .object("HTTPRoute", "preview-pr-7", "web");
    insta::assert_snapshot!(route.unwrap()["spec"]["parentRefs"], @r#"[{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"public","namespace":"gateways"}]"#);
    // Without the Gateway its routes go, and an Ingress comes.
    std::fs::write(&path, text).unwrap();
    shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    let contents = shop.contents("preview-pr-7");
    assert!(
        contents.contains("Ingress/web") && !contents.contains("HTTPRoute"),
        "{contents}"
    );
    shop.close();
}
