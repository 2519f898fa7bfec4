//! Routes: what the comment's URL leads to, over TLS with the certificate that every preview has a copy of; hosts and paths
//! of components; and that a preview is ready only once its pages answered.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use preview_core::{health::FailureClass, outcome::ResultFile};
use sandbox::cluster::{Reply, Visit};

use super::{
    FrontDoor,
    kube::{Answer, until},
    sight::Sight,
    stage::Stage,
};
use crate::images::Edition;

/// The API's own part of the example's configuration, and the page's.
const API: &str = "[components.api]\n";
const WEB: &str = "[components.web]\n";
/// How the example's previews are reached.
const INGRESS: &str = "[ingress]\nclass = \"nginx\"\n";
const GATEWAY: &str =
    "[gateway]\nname = \"public\"\nnamespace = \"gateways\"\nsection = \"https\"\n";
/// Of the page's check: what is met, and what is not.
const IN_TIME: &str = "deadline = \"20s\"";
const IN_VAIN: &str = "status = 204, deadline = \"3s\"";
/// Until routes lead to nothing but new pods.
const MOMENT: Duration = Duration::from_secs(15);

/// A preview is reached by its URL, its API by a path and then by a host of its own; and behind a Gateway it has other
/// routes.
///
/// # Errors
/// When a visitor meets something else.
pub(crate) async fn lead_to_the_preview(stage: &mut Stage) -> anyhow::Result<()> {
    let played = acts(stage).await;
    stage.cleared_after(played).await
}

async fn acts(stage: &mut Stage) -> anyhow::Result<()> {
    if let Some(world) = stage.ground.world() {
        world.cluster.respond(page);
    }
    stage.act("The API has a path of the preview's host");
    stage.configures(API, &format!("{API}path = \"/notes\"\n"));
    let number = stage.open_pull_request();
    let built = stage.ci_builds(Edition::First).await?;
    stage.publish_postgres().await?;
    stage.deploy().await?;
    let url = url(&stage.repository.page(number))?;
    let door = stage.front_door().await?;
    leads_to_the_page(stage, &door, &url, &built.test_merge).await?;
    leads_to_the_api(&door, &format!("{url}/notes"), true).await?;

    stage.act("Ready means that the page answered, and the API has a host of its own");
    stage.configures(
        "path = \"/notes\"\n",
        "host = \"{pr}-api.pr.example.com\"\n",
    );
    let check = format!("check = {{ path = \"/ready\", {IN_TIME} }}\n");
    stage.configures(WEB, &format!("{WEB}{check}"));
    let checks = format!("[checks]\nconnect_to = \"{}\"\n\n", door.address());
    stage.configures(INGRESS, &format!("{checks}{INGRESS}"));
    let result = stage.deploy().await?;
    checked(&result, &format!("{url}/ready"))?;
    let door = stage.front_door().await?;
    leads_to_the_page(stage, &door, &url, &built.test_merge).await?;
    let api = url.replacen(".pr.", "-api.pr.", 1);
    ensure!(
        stage
            .repository
            .page(number)
            .contains(&format!("API answers at {api}")),
        "the comment does not say where the API answers"
    );
    leads_to_the_api(&door, &format!("{api}/notes"), true).await?;
    leads_to_the_api(&door, &format!("{url}/notes"), false).await?;

    stage.act("A page that answers something else is no preview");
    stage.configures(IN_TIME, IN_VAIN);
    let (failure, _) = stage.deploy_in_vain().await?;
    ensure!(
        failure.class == FailureClass::Check && failure.message.contains("answers 200"),
        "what was answered should be told: {failure}"
    );
    stage.show_page();

    behind_a_gateway(stage, &checks).await?;
    stage.act("The pull request is closed");
    stage.close()?;
    stage.cleanup().await?;
    stage.nothing_is_left_of_the_preview().await?;
    stage.github_is_content()
}

