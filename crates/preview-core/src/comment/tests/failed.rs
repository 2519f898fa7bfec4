//! What is told of failures.

use proptest::prelude::*;

use super::super::*;
use super::comment;
use crate::objects::{Kind, ObjectName};

fn crash() -> Failure {
    Failure {
        class: FailureClass::Crash,
        workload: ObjectName::new(Kind::Deployment, "web"),
        pod: Some("web-1".into()),
        container: Some("web".into()),
        message: "ended with exit code 3 (Error)".into(),
        log: vec!["starting".into(), "```".into(), "</details> @all".into()],
        events: Vec::new(),
    }
}

pub(super) fn ended() -> Ended {
    Ended {
        step: "rolling out".into(),
        after: Duration::from_millis(72_400),
        access: None,
    }
}

fn failed(failure: Failure) -> State {
    State::Failed {
        failure,
        ended: ended(),
    }
}

#[test]
fn a_failure_tells_what_where_why_who_and_how_to_go_on() {
    let mut failed = comment(failed(crash()));
    failed.components[0].1 = Replicas::of(&Rollout::Failed(crash()), 2);
    insta::assert_snapshot!(failed.render(), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ❌ Failed — rolling out after 1 min 12 s
    **URL**: https://123.pr.example.com
    **Last Updated**: 2025-12-19 14:32 UTC
    **Commit**: abc1234

    ---

    **What failed**: container crashes — `Deployment/web`, pod `web-1`, container `web`
    **Message**: ended with exit code 3 (Error)
    **Who acts**: the author of this pull request
    **Next**: `kubectl -n preview-pr-123 logs web-1 -c web --previous`

    The last lines it printed:

    ````text
    starting
    ```
    </details> @all
    ````

    [The run and its log](https://github.com/acme/shop/actions/runs/12)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-123`
    - Database: Ready
    - Web: Failed (0/2 replicas)
    - API: Ready (2/2 replicas)

    </details>
    ");
}

#[test]
fn a_failure_of_the_outside_is_the_operators() {
    let failed = comment(State::OutsideFailed {
        class: FailureClass::GitHub,
        error: "cannot read pull request #7: 503; try again later".into(),
        ended: Ended {
            after: Duration::from_secs(4),
            ..ended()
        },
    });
    insta::assert_snapshot!(failed.render(), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ❌ Failed — rolling out after 4 s
    **URL**: https://123.pr.example.com
    **Last Updated**: 2025-12-19 14:32 UTC
    **Commit**: abc1234

    ---

    **What failed**: GitHub failed — cannot read pull request #&#8203;7: 503; try again later
    **Who acts**: whoever operates the previews

    [The run and its log](https://github.com/acme/shop/actions/runs/12)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-123`
    - Database: Ready
    - Web: Ready (2/2 replicas)
    - API: Ready (2/2 replicas)

    </details>
    ");
}

#[test]
fn where_there_is_no_log_the_events_tell_and_the_hint_leads_to_the_cluster() {
    let web = ObjectName::new(Kind::Deployment, "web");
    let failure = Failure {
        pod: Some("web-1".into()),
        events: vec!["Warning FailedScheduling Pod/web-1: 0/3 nodes are available".into()],
        ..Failure::new(FailureClass::Scheduling, &web, "0/3 nodes are available")
    };
    let ended = Ended {
        access: Some("ask @platform, or https://wiki.example.com/kubectl <now>".into()),
        ..ended()
    };
    let text = comment(State::Failed { failure, ended }).render();
    let (_, told) = text.split_once("---\n\n").unwrap();
    let (told, _) = told.split_once("\n<details>").unwrap();
    insta::assert_snapshot!(told, @"
    **What failed**: pod cannot be scheduled — `Deployment/web`, pod `web-1`
    **Message**: 0/3 nodes are available
    **Who acts**: whoever operates the previews
    **Next**: `kubectl -n preview-pr-123 describe pod web-1`
    **Access**: ask @&#8203;platform, or https://wiki.example.com/kubectl &lt;now&gt;

    What Kubernetes noted last:

    ```text
    Warning FailedScheduling Pod/web-1: 0/3 nodes are available
    ```

    [The run and its log](https://github.com/acme/shop/actions/runs/12)
    ");
}

proptest! {
    /// Whatever a cluster says, the comment's own structure stays whole: one heading, one rule, one fold.
    #[test]
    fn hostile_text_leaves_the_comments_structure_whole(
        message in "(<|>|@|#|`{1,4}|\n|- |---|</details>|<!--|[a-z]| ){0,20}",
        line in "(<|@|`{1,9}|\n|</details>|[a-z]){0,20}",
    ) {
        let failure = Failure { message: message.clone(), log: vec![line], ..crash() };
        let text = comment(failed(failure)).render();
        // The log is code; everything else is judged.
        let opening = text.lines().find(|line| line.ends_with("```text")).unwrap();
        let ticks = opening.trim_end_matches("text");
        let (before, rest) = text.split_once(&format!("\n{opening}\n")).unwrap();
        let (_, after) = rest.split_once(&format!("\n{ticks}\n")).unwrap();
        let outside = format!("{before}\n{after}");
        prop_assert_eq!(outside.matches('<').count(), 5, "{}", outside);
        prop_assert_eq!(outside.lines().filter(|line| line.starts_with('#')).count(), 1);
        prop_assert_eq!(outside.lines().filter(|line| *line == "---").count(), 1);
        prop_assert!(outside.ends_with("\n</details>\n"));
    }
}
