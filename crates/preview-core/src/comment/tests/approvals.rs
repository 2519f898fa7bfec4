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
