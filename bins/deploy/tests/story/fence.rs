//! Two runs for one pull request, and a pull request that is closed: at every write of a deploy, and at every fifth of its
//! reads, which are many and much alike. `cargo xtask test --judged` takes them all.
//!
//! In a world of its own for each request, a run is frozen there, something happens, and the run goes on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::{StreamExt as _, stream};
use preview_core::cleanup::RetainedVolumes;
use preview_core::comment::tells_of_destruction;
use preview_core::names::RepositoryId;
use preview_core::ownership::{Owner, keys};
use preview_k8s::{Cluster, Settings};
use sandbox::Gate;
use sandbox::github::SeenDeployment;
use serde_json::{Value, json};

use crate::DEPLOY;
use crate::shop::{Ran, Shop, is_write, reads};

/// Worlds at the same time.
const WORLDS: usize = 4;

/// A shop of one component without a database, so that a deploy is short, and a pull request of it.
async fn small() -> (Shop, u64) {
    let shop = Shop::open().await;
    let host = shop.world.registry.host();
    let text = format!(
        "approval = \"none\"\nhost = \"{{pr}}.pr.example.com\"\n[components.web]\nimage = \"{host}/acme/web\"\npath = \"/\"\n\
         [registry]\nplain_http = [\"{host}\"]\n"
    );
    std::fs::write(shop.path("preview.toml"), text).unwrap();
    let number = shop.open_pull_request();
    (shop, number)
}

/// Deploys the pull request's present head, by a way with a gate on it.
async fn deploy_through(shop: &Shop, number: u64, gate: &Gate) -> Ran {
    let github = shop.world.github.through(gate).await.unwrap();
    let cluster = shop.world.cluster.through(gate).await.unwrap();
    let kubeconfig = shop.path("kubeconfig-of-the-older");
    std::fs::write(&kubeconfig, shop.world.cluster.kubeconfig_at(&cluster)).unwrap();
    let ways = [
        ("GITHUB_API_URL", github),
        ("KUBECONFIG", kubeconfig.to_str().unwrap().to_owned()),
    ];
    deploy(shop, number, &ways).await
}

async fn deploy(shop: &Shop, number: u64, variables: &[(&str, String)]) -> Ran {
    let head = shop.repository.head_of(number);
    let arguments = ["--pr", &number.to_string(), "--sha", &head];
    shop.run(DEPLOY, &arguments, variables).await
}

/// Deploys, frozen at the request `nth`; meanwhile `happens`. None where the deploy has fewer requests.
async fn frozen(
    shop: &Shop,
    number: u64,
    nth: usize,
    happens: impl Future<Output = ()>,
) -> Option<(Ran, String)> {
    let gate = Gate::closed_from(nth);
    let deploy = deploy_through(shop, number, &gate);
    tokio::pin!(deploy);
    tokio::select! {
        _ = &mut deploy => return None,
        () = gate.holds() => {}
    }
    happens.await;
    gate.open();
    let ran = deploy.await;
    Some((ran, format!("request {nth}, {}", gate.held().unwrap())))
}

/// The requests of a whole deploy.
async fn requests() -> Vec<String> {
    let (shop, number) = small().await;
    let gate = Gate::closed_from(usize::MAX);
    let ran = deploy_through(&shop, number, &gate).await.exits(0);
    assert!(ran.verdict().starts_with("deployed: "), "{ran:#?}");
    gate.came()
}

/// Plays `story` once for each write of a deploy that `matters` and for some of its reads, and fails with everything that
/// it finds.
async fn at_each_request<F: Future<Output = Vec<String>>>(
    matters: fn(&str) -> bool,
    story: impl Fn(usize) -> F,
) {
    let all = requests().await;
    let reads = reads();
    let numbered = all.iter().zip(1..);
    let chosen: Vec<usize> = numbered
        .filter(|(request, nth)| matters(request) && (is_write(request) || nth % reads == 0))
        .map(|(_, n)| n)
        .collect();
    assert!(
        chosen.len() > 8,
        "{} are not those of a whole deploy",
        chosen.len()
    );
    let found = stream::iter(chosen).map(story).buffered(WORLDS);
    let found: Vec<String> = found.flat_map(stream::iter).collect().await;
    assert!(
        found.is_empty(),
        "{} found:\n{}",
        found.len(),
        found.join("\n")
    );
}

