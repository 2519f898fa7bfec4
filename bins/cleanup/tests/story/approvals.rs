//! Approvals that nobody gives: the sweep cancels the runs that wait for them.

use std::time::Duration;

use sandbox::Fault;

use crate::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A run of the deploy workflow that has waited for approval for so many days, with what it is to deploy as its name.
fn waits(shop: &Shop, of: &str, days: u32) -> u64 {
    waits_in(
        shop,
        "preview-deploy.yml",
        &format!("preview of {of}"),
        days,
    )
}

fn waits_in(shop: &Shop, workflow: &str, title: &str, days: u32) -> u64 {
    let repository = &shop.repository;
    let run = repository.wait_for_approval(workflow, "preview-approval", title);
    repository.backdate_run(run, DAY * days);
    run
}

/// A pull request, and its name in a run's at its head.
fn wanted(shop: &Shop, branch: &str) -> (u64, String) {
    let number = shop
        .repository
        .open_pull_request(branch, &[("web/x.html", branch)]);
    let head = shop.repository.head_of(number);
    (number, format!("#{number} at {head}"))
}

async fn sweep(shop: &Shop) -> Ran {
    shop.run(CLEANUP, &["sweep"], &[]).await
}

/// What it did about each run, without commits and times.
fn answered(ran: &Ran) -> String {
    let all = ran.result["approvals"].as_array().into_iter().flatten();
    let all = all.map(|one| {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let (name, _) = text("name")
            .rsplit_once(' ')
            .map(|(name, head)| (name.to_owned(), head.to_owned()))
            .unwrap();
        let line = format!("{name} {}: {}", text("answer"), text("reason"));
        undated(&line)
    });
    all.collect::<Vec<_>>().join("\n")
}

fn undated(text: &str) -> String {
    match (text.find("since 20"), text.find(" UTC")) {
        (Some(from), Some(to)) => format!("{}since [then]{}", &text[..from], &text[to + 4..]),
        _ => text.to_owned(),
    }
}

fn is_cancelled(shop: &Shop, run: u64) -> bool {
    match shop.repository.run_state(run) {
        (status, None) if status == "waiting" => false,
        (status, Some(conclusion)) if status == "completed" => conclusion == "cancelled",
        other => panic!("{other:?}"),
    }
}

