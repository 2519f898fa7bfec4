//! Previews that cannot come up, and what `preview-deploy` says of them: what, where and why, long before its deadline.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use preview_core::health::{Failure, FailureClass};
use sandbox::cluster::{Behaviour, Reply};

use super::{
    ground::{CRASH, CRASHING, Script},
    kube::Kube,
    sight::Sight,
    stage::Stage,
};
use crate::images::Edition;

/// The deadline is five minutes. A crash is certain after some restarts, between which the kubelet waits longer each
/// time.
const LONG_BEFORE: Duration = Duration::from_secs(120);

/// Whoever looks at a page all the time looks as often as this.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// The configuration names an image that is not there.
///
/// # Errors
/// When that is not told as it should be.
pub(crate) async fn an_image_is_missing(stage: &mut Stage) -> anyhow::Result<()> {
    told(stage, "an image is missing", async |stage| {
        stage.ci_builds(Edition::First).await?;
        stage.misspell_the_databases_tag();
        let (failure, took) = stage.deploy_in_vain().await?;
        names_its_pod(&failure, FailureClass::Image, took)?;
        ensure!(
            failure.message.contains("1-misspelt") && failure.message.contains("not found"),
            "the cause should be told: {failure}"
        );
        Ok(failure)
    })
    .await
}

/// An update whose page ends whenever it is started, while somebody looks at the page of the version before.
///
/// # Errors
/// When it is not told as it should be, or the page of the version before is once not there.
pub(crate) async fn a_container_crashes(stage: &mut Stage) -> anyhow::Result<()> {
    told(stage, "a container of an update crashes", async |stage| {
        let built = stage.ci_builds(Edition::First).await?;
        stage.publish_postgres().await?;
        stage.deploy().await?;
        stage.look_at_preview(&built.test_merge).await?;
        stage.ci_builds_a_script(&CRASHING).await?;
        let (visitor, namespace) = (stage.ground.kube.another(), stage.preview()?);
        let looks = looks_all_the_time(&visitor, &namespace, &built.test_merge);
        let (failure, took) = tokio::select! {
            failed = stage.deploy_in_vain() => failed?,
            missed = looks => return Err(missed),
        };
        names_its_pod(&failure, FailureClass::Crash, took)?;
        ensure!(
            failure.container.as_deref() == Some("web") && failure.log.iter().any(|l| l == CRASH),
            "the container and its last words should be told: {failure:?}"
        );
        let page = stage.repository.page(stage.number()?);
        ensure!(
            page.contains("still serves") && page.contains("**URL**"),
            "the page does not say what serves:\n{page}"
        );
        Ok(failure)
    })
    .await
}

/// Opens the preview's page again and again; gives what was wrong with it, once something is.
async fn looks_all_the_time(kube: &Kube, namespace: &str, commit: &str) -> anyhow::Error {
    for nth in 1_u32.. {
        let seen = async {
            let sight = Sight::read(&kube.page(namespace, "web", 8080, "/").await?)?;
            ensure!(sight.commit == commit, "it should show {commit}: {sight}");
            Ok(())
        };
        if let Err(error) = seen.await {
            return error.context(format!("the page of the version before, look {nth}"));
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    unreachable!("nobody looks that often")
}

/// A page that cannot come up, or not answer.
struct Wrong {
    /// What is wrong with it.
    what: &'static str,
    script: Script,
    /// How its container is written, beyond name and image.
    container: &'static str,
    /// How its pod is written, beyond that.
    pod: &'static str,
    /// How its check is configured.
    check: &'static str,
    /// What should be told.
    class: FailureClass,
    says: &'static str,
}

const RUNNING: Script = Script {
    name: "running",
    text: "trap 'exit 0' TERM INT; sleep 2147483647 & wait",
    behaviour: || Behaviour::Fine { log: Vec::new() },
};

const READINESS: &str =
    "readinessProbe: { httpGet: { path: /ready, port: 8080 }, periodSeconds: 1 },";

const WRONGS: &[Wrong] = &[
    Wrong {
        what: "a page uses more memory than it may",
        script: Script {
            name: "hungry",
            text: "x=0123456789abcdef; while :; do x=$x$x; done",
            behaviour: || Behaviour::OutOfMemory,
        },
        container: "resources: { limits: { memory: 24Mi }, requests: { memory: 24Mi } }, \
                    readinessProbe: { exec: { command: [test, -e, /ready] }, periodSeconds: 1 },",
        pod: "",
        check: "",
        class: FailureClass::OutOfMemory,
        says: "OOMKilled",
    },
    Wrong {
        what: "a page needs a ConfigMap that is not there",
        script: RUNNING,
        container: "envFrom: [{ configMapRef: { name: settings } }],",
        pod: "",
        check: "",
        class: FailureClass::Configuration,
        says: "configmap \"settings\" not found",
    },
    Wrong {
        what: "no node takes a page",
        script: RUNNING,
        container: "",
        pod: "nodeSelector: { kubernetes.io/hostname: elsewhere },",
        check: "",
        class: FailureClass::Scheduling,
        says: "nodes are available",
    },
    Wrong {
        what: "a page is never ready",
        script: Script {
            behaviour: || Behaviour::NeverReady,
            ..RUNNING
        },
        container: READINESS,
        pod: "",
        check: "",
        class: FailureClass::Probe,
        says: "Readiness probe failed",
    },
    Wrong {
        what: "a page answers 500",
        script: Script {
            name: "erring",
            text: "mkdir -p /www/cgi-bin; cd /www/cgi-bin; printf '%s\\n' '#!/bin/sh' \
                   'printf \"Status: 500 Internal Server Error\\r\\n\\r\\nno prices today\\n\"' > page; \
                   chmod +x page; trap 'exit 0' TERM INT; busybox httpd -f -p 8080 -h /www & wait",
            behaviour: || Behaviour::Fine { log: Vec::new() },
        },
        container: "readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },",
        pod: "",
        check: "check = { path = \"/cgi-bin/page\", through = \"cluster\", deadline = \"10s\" }",
        class: FailureClass::Check,
        says: "answers 500",
    },
];

impl Wrong {
    /// The page as the workflow rendered it. It is given some seconds to become ready.
    fn manifests(&self, image: &str) -> String {
        let Self { container, pod, .. } = self;
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: web }}\nspec:\n  progressDeadlineSeconds: 12\n  \
             selector: {{ matchLabels: {{ app: web }} }}\n  template:\n    \
             metadata: {{ labels: {{ app: web }} }}\n    spec: {{ terminationGracePeriodSeconds: 1, {pod} \
             containers: [{{ name: web, {container} image: {image} }}] }}\n---\napiVersion: v1\nkind: Service\n\
             metadata: {{ name: web }}\nspec: {{ selector: {{ app: web }}, ports: [{{ port: 8080 }}] }}\n"
        )
    }
}