fn any(_: &str) -> bool {
    true
}

fn is_told_on_github(request: &str) -> bool {
    is_write(request) && request.contains(" /repos/")
}

/// What is there of a preview.
struct Seen {
    /// Comments, labels, statuses of the present head, and the deployments of newer runs that are not inactive.
    page: String,
    /// What runs have written in the cluster, each with its fence.
    objects: BTreeMap<String, (String, String)>,
}

impl Seen {
    fn now(shop: &Shop, number: u64) -> Self {
        // Its own the older run may put away.
        let of_newer = |d: &SeenDeployment| !d.payload.to_string().contains(OLDER);
        let all = shop.repository.deployments().into_iter();
        let active = all.filter(|d| d.state != "inactive" && of_newer(d));
        let active = active.map(|deployment| {
            let kind = &deployment.payload["kind"];
            format!("{kind} of {}: {}", deployment.sha, deployment.state)
        });
        let page = format!(
            "{:#?}\n{:#?}\n{:#?}\n{:#?}",
            shop.repository.comments(number),
            shop.repository.labels(number),
            shop.repository.statuses(&shop.repository.head_of(number)),
            active.collect::<Vec<_>>(),
        );
        let namespace = format!("preview-pr-{number}");
        let cluster = &shop.world.cluster;
        let contents = cluster.contents(&namespace).into_iter().filter_map(|name| {
            let (kind, object) = name.split_once('/')?;
            let object = cluster.object(kind, &namespace, object)?;
            let fence = object["metadata"]["labels"][keys::FENCE]
                .as_str()?
                .to_owned();
            Some((name, (fence, written(&object))))
        });
        let itself = cluster
            .object("Namespace", "", &namespace)
            .map(|namespace| {
                let fence = &namespace["metadata"]["annotations"][keys::FENCE];
                (
                    "Namespace".to_owned(),
                    (fence.to_string(), written(&namespace)),
                )
            });
        Self {
            page,
            objects: contents.chain(itself).collect(),
        }
    }

    /// Names of objects that carry the fence of the run `run`.
    fn of_run(&self, run: &str) -> Vec<&str> {
        let all = self.objects.iter();
        let of_run = all.filter(|(_, (fence, _))| fence == run);
        of_run.map(|(name, _)| name.as_str()).collect()
    }
}

/// What a run has written of an object, and not its controllers.
fn written(object: &Value) -> String {
    let mut object = object.clone();
    let metadata = &object["metadata"];
    let kept = json!([metadata["uid"], metadata["labels"], metadata["annotations"]]);
    for of_controllers in ["metadata", "status"] {
        object[of_controllers] = Value::Null;
    }
    format!("{kept} {object}")
}

/// How often a world is played until one lies within a minute. They take a few seconds each.
const WITHIN_A_MINUTE: usize = 4;

/// An older run, frozen at its request `nth`, goes on after a newer one has finished; gives what is wrong then.
///
/// A comment tells the minute in which it was written: the page before and after can be the same only within one.
async fn the_older_goes_on_late(nth: usize, pushed: bool) -> Vec<String> {
    for _ in 0..WITHIN_A_MINUTE {
        let (wrong, within_a_minute) = the_older_goes_on_once(nth, pushed).await;
        if within_a_minute || wrong.is_empty() {
            return wrong;
        }
    }
    vec![format!("request {nth}: the minute turned each time")]
}