/// The comment, without the numbers of runs and times.
fn told(shop: &Shop, number: u64, run: u64) -> String {
    let text = shop
        .comment(number)
        .replace(&format!("/runs/{run}"), "/runs/[run]");
    text.lines().map(undated).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_of_eight_days_is_not_waited_for_and_one_of_six_is() {
    let shop = Shop::open().await;
    let (late, of_late) = wanted(&shop, "late");
    let (_, of_early) = wanted(&shop, "early");
    let eight = waits(&shop, &of_late, 8);
    let six = waits(&shop, &of_early, 6);

    let dry = shop.run(CLEANUP, &["sweep", "--dry-run"], &[]).await;
    insta::assert_snapshot!(answered(&dry.exits(0)), @"preview of #7 at would-go: it has waited for more than 7 days, since [then]");
    assert!(!is_cancelled(&shop, eight));
    assert_eq!(shop.repository.comments(late), []);

    let ran = sweep(&shop).await.exits(0);
    insta::assert_snapshot!(ran.verdict(), @"swept: 0 previews, nothing to do; waiting for approval: 1 cancelled");
    insta::assert_snapshot!(answered(&ran), @"preview of #7 at cancelled: it has waited for more than 7 days, since [then]");
    assert!(is_cancelled(&shop, eight) && !is_cancelled(&shop, six));
    assert!(
        ran.summary.contains("### Waiting for approval"),
        "{}",
        ran.summary
    );
    insta::assert_snapshot!(told(&shop, late, eight), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⌛ Not approved
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    [The run](https://github.com/acme/shop/actions/runs/[run]) that waited for the approval of [head] was cancelled: it has waited for more than 7 days, since [then]; run it again to ask once more.

    [The run and its log](https://github.com/acme/shop/actions/runs/101/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Nothing is deployed

    </details>
    ");

    let again = sweep(&shop).await.exits(0);
    assert_eq!(again.verdict(), "swept: 0 previews, nothing to do");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_to_approve_what_was_pushed_over_or_closed() {
    let shop = Shop::open().await;
    let (pushed, of_pushed) = wanted(&shop, "pushed");
    let (closed, of_closed) = wanted(&shop, "closed");
    let outdated = waits(&shop, &of_pushed, 0);
    let head = shop.repository.push(pushed, &[("web/x.html", "more")]);
    let current = waits(&shop, &format!("#{pushed} at {head}"), 0);
    let of_nobody = waits(&shop, &of_closed, 0);
    shop.repository.close(closed);
    let commit = waits(&shop, &shop.repository.head("main"), 0);

    let ran = sweep(&shop).await.exits(0);
    insta::assert_snapshot!(answered(&ran).replace(&head[..7], "[head]"), @r"
    preview of #7 at cancelled: the head of its pull request is [head] by now
    preview of #8 at cancelled: its pull request is closed
    ");
    assert!(is_cancelled(&shop, outdated) && is_cancelled(&shop, of_nobody));
    assert!(!is_cancelled(&shop, current) && !is_cancelled(&shop, commit));
    assert!(told(&shop, closed, of_nobody).contains("**Status**: ⌛ Not approved"));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fork_waits_for_is_known_by_its_branch() {
    let shop = Shop::open().await;
    let number =
        shop.repository
            .open_pull_request_from_fork("bob", "tea", &[("web/tea.html", "tea")]);
    let branch = format!("bob/shop:tea at {}", shop.repository.head_of(number));
    let current = waits(&shop, &branch, 0);
    sweep(&shop).await.exits(0);
    assert!(!is_cancelled(&shop, current));
    shop.repository.close(number);
    let ran = sweep(&shop).await.exits(0);
    insta::assert_snapshot!(answered(&ran), @"preview of bob/shop:tea at cancelled: its pull request is closed");
    assert!(is_cancelled(&shop, current));
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_of_a_preview_stays_beside_the_approval_that_is_not_waited_for() {
    let shop = Shop::open().await;
    let (number, of_first) = wanted(&shop, "cart");
    namespace(&shop, number, shop.repository.id());
    let ready = format!(
        "{MARKER}\n## 🚀 Preview Environment\n\n**Status**: ✅ Ready\n**Commit**: 1234567\n"
    );
    shop.repository.comment_as_bot(number, &ready);
    let first = waits(&shop, &of_first, 0);
    let first_head = shop.repository.head_of(number);
    let head = shop.repository.push(number, &[("web/x.html", "more")]);
    let second = waits(&shop, &format!("#{number} at {head}"), 8);
    sweep(&shop).await.exits(0);
    assert!(is_cancelled(&shop, first) && is_cancelled(&shop, second));
    // Of the two, the one that began to wait last.
    let told = told(&shop, number, first).replace(&first_head[..7], "[first head]");
    insta::assert_snapshot!(told, @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ✅ Ready
    **Approval**: [The run](https://github.com/acme/shop/actions/runs/[run]) that waited for the approval of [first head] was cancelled: the head of its pull request is [head] by now, which needs an approval of its own.
    **Commit**: 1234567
    ");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_cancelled_where_github_does_not_say_how_the_pull_request_is() {
    let answers = [
        ("unknown", 404, r#"{ "message": "Not Found" }"#),
        ("an error", 500, "<html>Unicorn!</html>"),
        ("a page", 200, "<html>Maintenance</html>"),
    ];
    // Side by side: what may pass by itself is asked for again, after longer and longer pauses.
    let worlds = answers.map(|(what, status, body)| async move {
        let shop = Shop::open().await;
        let (closed, of_closed) = wanted(&shop, "closed");
        let run = waits(&shop, &of_closed, 8);
        let (other, of_other) = wanted(&shop, "other");
        let second = waits(&shop, &of_other, 8);
        shop.repository.close(closed);
        shop.repository.close(other);
        let fault = Fault::Answer {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        };
        let path = format!("/pulls/{closed}");
        shop.world.github.traffic().plan("GET", &path, 100, fault);
        let ran = sweep(&shop).await;
        assert!(!is_cancelled(&shop, run), "{what}: {ran:#?}");
        assert!(is_cancelled(&shop, second), "{what}: {ran:#?}");
        shop.close();
        format!("{what}: exit {}\n{}", ran.exit, answered(&ran))
    });
    let told = futures::future::join_all(worlds).await.join("\n\n");
    insta::assert_snapshot!(told, @r"
    unknown: exit 0
    preview of #7 at kept: GitHub knows no pull request that it could be of, which does not prove that it is closed
    preview of #8 at cancelled: its pull request is closed

    an error: exit 3
    preview of #7 at failed: cannot read pull request #7 of acme/shop: GitHub answered 500: <html>Unicorn!</html>; see https://www.githubstatus.com and run this again
    preview of #8 at cancelled: its pull request is closed

    a page: exit 3
    preview of #7 at failed: cannot read pull request #7 of acme/shop: the answer is not what GitHub's API gives (an HTML page: <html>Maintenance</html>); check GITHUB_API_URL and any proxy on the way, and run this again
    preview of #8 at cancelled: its pull request is closed
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_counts_of_the_deploy_workflow_alone_and_only_where_it_is_one() {
    let shop = Shop::open().await;
    let (closed, of_closed) = wanted(&shop, "closed");
    shop.repository.close(closed);
    let name = format!("preview of {of_closed}");
    let release = waits_in(&shop, "release.yml", &name, 30);
    let nameless = waits_in(&shop, "preview-deploy.yml", "A cart", 30);
    let ran = sweep(&shop).await.exits(0);
    assert_eq!(answered(&ran), "");
    assert!(!is_cancelled(&shop, release) && !is_cancelled(&shop, nameless));
    let warning = ran
        .stdout
        .lines()
        .find(|line| line.starts_with("warning: "));
    let warning = warning.unwrap().replace(&nameless.to_string(), "[run]");
    insta::assert_snapshot!(warning, @r#"warning: the run [run] of preview-deploy.yml waits for approval, and nobody can tell of what: "A cart" is not a run-name of the form "preview of #7 at <sha>", "preview of owner/name:branch at <sha>" or "preview of <sha>"; give the workflow the run-name that docs/sweep.md has"#);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_cancelled_is_told_and_the_rest_are_cancelled() {
    let shop = Shop::open().await;
    let all = ["first", "second"].map(|branch| {
        let (number, of_it) = wanted(&shop, branch);
        (number, waits(&shop, &of_it, 8))
    });
    let conflict = Fault::Answer {
        status: 409,
        headers: vec![("content-type", "application/json".to_owned())],
        body: r#"{ "message": "Cannot cancel a workflow run that is completed." }"#.to_owned(),
    };
    let path = format!("/actions/runs/{}/cancel", all[0].1);
    shop.world.github.traffic().plan("POST", &path, 1, conflict);
    let ran = sweep(&shop).await.exits(0);
    insta::assert_snapshot!(answered(&ran), @r"
    preview of #7 at kept: GitHub does not cancel it: Cannot cancel a workflow run that is completed.
    preview of #8 at cancelled: it has waited for more than 7 days, since [then]
    ");
    assert_eq!(all.map(|(_, run)| is_cancelled(&shop, run)), [false, true]);
    assert_eq!(shop.repository.comments(all[0].0), []);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_runs_cannot_be_listed_the_rest_is_swept() {
    let shop = Shop::open().await;
    let (closed, _) = wanted(&shop, "closed");
    namespace(&shop, closed, shop.repository.id());
    shop.repository.close(closed);
    let refused = Fault::Answer {
        status: 403,
        headers: vec![("content-type", "application/json".to_owned())],
        body: r#"{ "message": "Resource not accessible by integration" }"#.to_owned(),
    };
    shop.world
        .github
        .traffic()
        .plan("GET", "/actions/runs?status=waiting", 1, refused);
    let ran = sweep(&shop).await.exits(3);
    insta::assert_snapshot!(ran.error(), @"error: cannot list the runs of acme/shop that wait for approval: the token may not do this (403: Resource not accessible by integration); it needs actions: read: grant it under `permissions:` of the workflow's job, or to the App whose token it is");
    assert!(!is_there(&shop, closed));
    shop.close();
}

/// Sweeps, frozen at its request `nth` to GitHub; meanwhile somebody approves the run that has waited for too long. Whether
/// it goes on then; none where the sweep has fewer requests.
async fn approved_at(nth: usize) -> Option<Result<(), String>> {
    let shop = Shop::open().await;
    let (_, of_late) = wanted(&shop, "late");
    let run = waits(&shop, &of_late, 8);
    let gate = Gate::closed_from(nth);
    let github = shop.world.github.through(&gate).await.unwrap();
    let way = [("GITHUB_API_URL", github)];
    let sweep = shop.run(CLEANUP, &["sweep"], &way);
    tokio::pin!(sweep);
    tokio::select! {
        _ = &mut sweep => return None,
        () = gate.holds() => {}
    }
    let waits = !is_cancelled(&shop, run);
    if waits {
        shop.repository.approve(run, "preview-approval", "carol");
    }
    let held = gate.held().unwrap_or_default();
    gate.open();
    let ran = sweep.await;
    let (status, _) = shop.repository.run_state(run);
    shop.close();
    // Between looking at the run and cancelling it there is no room for anybody.
    let goes_on = !waits || held.ends_with("/cancel") || status == "in_progress";
    Some(match goes_on {
        true => Ok(()),
        false => Err(format!("request {nth}, {held}: {ran:#?}")),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_approved_meanwhile_goes_on_whenever_that_is() {
    let mut requests = 0;
    while let Some(goes_on) = approved_at(requests + 1).await {
        assert_eq!(goes_on, Ok(()));
        requests += 1;
    }
    assert!(
        requests > 6,
        "a sweep of {requests} requests is no whole one"
    );
}