/// As the second example has it: no traffic, for no Gateway is there to carry it.
async fn behind_a_gateway(stage: &mut Stage, checks: &str) -> anyhow::Result<()> {
    stage.act("A Gateway stands in place of the ingress controller");
    if let Some(world) = stage.ground.world() {
        world.cluster.install_gateway_api();
    }
    let certificate = format!(
        "[tls]\nsecret = \"preview-wildcard-tls\"\nnamespace = \"{}\"\n",
        stage.edge()
    );
    stage.configures(checks, "");
    stage.configures(&certificate, "");
    stage.configures(INGRESS, GATEWAY);
    stage.configures(IN_VAIN, "through = \"cluster\"");
    let result = stage.deploy().await?;
    checked(&result, "Service/web:8080/ready")?;
    let routes = stage.routes("gateway.networking.k8s.io/v1", "HTTPRoute");
    let routes = routes.await?;
    ensure!(
        routes == ["api", "web"],
        "there should be two HTTPRoutes: {routes:?}"
    );
    let left = stage.routes("networking.k8s.io/v1", "Ingress").await?;
    ensure!(left.is_empty(), "Ingresses are left: {left:?}");
    Ok(())
}

/// The page of `url` is the preview's, of this commit, and shown with the certificate that the preview has a copy of.
async fn leads_to_the_page(
    stage: &Stage,
    door: &FrontDoor,
    url: &str,
    commit: &str,
) -> anyhow::Result<()> {
    let copy = stage.certificate_of_the_preview().await?;
    let sight = until(Instant::now() + MOMENT, async || {
        let seen = door.get(url).await?;
        ensure!(
            seen.certificate == copy,
            "{url} is shown with another certificate than the preview's:\n{}",
            seen.certificate
        );
        let (status, body) = (seen.status, seen.body);
        let sight = Sight::read(&Answer { status, body }).map_err(|error| format!("{error:#}"));
        Ok(sight.and_then(|sight| match sight.commit == commit {
            true => Ok(sight),
            false => Err(format!("it should show {commit}: {sight}")),
        }))
    });
    let sight = sight.await.with_context(|| format!("at {url}"))?;
    stage.progress.say(&format!("{url}: {sight}"));
    Ok(())
}

/// Whether the API answers at `url`, or what comes in its place does not: a Service hears of its pods a moment later
/// than they are ready.
async fn leads_to_the_api(door: &FrontDoor, url: &str, leads: bool) -> anyhow::Result<()> {
    until(Instant::now() + MOMENT, async || {
        let seen = door.get(url).await?;
        Ok(match is_api(&seen.body) == leads {
            true => Ok(()),
            false => Err(format!("{url} should lead to the API ({leads}): {seen:?}")),
        })
    })
    .await
}

/// What the comment says behind **URL**.
fn url(page: &str) -> anyhow::Result<String> {
    let lines = page.lines();
    let mut urls = lines.filter_map(|line| line.split_once("**URL**: "));
    let (_, url) = urls.next().context("the comment has no URL")?;
    Ok(url.trim().to_owned())
}

/// The run asked `address`.
fn checked(result: &ResultFile, address: &str) -> anyhow::Result<()> {
    let asked = result.effects.iter();
    let asked: Vec<_> = asked.filter(|effect| effect.what == "check").collect();
    ensure!(
        asked.len() == 1 && asked[0].object == address,
        "{address} should have been asked: {asked:?}"
    );
    Ok(())
}

/// Whether it is the API that answered: rows as JSON, or in the sandbox what its image is.
fn is_api(body: &str) -> bool {
    body.starts_with('[') || body.contains("shop-api@")
}

/// What the containers of the sandbox answer to whatever is asked: by which one of them can be told from another.
fn page(visit: &Visit) -> Reply {
    let environment = visit.env.get("ENV").map_or("unknown", String::as_str);
    let revision = visit.revision.as_deref().unwrap_or("unknown");
    let body = format!(
        "<h1>{}</h1><b id=\"environment\">{environment}</b><code id=\"revision\">{revision}</code>",
        visit.image
    );
    Reply {
        status: 200,
        content_type: "text/html; charset=utf-8".to_owned(),
        body,
    }
}
