//! What the comment tells of an approval that nobody gave.

use super::*;
use crate::approvals::Reason;

fn cancelled(head: &str) -> Cancelled {
    Cancelled {
        head: head.repeat(40).parse().unwrap(),
        why: Reason::Closed,
        page: "https://github.com/acme/shop/actions/runs/12".into(),
    }
}

#[test]
fn a_run_that_nobody_approved_is_all_there_is_to_tell() {
    let told = without_parts(State::NotApproved(cancelled("a"))).render();
    insta::assert_snapshot!(told, @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⌛ Not approved
    **Last Updated**: 2025-12-19 14:32 UTC
    **Commit**: abc1234

    ---

    [The run](https://github.com/acme/shop/actions/runs/12) that waited for the approval of aaaaaaa was cancelled: its pull request is closed.

    [The run and its log](https://github.com/acme/shop/actions/runs/12)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-123`

    </details>
    ");
    assert_eq!(with_cancelled(&told, &cancelled("b")), None);
}

#[test]
fn a_run_that_nobody_approved_takes_nothing_back_of_what_was_said() {
    let ready = comment(State::Ready).render();
    let once = with_cancelled(&ready, &cancelled("a")).unwrap();
    insta::assert_snapshot!(once, @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ✅ Ready
    **Approval**: [The run](https://github.com/acme/shop/actions/runs/12) that waited for the approval of aaaaaaa was cancelled: its pull request is closed.
    **URL**: https://123.pr.example.com
    **Last Updated**: 2025-12-19 14:32 UTC
    **Commit**: abc1234

    ---

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-123`
    - Database: Ready
    - Web: Ready (2/2 replicas)
    - API: Ready (2/2 replicas)

    </details>
    ");
    let twice = with_cancelled(&once, &cancelled("b")).unwrap();
    assert_eq!(twice, with_cancelled(&ready, &cancelled("b")).unwrap());
    // Somebody has edited it, or an older version wrote it.
    let odd = with_cancelled("Ready", &cancelled("a")).unwrap();
    insta::assert_snapshot!(odd, @r"
    Ready
    **Approval**: [The run](https://github.com/acme/shop/actions/runs/12) that waited for the approval of aaaaaaa was cancelled: its pull request is closed.
    ");
}

fn asks(head: &str) -> Asks {
    let image = format!("ghcr.io/acme/web@sha256:{}", "1".repeat(64));
    Asks {
        head: head.repeat(40).parse().unwrap(),
        images: BTreeMap::from([("web".parse().unwrap(), image.parse().unwrap())]),
        reviewers: vec!["anna".into(), "maintainers".into()],
        page: Some("https://github.com/acme/shop/actions/runs/13".into()),
        until: "2025-12-26T14:32:59Z".parse().unwrap(),
    }
}

#[test]
fn who_is_asked_reads_what_would_run() {
    let told = Comment {
        namespace: None,
        ..without_parts(State::AwaitingApproval(asks("a")))
    };
    insta::assert_snapshot!(told.render(), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: 🔏 Waits for approval
    **Last Updated**: 2025-12-19 14:32 UTC
    **Commit**: abc1234

    ---

    Somebody has to look at aaaaaaa and approve it; then exactly these images run:

    - Web: `ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111`

    **Who may approve**: `anna`, `maintainers`, on [the page of the run](https://github.com/acme/shop/actions/runs/13)
    **Until**: 2025-12-26 14:32 UTC, when a sweep cancels the run; a push needs an approval of its own

    [The run and its log](https://github.com/acme/shop/actions/runs/12)

    <details>
    <summary>Deployment Details</summary>

    - Nothing is deployed

    </details>
    ");
    // It may be written anew.
    assert_eq!(with_asks(&told.render(), &asks("b")), None);
    let not_approved = without_parts(State::NotApproved(cancelled("a"))).render();
    assert_eq!(with_asks(&not_approved, &asks("b")), None);
    let receipt = receipt(ReceiptState::Gone);
    let gone = without_parts(State::Destroyed { receipt }).render();
    assert_eq!(with_asks(&gone, &asks("b")), None);
}

#[test]
fn what_is_built_after_the_approval_is_not_shown() {
    let asks = Asks {
        images: BTreeMap::new(),
        page: None,
        ..asks("a")
    };
    insta::assert_snapshot!(asks, @"aaaaaaa waits until 2025-12-26 14:32 UTC for `anna`, `maintainers`; its images are built only then.");
    insta::assert_snapshot!(asks.markdown(), @r"
    Somebody has to look at aaaaaaa and approve it. Its images are built only then, so what is approved is the commit.

    **Who may approve**: `anna`, `maintainers`
    **Until**: 2025-12-26 14:32 UTC, when a sweep cancels the run; a push needs an approval of its own
    ");
}

#[test]
fn an_approval_is_asked_for_beside_what_runs() {
    let ready = comment(State::Ready).render();
    let asked = with_asks(&ready, &asks("a")).unwrap();
    let lines = asked.lines().skip(3).take(4).collect::<Vec<_>>();
    insta::assert_snapshot!(lines.join("\n"), @r"
    **Status**: ✅ Ready
    **Approval**: aaaaaaa waits until 2025-12-26 14:32 UTC for `anna`, `maintainers`, on [the page of the run](https://github.com/acme/shop/actions/runs/13); it would run Web `ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111`.
    **URL**: https://123.pr.example.com
    **Last Updated**: 2025-12-19 14:32 UTC
    ");
    assert_eq!(with_asks(&asked, &asks("b")), with_asks(&ready, &asks("b")));
    assert!(with_cancelled(&asked, &cancelled("a")).is_some());
}

#[test]
fn a_run_that_was_cancelled_takes_nothing_back_of_a_newer_one_that_waits() {
    let told = |asked: &str| Comment {
        commit: asked.repeat(40).parse().unwrap(),
        ..without_parts(State::AwaitingApproval(asks(asked)))
    };
    assert_eq!(with_cancelled(&told("a").render(), &cancelled("a")), None);
    assert!(with_cancelled(&told("b").render(), &cancelled("a")).is_some());
}
