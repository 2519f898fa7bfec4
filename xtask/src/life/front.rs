//! The front door by itself: what Ingresses say is what a visitor meets.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{FrontDoor, stage::Stage};

const HOST: &str = "shop.pr.example.com";

/// Hosts and paths lead to their Services, with the certificate of the Secret that the Ingress names, and nothing else
/// leads anywhere.
///
/// # Errors
/// When a visitor meets something else.
pub(crate) async fn is_open(stage: &mut Stage) -> anyhow::Result<()> {
    let played = acts(stage).await.context("at the front door");
    stage.cleared_after(played).await
}

async fn acts(stage: &Stage) -> anyhow::Result<()> {
    stage.act("Two servers have routes of their own");
    stage.furnish_production().await?;
    let certificate = stage.copy_certificate(&stage.production()).await?;
    for (name, path) in [("web", "/"), ("api", "/ready")] {
        let ingress = ingress(&stage.production(), name, path);
        stage.ground.kube.create(&ingress).await?;
    }
    stage.act("Visitors come");
    let door = stage.front_door().await?;
    stage
        .progress
        .say(&format!("the front door is {}", door.address()));
    let page = door.get(&format!("https://{HOST}/")).await?;
    ensure!(page.status == 200, "the page answers {page:?}");
    ensure!(
        page.body.contains("<h1>"),
        "that is not the page of web: {}",
        page.body
    );
    ensure!(
        page.certificate == certificate,
        "that is not the certificate of the Secret: {}",
        page.certificate
    );
    let ready = door.get(&format!("https://{HOST}/ready")).await?;
    ensure!(ready.status == 200, "the API answers {ready:?}");
    ensure!(
        ready.body != page.body,
        "the API's path leads to the page: {}",
        ready.body
    );
    leads_nowhere(&door).await
}

/// Another host, and a path with an element more in its name.
async fn leads_nowhere(door: &FrontDoor) -> anyhow::Result<()> {
    let other = door.get("https://other.pr.example.com/").await;
    ensure!(
        other.is_err(),
        "a host that no Ingress names has an answer: {other:?}"
    );
    let foreign = door.get("https://shop.example.com/").await;
    ensure!(foreign.is_err(), "a foreign host answers: {foreign:?}");
    Ok(())
}

fn ingress(namespace: &str, service: &str, path: &str) -> Value {
    let backend = json!({ "service": { "name": service, "port": { "number": 8080 } } });
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "namespace": namespace, "name": service },
        "spec": {
            "tls": [{ "hosts": [HOST], "secretName": "tls" }],
            "rules": [{ "host": HOST, "http": { "paths": [
                { "path": path, "pathType": "Prefix", "backend": backend },
            ] } }],
        },
    })
}
