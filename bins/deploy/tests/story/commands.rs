//! Commands that people write into comments of a pull request.

use preview_core::ownership::keys;
use sandbox::github::{ACTIONS_BOT, Permission};
use serde_json::json;

use crate::DEPLOY;
use crate::shop::{Ran, Shop};

/// A shop whose workflows can be started, and a pull request that CI has built.
async fn opened() -> (Shop, u64) {
    let shop = Shop::open().await;
    let inputs = ["pr", "sha", "commit", "reset_database", "comment"];
    shop.repository
        .add_dispatched_workflow("preview-deploy.yml", &inputs);
    shop.repository
        .add_dispatched_workflow("preview-cleanup.yml", &["pr", "force"]);
    let number = shop.open_pull_request();
    (shop, number)
}

/// Somebody comments, and the workflow that hears comments runs; gives its end and the reactions to the comment.
async fn says(shop: &Shop, number: u64, login: &str, text: &str) -> (Ran, String) {
    let comment = shop.repository.comment(number, login, text);
    let payload = shop.repository.comment_payload(comment);
    let ran = answered(shop, &payload).await;
    let reactions = shop.repository.reactions(comment);
    let reactions = reactions.into_iter().map(|(_, content)| content);
    (ran, reactions.collect::<Vec<_>>().join(" "))
}

async fn answered(shop: &Shop, payload: &serde_json::Value) -> Ran {
    std::fs::write(shop.path("event.json"), payload.to_string()).unwrap();
    let event = [
        ("GITHUB_EVENT_NAME", "issue_comment".to_owned()),
        (
            "GITHUB_EVENT_PATH",
            shop.path("event.json").to_str().unwrap().to_owned(),
        ),
    ];
    shop.run(DEPLOY, &["answer"], &event).await
}

/// What was started, with which inputs.
fn started(shop: &Shop, number: u64) -> String {
    let head = shop.repository.head_of(number);
    let dispatches = shop.repository.dispatches();
    let lines = dispatches.iter().map(|dispatch| {
        let mut inputs = dispatch.inputs.clone();
        if let Some(comment) = inputs.get_mut("comment") {
            *comment = "[comment]".into();
        }
        format!("{} {inputs}", dispatch.workflow)
    });
    lines
        .collect::<Vec<_>>()
        .join("\n")
        .replace(&head, "[head]")
}