/// Gives what is wrong, and whether it all was within one minute since the newer run began.
async fn the_older_goes_on_once(nth: usize, pushed: bool) -> (Vec<String>, bool) {
    let (shop, number) = small().await;
    let (mut before, mut began) = (None, None);
    let newer = async {
        began = Some(minute());
        if pushed {
            shop.repository
                .push(number, &[("web/cart.html", "a better cart")]);
            shop.build(number);
        }
        let ran = deploy(&shop, number, &[]).await.exits(0);
        assert!(ran.verdict().starts_with("deployed: "), "{nth}: {ran:#?}");
        before = Some(Seen::now(&shop, number));
    };
    let Some((ran, request)) = frozen(&shop, number, nth, newer).await else {
        return (Vec::new(), true);
    };
    let (before, after) = (before.unwrap(), Seen::now(&shop, number));
    let within_a_minute = began == Some(minute());
    let mut wrong = Vec::new();
    let mut tell = |what: String| wrong.push(format!("{request}: {what}"));
    if ran.exit != 0 || !ran.verdict().starts_with("superseded: ") {
        tell(format!(
            "exit {}, {} {}",
            ran.exit,
            ran.verdict(),
            ran.stderr
        ));
    }
    if before.page != after.page {
        tell(format!(
            "the page was\n{}\nand is\n{}",
            before.page, after.page
        ));
    }
    for (name, was) in &before.objects {
        if after.objects.get(name) != Some(was) {
            tell(format!(
                "{name} was {was:?} and is {:?}",
                after.objects.get(name)
            ));
        }
    }
    let late = after.of_run(OLDER);
    if after.objects.len() != before.objects.len() + late.len() {
        tell("something was made that does not carry the older fence".to_owned());
    }
    if !late.is_empty() {
        deploy(&shop, number, &[]).await.exits(0);
        let left = Seen::now(&shop, number);
        if !left.of_run(OLDER).is_empty() {
            tell(format!("the next run leaves {:?}", left.of_run(OLDER)));
        }
    }
    shop.close();
    (wrong, within_a_minute)
}

/// Minutes since the epoch, as the clock that comments are dated by tells them.
fn minute() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs() / 60
}

/// The fence of the first run in a shop.
const OLDER: &str = "100.1";

#[tokio::test(flavor = "multi_thread")]
async fn an_older_run_for_an_older_head_changes_nothing_whenever_it_goes_on() {
    at_each_request(any, |nth| the_older_goes_on_late(nth, true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_run_for_the_same_head_changes_nothing_whenever_it_goes_on() {
    // To the cluster one head is as good as another: that is the story above.
    at_each_request(is_told_on_github, |nth| the_older_goes_on_late(nth, false)).await;
}

/// The pull request is closed, and cleaned up after, while its deploy is frozen at its request `nth`; gives what is wrong
/// once that has gone on.
async fn it_is_closed_meanwhile(nth: usize) -> Vec<String> {
    let (shop, number) = small().await;
    let close = async {
        shop.repository.close(number);
        clean_up(&shop, number).await;
    };
    let Some((ran, request)) = frozen(&shop, number, nth, close).await else {
        return Vec::new();
    };
    let mut wrong = Vec::new();
    let namespace = format!("preview-pr-{number}");
    if shop
        .world
        .cluster
        .object("Namespace", "", &namespace)
        .is_some()
    {
        wrong.push(format!("{request}: there is a preview: {ran:#?}"));
    }
    // Before it has done anything, it is a pull request that was closed before.
    let is_refused = ran.exit == 1 && ran.stderr.contains("is closed; reopen it");
    if ran.exit != 0 && !is_refused {
        wrong.push(format!("{request}: exit {}: {}", ran.exit, ran.stderr));
    }
    let comments = shop.repository.comments(number);
    if let Some((_, body)) = comments
        .iter()
        .find(|(_, body)| !tells_of_destruction(body))
    {
        wrong.push(format!("{request}: the comment says {body}"));
    }
    // The record of what was tested stays: it is cleanup's to retire, and promotes nothing that is not merged.
    let all = shop.repository.deployments().into_iter();
    let mut progress = all.filter(|d| d.payload["kind"] == "preview-environments/progress");
    if progress.any(|d| d.state != "inactive") {
        wrong.push(format!("{request}: its progress is shown still"));
    }
    shop.close();
    wrong
}

/// Takes the preview down as `preview-cleanup` does.
async fn clean_up(shop: &Shop, number: u64) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = Settings {
        kubeconfig: Some(shop.path("kubeconfig")),
        ..Settings::inferred("preview-cleanup")
    };
    let cluster = Cluster::connect(settings).await.unwrap();
    let owner = Owner {
        repository: RepositoryId(shop.repository.id()),
        subject: format!("pr-{number}").parse().unwrap(),
    };
    let name = format!("preview-pr-{number}").parse().unwrap();
    if let Some(read) = cluster.namespace(&name).await.unwrap() {
        let deadline = Instant::now() + Duration::from_secs(60);
        let retained = RetainedVolumes::Stay;
        let torn_down = cluster.tear_down(&owner, &read, retained, deadline);
        torn_down.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_closes_at_any_moment_ends_without_a_preview() {
    at_each_request(any, it_is_closed_meanwhile).await;
}
