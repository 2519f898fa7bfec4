//! Somebody has to approve a head before it runs: who is asked, what is approved, and what nobody approves.

use sandbox::github::{ACTIONS_BOT, Environment, Permission};
use sandbox::registry::Image;
use serde_json::{Value, json};

use crate::DEPLOY;
use crate::shop::{Ran, Shop};

pub(crate) const WORKFLOW: &str = "preview-deploy.yml";

/// A shop whose reviewer is Anna, and in which she has to approve everything.
pub(crate) async fn guarded() -> Shop {
    let shop = Shop::open().await;
    shop.configure("approval = \"all\"");
    let gate = Environment::new("preview-approval").reviewers(&["anna"]);
    shop.repository.set_environment(gate);
    let secrets = Environment::new("preview").branches(&["main"]);
    shop.repository.set_environment(secrets);
    let inputs = ["pr", "sha", "commit", "reset_database", "comment"];
    shop.repository.add_dispatched_workflow(WORKFLOW, &inputs);
    shop
}

/// The environment for approval loses its reviewers, as where the plan of the repository has none.
pub(crate) fn without_reviewers(shop: &Shop) {
    let gate = Environment::new("preview-approval");
    shop.repository.set_environment(gate);
}

/// A run of the workflow for the head that a pull request has, which comes to wait for approval.
pub(crate) fn starts(shop: &Shop, number: u64) -> u64 {
    let head = shop.repository.head_of(number);
    let name = format!("preview of #{number} at {head}");
    let repository = &shop.repository;
    repository.wait_for_approval(WORKFLOW, "preview-approval", &name)
}

/// A step of that run, as CI of the pull request started it.
pub(crate) async fn step(shop: &Shop, run: u64, number: u64, arguments: &[&str]) -> Ran {
    let payload = shop.repository.workflow_run_payload(number);
    step_on(shop, (run, 1), ("workflow_run", payload), arguments).await
}

/// A step of that run, as somebody started it by hand for the pull request's head.
async fn by_hand(shop: &Shop, run: u64, number: u64, login: &str, arguments: &[&str]) -> Ran {
    let head = shop.repository.head_of(number);
    let inputs = json!({ "pr": number.to_string(), "sha": head });
    let payload = shop.repository.dispatch_payload(WORKFLOW, &inputs, login);
    step_on(shop, (run, 1), ("workflow_dispatch", payload), arguments).await
}

/// A step of an attempt of that run.
async fn step_on(
    shop: &Shop,
    (run, attempt): (u64, u32),
    (name, payload): (&str, Value),
    arguments: &[&str],
) -> Ran {
    std::fs::write(shop.path("event.json"), payload.to_string()).unwrap();
    let path = shop.path("event.json").to_str().unwrap().to_owned();
    let variables = [
        ("GITHUB_EVENT_NAME", name.to_owned()),
        ("GITHUB_EVENT_PATH", path),
        ("GITHUB_RUN_ID", run.to_string()),
        ("GITHUB_RUN_ATTEMPT", attempt.to_string()),
    ];
    shop.run(DEPLOY, arguments, &variables).await
}

/// The option that has exactly those images deployed that `asked` has shown.
fn as_shown(shop: &Shop, asked: &Ran) -> [String; 2] {
    let images = asked.output("images");
    let images = images.replace("registry.test", &shop.world.registry.host());
    ["--images".to_owned(), images]
}

/// Deploys what `asked` has shown.
pub(crate) async fn deploys(shop: &Shop, run: u64, number: u64, asked: &Ran) -> Ran {
    let images = as_shown(shop, asked);
    step(shop, run, number, &[&images[0], &images[1]]).await
}

/// `text` without digests, times and numbers of runs.
fn plain(shop: &Shop, text: &str) -> String {
    let words = shop.without_hashes(text);
    let words = words.split_inclusive([' ', '\n', '/']);
    let mut out = String::new();
    for word in words {
        let end = word.trim_end_matches([' ', '\n', '/', ',']).len();
        let (name, rest) = word.split_at(end);
        let all = |name: &str, c: char| name.bytes().all(|b| b.is_ascii_digit() || b == c as u8);
        let shown = match name.len() {
            10 if name.contains('-') && all(name, '-') => "[day]",
            5 if name.contains(':') && all(name, ':') => "[time]",
            _ if out.ends_with("/runs/") => "[run]",
            _ => name,
        };
        out += shown;
        out += rest;
    }
    out
}