/// Our comment.
fn told(shop: &Shop, number: u64) -> String {
    let head = shop.repository.head_of(number);
    let comments = shop.repository.comments(number);
    let ours = comments
        .into_iter()
        .filter(|(author, _)| author == ACTIONS_BOT);
    let ours: Vec<String> = ours.map(|(_, body)| body).collect();
    ours.join("\n")
        .replace(&head, "[head]")
        .replace(&head[..7], "[head]")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_write_is_answered_by_a_reaction_a_workflow_and_the_comment() {
    let (shop, number) = opened().await;
    let approve = format!("/preview approve {}", shop.repository.head_of(number));
    let mut ended = Vec::new();
    for text in [
        "/preview deploy\r\nIt has a cart now.",
        &approve,
        "/preview reset-database",
        "/preview wake",
        "/preview destroy",
        "/preview status",
    ] {
        let (ran, reactions) = says(&shop, number, "alice", text).await;
        ended.push(format!("{} ({reactions})", ran.exits(0).verdict()));
    }
    insta::assert_snapshot!(ended.join("\n"), @r"
    answered: /preview deploy by alice, on #7 (eyes +1)
    answered: /preview approve SHA by alice, on #7 (eyes +1)
    answered: /preview reset-database by alice, on #7 (eyes +1)
    answered: /preview wake by alice, on #7 (eyes +1)
    answered: /preview destroy by alice, on #7 (eyes +1)
    answered: /preview status by alice, on #7 (eyes +1)
    ");
    insta::assert_snapshot!(started(&shop, number), @r#"
    preview-deploy.yml {"comment":"[comment]","pr":"7","sha":"[head]"}
    preview-deploy.yml {"comment":"[comment]","pr":"7","sha":"[head]"}
    preview-deploy.yml {"comment":"[comment]","pr":"7","reset_database":"true","sha":"[head]"}
    preview-deploy.yml {"comment":"[comment]","pr":"7","sha":"[head]"}
    preview-cleanup.yml {"force":"true","pr":"7"}
    "#);
    insta::assert_snapshot!(told(&shop, number), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Command**: `/preview status` by `alice`: the head is [head]; the rest stands here as the last run has told it.
    ");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_of_what_others_write_but_a_reaction() {
    let (shop, number) = opened().await;
    shop.repository.set_permission("trixie", Permission::Triage);
    let mut ended = Vec::new();
    for (login, text) in [
        ("mallory", "/preview destroy"),
        ("trixie", "/preview deploy"),
        ("mallory", "/preview $(reboot)"),
        ("alice", "Looks good.\n/preview deploy"),
        ("alice", "> /preview destroy"),
    ] {
        let (ran, reactions) = says(&shop, number, login, text).await;
        ended.push(format!("{} ({reactions})", ran.exits(0).verdict()));
    }
    let (ran, reactions) = says(&shop, number, ACTIONS_BOT, "/preview deploy").await;
    ended.push(format!("{} ({reactions})", ran.exits(0).verdict()));
    // As a comment is that somebody rewrites.
    let comment = shop.repository.comment(number, "alice", "/preview deploy");
    let mut payload = shop.repository.comment_payload(comment);
    payload["action"] = json!("edited");
    ended.push(answered(&shop, &payload).await.exits(0).verdict());
    insta::assert_snapshot!(ended.join("\n"), @r#"
    ignored: mallory may not write to acme/shop (-1)
    ignored: trixie may not write to acme/shop (-1)
    ignored: mallory may not write to acme/shop (-1)
    nothing: the comment does not begin with /preview ()
    nothing: the comment does not begin with /preview ()
    nothing: a bot wrote the comment ()
    nothing: the comment was "edited", and only new ones are heard
    "#);
    assert_eq!(started(&shop, number), "");
    let by_bot = shop.repository.comments(number);
    let by_bot = by_bot.iter().filter(|(author, _)| author == ACTIONS_BOT);
    assert_eq!(by_bot.count(), 1, "its own, which nobody answered");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_command_is_answered_with_those_that_are() {
    let (shop, number) = opened().await;
    let (ran, reactions) = says(&shop, number, "alice", "/preview depoly").await;
    insta::assert_snapshot!(format!("{} ({reactions})", ran.exits(0).verdict()), @"unclear: There is no such command (eyes confused)");
    insta::assert_snapshot!(told(&shop, number), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Command**: `alice`: There is no such command. There are: `/preview deploy`, `/preview approve SHA`, `/preview destroy`, `/preview reset-database`, `/preview wake`, `/preview keep 3d`, `/preview status`.
    ");
    shop.configure("commands.allowed = [\"status\"]");
    let (ran, _) = says(&shop, number, "alice", "/preview destroy").await;
    insta::assert_snapshot!(ran.exits(0).verdict(), @"unclear: `/preview destroy` is switched off in this repository");
    shop.configure("commands.allowed = []");
    let (ran, reactions) = says(&shop, number, "alice", "/preview status").await;
    insta::assert_snapshot!(format!("{} ({reactions})", ran.exits(0).verdict()), @"nothing: preview.toml allows no command (commands.allowed is empty) ()");
    assert_eq!(started(&shop, number), "");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_of_a_head_that_was_pushed_on_deploys_nothing() {
    let (shop, number) = opened().await;
    let looked_at = shop.repository.head_of(number);
    shop.repository
        .push(number, &[("web/cart.html", "a cart with a hole")]);
    let approve = format!("/preview approve {looked_at}");
    let (ran, reactions) = says(&shop, number, "alice", &approve).await;
    assert_eq!((ran.exits(1).exit, reactions.as_str()), (1, "eyes -1"));
    let text = told(&shop, number).replace(&looked_at[..7], "[looked at]");
    insta::assert_snapshot!(text, @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Command**: `/preview approve SHA` by `alice`: the head of pull request #&#8203;7 is [head], and [looked at] was approved; look at what is new, and approve that.
    ");
    assert_eq!(started(&shop, number), "");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_does_not_take_what_is_asked_for_is_told() {
    let (shop, number) = opened().await;
    shop.repository
        .add_dispatched_workflow("preview-deploy.yml", &["pr", "sha", "comment"]);
    let (ran, reactions) = says(&shop, number, "alice", "/preview reset-database").await;
    assert_eq!(
        (ran.exits(3).exit, reactions.as_str()),
        (3, "eyes confused")
    );
    insta::assert_snapshot!(told(&shop, number), @r#"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Command**: `/preview reset-database` by `alice`: cannot start the workflow preview-deploy.yml of acme/shop on main: GitHub refuses it (422: Unexpected inputs provided: \["reset\_database"\]); correct what it names and run this again.
    "#);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_keeping_a_preview_needs_the_cluster() {
    let (shop, number) = opened().await;
    shop.configure("lifetime.asleep_after = \"12h\"");
    let mut ended = Vec::new();
    for text in ["/preview deploy", "/preview keep 3d"] {
        let comment = shop.repository.comment(number, "alice", text);
        let payload = shop.repository.comment_payload(comment);
        std::fs::write(shop.path("event.json"), payload.to_string()).unwrap();
        let event = shop.path("event.json").to_str().unwrap().to_owned();
        let variables = [
            ("GITHUB_EVENT_NAME", "issue_comment".to_owned()),
            ("GITHUB_EVENT_PATH", event),
            ("KUBECONFIG", "/nowhere/kubeconfig".to_owned()),
        ];
        let ran = shop.run(DEPLOY, &["answer"], &variables).await;
        let verdict = ran.verdict();
        let beginning = verdict.split(": /").next().unwrap_or_default();
        ended.push(format!("exit {}: {beginning}", ran.exit));
    }
    insta::assert_snapshot!(ended.join("\n"), @r"
    exit 0: answered
    exit 3: failed: connect to the cluster
    ");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_kept_for_as_long_as_somebody_asks() {
    let (shop, number) = opened().await;
    shop.configure("lifetime.asleep_after = \"12h\"");
    let (ran, reactions) = says(&shop, number, "alice", "/preview keep 3d").await;
    insta::assert_snapshot!(format!("{} ({reactions})", ran.exits(1).verdict()), @"refused: pull request #7 has no preview that could be kept (eyes -1)");

    let payload = shop.repository.workflow_run_payload(number);
    shop.on(DEPLOY, "workflow_run", &payload).await.exits(0);
    let (ran, reactions) = says(&shop, number, "alice", "/preview keep 3d").await;
    insta::assert_snapshot!(format!("{} ({reactions})", ran.exits(0).verdict()), @"answered: /preview keep 3d by alice, on #7 (eyes +1)");
    let namespace = shop
        .world
        .cluster
        .object("Namespace", "", &format!("preview-pr-{number}"));
    let kept = &namespace.unwrap()["metadata"]["annotations"][keys::KEPT];
    let kept: jiff::Timestamp = kept.as_str().unwrap().parse().unwrap();
    let hours = kept.duration_since(jiff::Timestamp::now()).as_hours();
    assert!((71..=72).contains(&hours), "{kept}");
    let text = told(&shop, number);
    let line = text.lines().find(|line| line.starts_with("**Command**: "));
    let until = kept.strftime("%Y-%m-%d %H:%M UTC").to_string();
    insta::assert_snapshot!(line.unwrap().replace(&until, "[then]"), @"**Command**: `/preview keep 3d` by `alice`: it neither sleeps nor ends before [then].");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_was_started_takes_its_inputs_from_the_event() {
    let (shop, number) = opened().await;
    let head = shop.repository.head_of(number);
    let dispatched = |inputs: serde_json::Value, login: &str| {
        let file = "preview-deploy.yml";
        shop.repository.dispatch_payload(file, &inputs, login)
    };
    let inputs = json!({ "pr": number.to_string(), "sha": head, "commit": "" });
    shop.repository.set_permission("trixie", Permission::Triage);
    let mut ended = Vec::new();
    for payload in [
        dispatched(inputs.clone(), "trixie"),
        dispatched(json!({ "pr": number.to_string() }), "alice"),
        dispatched(json!({ "pr": "7; reboot", "sha": head }), "alice"),
        dispatched(
            json!({ "pr": number.to_string(), "sha": "b".repeat(40) }),
            "alice",
        ),
        dispatched(inputs, "alice"),
    ] {
        let ran = shop.on(DEPLOY, "workflow_dispatch", &payload).await;
        let verdict = ran.verdict().replace(&head[..7], "[head]");
        ended.push(format!("exit {}: {verdict}", ran.exit));
    }
    insta::assert_snapshot!(ended.join("\n"), @r#"
    exit 1: refused: trixie started this and may not write to acme/shop; let somebody start it who may
    exit 2: misused: the workflow takes the inputs pr and sha, for a pull request at the head that was looked at, or commit alone; start it again with these
    exit 2: misused: the input pr: "7; reboot" is not a pull request number; start the workflow again
    exit 0: superseded: pull request #7 has moved from bbbbbbb to [head]; the run for that head deploys it
    exit 0: deployed: pull request #7 at [head] answers at https://7.pr.example.com
    "#);
    shop.close();
}