/// One preview goes wrong in one way after the other, and each time its page tells which class of failure it was.
///
/// # Errors
/// When one is not told as it should be.
pub(crate) async fn everything_goes_wrong(stage: &mut Stage) -> anyhow::Result<()> {
    told(stage, "everything goes wrong", async |stage| {
        if let Some(world) = stage.ground.world() {
            world.cluster.respond(|_| Reply {
                status: 500,
                content_type: "text/plain".to_owned(),
                body: "no prices today\n".to_owned(),
            });
        }
        let mut last = None;
        for wrong in WRONGS {
            let failure = wrong.is_told(stage).await;
            last = Some(failure.with_context(|| format!("where {}", wrong.what))?);
        }
        last.context("nothing goes wrong")
    })
    .await
}

impl Wrong {
    async fn is_told(&self, stage: &mut Stage) -> anyhow::Result<Failure> {
        stage.progress.say(self.what);
        stage.is_the_page_alone(self.manifests(&stage.ground.image("web")), self.check);
        stage.ci_builds_a_script(&self.script).await?;
        let (failure, took) = stage.deploy_in_vain().await?;
        ensure!(
            failure.class == self.class && failure.message.contains(self.says),
            "it should be told that {}, with {:?}: {failure}",
            self.class,
            self.says
        );
        ensure!(took < LONG_BEFORE, "it took {took:?} to tell: {failure}");
        let page = stage.repository.page(stage.number()?);
        let told = format!("**What failed**: {}", self.class);
        ensure!(page.contains(&told), "{told:?} is not told:\n{page}");
        stage.show_page();
        Ok(failure)
    }
}

/// Opens a pull request, plays what goes wrong, and closes it; its page tells what went wrong, and nothing of the
/// preview is left.
async fn told(
    stage: &mut Stage,
    what: &str,
    wrong: impl AsyncFnOnce(&mut Stage) -> anyhow::Result<Failure>,
) -> anyhow::Result<()> {
    let played = async {
        stage.act(what);
        let number = stage.open_pull_request();
        let failure = wrong(stage).await?;
        stage.show_page();
        let page = stage.repository.page(number);
        let pod = failure.pod.as_deref().unwrap_or_default();
        ensure!(
            page.contains(pod),
            "the pull request's page does not name {pod}:\n{page}"
        );
        stage.close()?;
        stage.cleanup().await?;
        stage.nothing_is_left_of_the_preview().await?;
        stage.github_is_content()
    };
    let played = played.await.with_context(|| format!("where {what}"));
    let cleared = stage.clear().await.context("clear the stage");
    played.and(cleared)
}

fn names_its_pod(failure: &Failure, class: FailureClass, took: Duration) -> anyhow::Result<()> {
    ensure!(
        failure.class == class,
        "it should be told that {class}: {failure}"
    );
    ensure!(failure.pod.is_some(), "the pod should be named: {failure}");
    ensure!(took < LONG_BEFORE, "it took {took:?} to tell: {failure}");
    Ok(())
}