fn comment(shop: &Shop, number: u64) -> String {
    plain(shop, &shop.comment(number))
}

/// The one line of the comment that begins so.
fn line(shop: &Shop, number: u64, beginning: &str) -> String {
    let text = comment(shop, number);
    let line = text.lines().find(|line| line.starts_with(beginning));
    line.unwrap_or_default().to_owned()
}

fn status(shop: &Shop, number: u64) -> String {
    let head = shop.repository.head_of(number);
    let statuses = shop.repository.statuses(&head);
    let of_preview = statuses.iter().find(|status| status.context == "preview");
    let status = of_preview.map(|status| {
        let description = status.description.clone();
        format!("{}: {}", status.state, description.unwrap_or_default())
    });
    status.unwrap_or_default()
}

/// What is recorded of the approval of the newest record.
fn recorded(shop: &Shop) -> Value {
    let deployments = shop.repository.deployments();
    let mut records = deployments.iter().filter_map(|deployment| {
        let text = deployment.payload["record"].as_str()?;
        serde_json::from_str::<Value>(text).ok()
    });
    let mut approval = records.next_back().unwrap()["approval"].take();
    assert!(approval["at"].as_str().unwrap().ends_with('Z'));
    approval["at"] = "[then]".into();
    approval
}

/// The digest that the workload of `web` runs.
fn web(shop: &Shop) -> String {
    let web = shop
        .world
        .cluster
        .object("Deployment", "preview-pr-7", "web");
    let container = &web.unwrap()["spec"]["template"]["spec"]["containers"][0];
    container["image"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_shown_and_approved_and_runs() {
    let shop = guarded().await;
    let number = shop.open_pull_request();
    let run = starts(&shop, number);
    let asked = step(&shop, run, number, &["ask"]).await.exits(0);
    insta::assert_snapshot!(comment(&shop, number), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: 🔏 Waits for approval
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    Somebody has to look at [head] and approve it; then exactly these images run:

    - API: `registry.test/acme/api@sha256:[hex]`
    - Web: `registry.test/acme/web@sha256:[hex]`

    **Who may approve**: `anna`, on [the page of the run](https://github.com/acme/shop/actions/runs/[run]/attempts/1)
    **Until**: [day] [time] UTC, when a sweep cancels the run; a push needs an approval of its own

    [The run and its log](https://github.com/acme/shop/actions/runs/[run]/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Nothing is deployed

    </details>
    ");
    insta::assert_snapshot!(status(&shop, number), @"pending: Waits for approval");
    let outputs = ["approval", "approvals", "phase"].map(|name| asked.output(name));
    assert_eq!(outputs, ["required", "0", "awaiting-approval"]);

    shop.repository.approve(run, "preview-approval", "anna");
    let ran = deploys(&shop, run, number, &asked).await.exits(0);
    insta::assert_snapshot!(ran.verdict().replace(&shop.repository.head_of(number)[..7], "[head]"), @"deployed: pull request #7 at [head] answers at https://7.pr.example.com");
    insta::assert_snapshot!(comment(&shop, number), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ✅ Ready
    **URL**: https://7.pr.example.com
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    - [head] was approved by `anna`, [day] [time] UTC, in a review of the run.

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-7`
    - Database: Ready
    - Web: Ready (2/2 replicas)
    - API: Ready (1/1 replicas)

    </details>
    ");
    insta::assert_snapshot!(recorded(&shop), @r#"{"at":"[then]","by":"anna","how":"review"}"#);
    assert_eq!(ran.result["approved"]["by"], "anna");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn environments_that_protect_nothing_are_refused_with_their_page() {
    let shop = guarded().await;
    let number = shop.open_pull_request();
    let run = starts(&shop, number);
    let head = shop.repository.head_of(number);
    let set = |environment| shop.repository.set_environment(environment);
    let mut told = Vec::new();
    let changes: [&dyn Fn(); 3] = [
        &|| set(Environment::new("preview")),
        &|| {
            set(Environment::new("preview")
                .protected_branches()
                .reviewers(&["anna"]))
        },
        &|| {
            set(Environment::new("preview").protected_branches());
            set(Environment::new("preview-approval").branches(&["main"]));
        },
    ];
    for change in changes {
        change();
        for arguments in [&["ask"][..], &[]] {
            let ran = step(&shop, run, number, arguments).await.exits(1);
            told.push(
                ran.error()
                    .replace(&head, "[head]")
                    .replace(&head[..7], "[head]"),
            );
        }
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    error: environment preview: usable from any branch; nobody has to approve; limit it to the default branch, and let it have no reviewers, on https://github.com/acme/shop/settings/environments
    error: environment preview: usable from any branch; nobody has to approve; limit it to the default branch, and let it have no reviewers, on https://github.com/acme/shop/settings/environments
    error: environment preview: limited to protected branches; somebody approves; limit it to the default branch, and let it have no reviewers, on https://github.com/acme/shop/settings/environments
    error: environment preview: limited to protected branches; somebody approves; limit it to the default branch, and let it have no reviewers, on https://github.com/acme/shop/settings/environments
    error: environment preview-approval: limited to branches by name; nobody has to approve, so nobody could approve [head]; give it required reviewers on https://github.com/acme/shop/settings/environments; where the plan of acme/shop has none, let somebody who may write comment `/preview approve [head]`
    error: environment preview-approval: limited to branches by name; nobody has to approve, so nobody could approve [head]; give it required reviewers on https://github.com/acme/shop/settings/environments; where the plan of acme/shop has none, let somebody who may write comment `/preview approve [head]`
    ");
    insta::assert_snapshot!(comment(&shop, number), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⛔ Refused
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    - environment preview-approval: limited to branches by name; nobody has to approve, so nobody could approve [head]; give it required reviewers on https:&#8203;//github.com/acme/shop/settings/environments; where the plan of acme/shop has none, let somebody who may write comment \`/preview approve [head]\`

    [The run and its log](https://github.com/acme/shop/actions/runs/[run]/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Nothing is deployed

    </details>
    ");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_without_any_environment_is_refused() {
    let shop = Shop::open().await;
    shop.configure("approval = \"all\"");
    let number = shop.open_pull_request();
    let payload = shop.repository.workflow_run_payload(number);
    let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(1);
    insta::assert_snapshot!(ran.error(), @"error: environment preview: it is not there, and a workflow that names it creates it without protection; limit it to the default branch, and let it have no reviewers, on https://github.com/acme/shop/settings/environments");
    assert_eq!(shop.contents("preview-pr-7"), "");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_approved_does_not_run() {
    let shop = guarded().await;
    let number = shop.open_pull_request();
    let (run, other) = (starts(&shop, number), starts(&shop, number));
    shop.repository.approve(other, "preview-approval", "anna");
    let ran = step(&shop, run, number, &[]).await.exits(1);
    let head = shop.repository.head_of(number);
    insta::assert_snapshot!(ran.error().replace(&head[..7], "[head]"), @"error: nobody has approved [head] in this run; let a job of its workflow wait in the environment preview-approval before it deploys, or comment `/preview deploy` to have somebody asked");
    insta::assert_snapshot!(comment(&shop, number), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⛔ Refused
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    - nobody has approved [head] in this run; let a job of its workflow wait in the environment preview-approval before it deploys, or comment \`/preview deploy\` to have somebody asked

    [The run and its log](https://github.com/acme/shop/actions/runs/[run]/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Nothing is deployed

    </details>
    ");
    assert_eq!(shop.contents("preview-pr-7"), "");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_that_was_shown_runs_although_its_tag_was_moved() {
    let shop = guarded().await;
    let number = shop.open_pull_request();
    let run = starts(&shop, number);
    let asked = step(&shop, run, number, &["ask"]).await.exits(0);
    shop.repository.approve(run, "preview-approval", "anna");
    let head = shop.repository.head_of(number);
    let built_from = shop.repository.merge_commit_of(number).unwrap();
    let moved = Image::of(&built_from).containing("something else");
    let moved = shop.publish("web", &head, &moved);
    deploys(&shop, run, number, &asked).await.exits(0);
    let shown: Value = serde_json::from_str(&asked.output("images")).unwrap();
    assert_eq!(shop.plain(&web(&shop)), shown["web"]);
    assert_ne!(web(&shop), moved);
    insta::assert_snapshot!(line(&shop, number, "- Web runs"), @"- Web runs the image that was shown beforehand; its tag names another by now, `registry.test/acme/web@sha256:[hex]`.");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_was_not_shown_does_not_run() {
    let shop = guarded().await;
    let number = shop.open_pull_request();
    let run = starts(&shop, number);
    shop.repository.approve(run, "preview-approval", "anna");
    // Of another commit than the pull request's: what was shown is looked at like any other.
    let main = shop.repository.head("main");
    let foreign = shop.publish("web", "foreign", &Image::of(&main));
    let elsewhere = foreign.replace("acme/web", "acme/api");
    let shown = [
        json!({ "web": foreign }),
        json!({ "web": elsewhere, "api": elsewhere }),
        json!({}),
    ];
    let shown = shown.map(|images| images.to_string());
    let of_shown = shown.iter().map(|images| vec!["--images", images.as_str()]);
    let mut told = Vec::new();
    for arguments in of_shown.chain([vec![]]) {
        let ran = step(&shop, run, number, &arguments).await.exits(1);
        told.push(shop.without_hashes(&ran.verdict()));
    }
    let head = shop.repository.head_of(number);
    let told = told
        .join("\n")
        .replace(&head, "[head]")
        .replace(&head[..7], "[head]")
        .replace(&main, "[main]");
    insta::assert_snapshot!(told, @r"
    refused: the image of component web, registry.test/acme/web@sha256:[hex], was built from [main] (parents: none), which is neither the head [head] nor a merge of it into main; run CI again for that
    refused: the image of component web, registry.test/acme/web@sha256:[hex], was built from [main] (parents: none), which is neither the head [head] nor a merge of it into main; run CI again for that; the image of component api, registry.test/acme/api@sha256:[hex], is incomplete: the registry lacks image sha256:[hex]; run CI again to push it
    refused: component api would run registry.test/acme/api@sha256:[hex], and nothing was shown of it beforehand; look at what is new, and have it deployed anew; component web would run registry.test/acme/web@sha256:[hex], and nothing was shown of it beforehand; look at what is new, and have it deployed anew
    refused: [head] was approved, and which images were shown for that is not told; deploy with the output `images` of `preview-deploy ask`, or of `preview-deploy import` where that made them (the input `images`)
    ");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_run_again_is_approved_again() {
    let shop = guarded().await;
    let number = shop.open_pull_request();
    let run = starts(&shop, number);
    shop.repository.approve(run, "preview-approval", "anna");
    shop.repository.rerun(run);
    let again = async |arguments: &[&str]| {
        let payload = shop.repository.workflow_run_payload(number);
        step_on(&shop, (run, 2), ("workflow_run", payload), arguments).await
    };
    let asked = again(&["ask"]).await.exits(0);
    let before = asked.output("approvals");
    assert_eq!(
        (asked.output("approval").as_str(), before.as_str()),
        ("required", "1")
    );
    let head = shop.repository.head_of(number);
    let mut told = Vec::new();
    for arguments in [&["--approvals-before", before.as_str()][..], &[]] {
        let ran = again(arguments).await.exits(1);
        told.push(ran.error().replace(&head[..7], "[head]"));
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    error: nobody has approved [head] in this run; let a job of its workflow wait in the environment preview-approval before it deploys, or comment `/preview deploy` to have somebody asked
    error: [head] was approved in an earlier attempt of this run, and what that showed may be another image; deploy with the output `approvals` of `preview-deploy ask` (the input `approvals-before`), or start a new run by `/preview deploy`
    ");
    shop.repository.approve(run, "preview-approval", "bob");
    let [option, images] = as_shown(&shop, &asked);
    let arguments = ["--approvals-before", &before, &option, &images];
    again(&arguments).await.exits(0);
    insta::assert_snapshot!(line(&shop, number, "- [head] was approved"), @"- [head] was approved by `anna, bob`, [day] [time] UTC, in a review of the run.");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_cancels_what_waits_for_the_earlier_head_at_once() {
    let shop = guarded().await;
    let number = shop.open_pull_request();
    let first = starts(&shop, number);
    step(&shop, first, number, &["ask"]).await.exits(0);
    let other = shop
        .repository
        .open_pull_request("feature/search", &[("web/search.html", "search")]);
    let of_another = starts(&shop, other);
    shop.repository.push(number, &[("web/cart.html", "more")]);
    shop.build(number);
    let second = starts(&shop, number);
    let ran = step(&shop, second, number, &["ask"]).await.exits(0);
    let states = [first, second, of_another].map(|run| shop.repository.run_state(run));
    let states = states.map(|(status, conclusion)| conclusion.unwrap_or(status));
    assert_eq!(states, ["cancelled", "waiting", "waiting"]);
    let head = shop.repository.head_of(number);
    let approvals = ran.result["approvals"].as_array().unwrap();
    assert_eq!(approvals.len(), 1);
    let reason = approvals[0]["reason"].as_str().unwrap();
    insta::assert_snapshot!(reason.replace(&head[..7], "[head]"), @"the head of its pull request is [head] by now");
    insta::assert_snapshot!(line(&shop, number, "**Status**"), @"**Status**: 🔏 Waits for approval");
    insta::assert_snapshot!(line(&shop, number, "**Commit**"), @"**Commit**: [head]");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_head_is_asked_for_beside_the_preview_of_the_earlier_one() {
    let shop = guarded().await;
    let number = shop.open_pull_request();
    let first = starts(&shop, number);
    let asked = step(&shop, first, number, &["ask"]).await.exits(0);
    shop.repository.approve(first, "preview-approval", "anna");
    deploys(&shop, first, number, &asked).await.exits(0);
    shop.repository.push(number, &[("web/cart.html", "more")]);
    shop.build(number);
    let second = starts(&shop, number);
    step(&shop, second, number, &["ask"]).await.exits(0);
    insta::assert_snapshot!(line(&shop, number, "**Status**"), @"**Status**: ✅ Ready");
    insta::assert_snapshot!(line(&shop, number, "**Approval**"), @"**Approval**: [head] waits until [day] [time] UTC for `anna`, on [the page of the run](https://github.com/acme/shop/actions/runs/[run]/attempts/1); it would run API `registry.test/acme/api@sha256:[hex]`, Web `registry.test/acme/web@sha256:[hex]`.");
    insta::assert_snapshot!(line(&shop, number, "**URL**"), @"**URL**: https://7.pr.example.com");
    insta::assert_snapshot!(status(&shop, number), @"pending: Waits for approval");
    // The approval was of another head.
    let ran = step(&shop, second, number, &[]).await.exits(1);
    let head = shop.repository.head_of(number);
    insta::assert_snapshot!(ran.error().replace(&head[..7], "[head]"), @"error: nobody has approved [head] in this run; let a job of its workflow wait in the environment preview-approval before it deploys, or comment `/preview deploy` to have somebody asked");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_forks_and_bots_only_is_of_nobody_who_may_write() {
    let shop = guarded().await;
    shop.configure("approval = \"forks\"");
    let number = shop.open_pull_request();
    let run = starts(&shop, number);
    let asked = step(&shop, run, number, &["ask"]).await.exits(0);
    assert_eq!(asked.output("approval"), "not-required");
    assert_eq!(shop.repository.comments(number), []);
    deploys(&shop, run, number, &asked).await.exits(0);
    assert_eq!(line(&shop, number, "- "), "- Namespace: `preview-pr-7`");

    shop.repository.set_author(number, "dependabot[bot]");
    let run = starts(&shop, number);
    let asked = step(&shop, run, number, &["ask"]).await.exits(0);
    assert_eq!(asked.output("approval"), "required");
    let ran = deploys(&shop, run, number, &asked).await.exits(1);
    assert!(ran.error().contains("nobody has approved"), "{ran:?}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_reviewers_who_may_write_approves_by_naming_the_head() {
    let shop = guarded().await;
    let number = shop.open_pull_request();
    let (first, second) = (starts(&shop, number), starts(&shop, number));
    let third = starts(&shop, number);
    shop.repository.set_permission("trixie", Permission::Triage);
    // Where there are reviewers, one of them is asked.
    let asked = by_hand(&shop, first, number, "alice", &["ask"]).await;
    assert_eq!(asked.exits(0).output("approval"), "required");
    by_hand(&shop, first, number, "alice", &[]).await.exits(1);

    without_reviewers(&shop);
    let ran = by_hand(&shop, second, number, "trixie", &[]).await;
    insta::assert_snapshot!(ran.exits(1).error(), @"error: trixie started this and may not write to acme/shop; let somebody start it who may");
    let asked = by_hand(&shop, third, number, "alice", &["ask"]).await;
    assert_eq!(asked.exits(0).output("approval"), "not-required");
    by_hand(&shop, third, number, "alice", &[]).await.exits(0);
    insta::assert_snapshot!(line(&shop, number, "- [head] was approved"), @"- [head] was approved by `alice`, [day] [time] UTC, by starting the workflow with it.");
    insta::assert_snapshot!(recorded(&shop), @r#"{"at":"[then]","by":"alice","how":"dispatch"}"#);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_reviewers_a_command_that_names_the_head_approves_it() {
    let shop = guarded().await;
    without_reviewers(&shop);
    let number = shop.open_pull_request();
    let head = shop.repository.head_of(number);
    let mut ended = Vec::new();
    for (login, text) in [
        ("alice", "/preview deploy".to_owned()),
        ("mallory", format!("/preview approve {head}")),
        ("alice", format!("/preview approve {head}")),
    ] {
        let comment = shop.repository.comment(number, login, &text).to_string();
        let inputs = json!({ "pr": number.to_string(), "sha": head, "comment": comment });
        let repository = &shop.repository;
        let payload = repository.dispatch_payload(WORKFLOW, &inputs, ACTIONS_BOT);
        let run = starts(&shop, number);
        let ran = step_on(&shop, (run, 1), ("workflow_dispatch", payload), &[]).await;
        let verdict = ran
            .verdict()
            .replace(&head, "[head]")
            .replace(&head[..7], "[head]");
        ended.push(format!("{login}, exit {}: {verdict}", ran.exit));
    }
    insta::assert_snapshot!(ended.join("\n"), @r"
    alice, exit 1: refused: environment preview-approval: usable from any branch; nobody has to approve, so nobody could approve [head]; give it required reviewers on https://github.com/acme/shop/settings/environments; where the plan of acme/shop has none, let somebody who may write comment `/preview approve [head]`
    mallory, exit 1: refused: environment preview-approval: usable from any branch; nobody has to approve, so nobody could approve [head]; give it required reviewers on https://github.com/acme/shop/settings/environments; where the plan of acme/shop has none, let somebody who may write comment `/preview approve [head]`
    alice, exit 0: deployed: pull request #7 at [head] answers at https://7.pr.example.com
    ");
    insta::assert_snapshot!(recorded(&shop), @r#"{"at":"[then]","by":"alice","how":"comment"}"#);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waited_for_a_slot_runs_as_it_was_approved() {
    let shop = guarded().await;
    shop.configure("approval = \"all\"\ncapacity = 1");
    let number = shop.open_pull_request();
    let other = shop
        .repository
        .open_pull_request("feature/search", &[("web/search.html", "search")]);
    shop.build(other);
    for (number, verdict) in [(other, "deployed"), (number, "queued")] {
        let run = starts(&shop, number);
        let asked = step(&shop, run, number, &["ask"]).await.exits(0);
        shop.repository.approve(run, "preview-approval", "anna");
        let ran = deploys(&shop, run, number, &asked).await.exits(0);
        assert_eq!(ran.result["verdict"], verdict);
    }
    shop.configure("approval = \"all\"\ncapacity = 2");
    // Meanwhile somebody has moved the tag.
    let head = shop.repository.head_of(number);
    let built_from = shop.repository.merge_commit_of(number).unwrap();
    let moved = Image::of(&built_from).containing("something else");
    let moved = shop.publish("web", &head, &moved);

    let turn = starts(&shop, number);
    let asked = by_hand(&shop, turn, number, ACTIONS_BOT, &["ask"]).await;
    assert_eq!(asked.exits(0).output("approval"), "not-required");
    let ran = by_hand(&shop, turn, number, ACTIONS_BOT, &[]).await;
    assert_eq!(ran.exits(0).result["verdict"], "deployed");
    assert_ne!(web(&shop), moved);
    insta::assert_snapshot!(line(&shop, number, "- [head] was approved"), @"- [head] was approved by `anna`, [day] [time] UTC, in a review of the run.");
    insta::assert_snapshot!(recorded(&shop), @r#"{"at":"[then]","by":"anna","how":"review"}"#);

    // Nobody has approved what was pushed since, and a free slot asks nobody.
    shop.repository.push(number, &[("web/cart.html", "more")]);
    shop.build(number);
    let turn = starts(&shop, number);
    let ran = by_hand(&shop, turn, number, ACTIONS_BOT, &[])
        .await
        .exits(1);
    assert!(ran.error().contains("nobody has approved"), "{ran:?}");
    shop.close();
}
