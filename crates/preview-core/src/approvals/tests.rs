use super::*;
use crate::pulls::tests::pull;

fn sha(digit: &str) -> CommitSha {
    digit.repeat(40).parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn run() -> WaitingRun {
    WaitingRun {
        id: 12,
        workflow: ".github/workflows/preview-deploy.yml".into(),
        branch: Some("main".into()),
        repository: Some(RepositoryId(42)),
        title: format!("preview of #7 at {}", sha("a")),
        since: at("2025-12-01T09:00:00Z"),
        page: "https://github.com/acme/shop/actions/runs/12".into(),
    }
}

#[test]
fn a_name_is_read_as_it_is_written_and_nothing_else_is_a_name() {
    let a = "a".repeat(40);
    for name in [
        format!("preview of #7 at {a}"),
        format!("preview of acme/shop:feature/cart at {a}"),
        format!("preview of bob/shop-fork:#7 at {a}"),
        format!("preview of {a}"),
    ] {
        let read: RunName = name.parse().unwrap();
        assert_eq!(read.to_string(), name);
        assert_eq!(read.head().as_str(), a);
    }
    for title in [
        String::new(),
        "preview of ".to_owned(),
        "preview of #7".to_owned(),
        format!("Preview of #7 at {a}"),
        format!(" preview of #7 at {a}"),
        format!("preview of #7 at {a} "),
        format!("preview of #7 at {a}\n"),
        format!("preview of  #7 at {a}"),
        format!("preview of #07 at {a}"),
        format!("preview of #+7 at {a}"),
        format!("preview of #0 at {a}"),
        format!("preview of # at {a}"),
        format!("preview of #7 at {}", "A".repeat(40)),
        format!("preview of #7 at {}", "a".repeat(39)),
        format!("preview of #7 at {}", "a".repeat(41)),
        format!("preview of #7 at {a} at {a}"),
        format!("preview of acme/shop at {a}"),
        format!("preview of acme/shop: at {a}"),
        format!("preview of acme/shop:two words at {a}"),
        format!("preview of acme/shop:a:b at {a}"),
        format!("preview of shop:feature at {a}"),
        format!("preview of :feature at {a}"),
        format!("preview of pr-7 at {a}"),
        format!("preview of {a} at "),
    ] {
        assert!(title.parse::<RunName>().is_err(), "{title:?}");
    }
}

#[test]
fn a_name_counts_where_only_the_default_branch_can_have_written_it() {
    let repository = pull(7).base_repository;
    let counts = |run: &WaitingRun| run.is_of("preview-deploy.yml", &repository);
    assert!(counts(&run()));
    let with_ref = WaitingRun {
        workflow: ".github/workflows/preview-deploy.yml@main".into(),
        ..run()
    };
    assert!(counts(&with_ref));
    for foreign in [
        WaitingRun {
            workflow: ".github/workflows/release.yml".into(),
            ..run()
        },
        WaitingRun {
            workflow: "preview-deploy.yml".into(),
            ..run()
        },
        WaitingRun {
            branch: Some("feature".into()),
            ..run()
        },
        WaitingRun {
            branch: None,
            ..run()
        },
        WaitingRun {
            repository: Some(RepositoryId(4711)),
            ..run()
        },
        WaitingRun {
            repository: None,
            ..run()
        },
    ] {
        assert!(!counts(&foreign), "{foreign:?}");
    }
}

#[test]
fn a_run_waits_for_seven_days_and_for_the_head_of_an_open_pull_request() {
    let open = pull(7);
    let moved = PullRequest {
        head: sha("c"),
        ..pull(7)
    };
    let closed = PullRequest {
        state: PullState::Closed,
        ..pull(7)
    };
    let merged = PullRequest {
        state: PullState::Merged { commit: sha("d") },
        ..moved.clone()
    };
    let other = pull(8);
    let fork = PullRequest {
        head_repository: Some("bob/shop".parse().unwrap()),
        head: sha("c"),
        ..pull(9)
    };
    let (soon, late) = (at("2025-12-08T09:00:00Z"), at("2025-12-08T09:00:01Z"));
    let mut told = Vec::new();
    for name in [
        format!("preview of #7 at {}", sha("a")),
        format!("preview of acme/shop:feature at {}", sha("a")),
        format!("preview of {}", sha("a")),
    ] {
        told.push(name.replace(&"a".repeat(40), "H"));
        let name: RunName = name.parse().unwrap();
        for (what, pulls) in [
            ("open", vec![&open]),
            ("pushed on", vec![&moved]),
            ("closed", vec![&closed]),
            ("merged", vec![&merged]),
            ("closed, and open again as another", vec![&closed, &other]),
            ("somebody else's", vec![&fork]),
            ("not known", vec![]),
        ] {
            let decided = [soon, late].map(|now| {
                let verdict = run().decide(&name, pulls.iter().copied(), now);
                match verdict {
                    Verdict::Leave => "waits".to_owned(),
                    Verdict::Unknown => "unknown".to_owned(),
                    Verdict::Cancel { pull, why } => {
                        let whom =
                            pull.map_or_else(String::new, |pull| format!("#{} ", pull.number));
                        format!("{whom}{why}")
                    }
                }
            });
            let [before, after] = decided;
            told.push(match before == after {
                true => format!("  {what}: {before}"),
                false => format!("  {what}: {before}; then {after}"),
            });
        }
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    preview of #7 at H
      open: waits; then #7 it has waited for more than 7 days, since 2025-12-01 09:00 UTC
      pushed on: #7 the head of its pull request is ccccccc by now
      closed: #7 its pull request is closed
      merged: #7 its pull request is closed
      closed, and open again as another: #7 its pull request is closed
      somebody else's: unknown
      not known: unknown
    preview of acme/shop:feature at H
      open: waits; then #7 it has waited for more than 7 days, since 2025-12-01 09:00 UTC
      pushed on: #7 the head of its pull request is ccccccc by now
      closed: #7 its pull request is closed
      merged: #7 its pull request is closed
      closed, and open again as another: waits; then #8 it has waited for more than 7 days, since 2025-12-01 09:00 UTC
      somebody else's: unknown
      not known: unknown
    preview of H
      open: waits; then it has waited for more than 7 days, since 2025-12-01 09:00 UTC
      pushed on: waits; then it has waited for more than 7 days, since 2025-12-01 09:00 UTC
      closed: waits; then it has waited for more than 7 days, since 2025-12-01 09:00 UTC
      merged: waits; then it has waited for more than 7 days, since 2025-12-01 09:00 UTC
      closed, and open again as another: waits; then it has waited for more than 7 days, since 2025-12-01 09:00 UTC
      somebody else's: waits; then it has waited for more than 7 days, since 2025-12-01 09:00 UTC
      not known: waits; then it has waited for more than 7 days, since 2025-12-01 09:00 UTC
    ");
}

#[test]
fn people_read_what_was_done() {
    let approval = |name: String, answer: Answer, reason: &str| Approval {
        run: 12,
        name: name.parse().unwrap(),
        answer,
        reason: reason.to_owned(),
    };
    let hostile = format!("preview of bob/shop:`@here`|#1 at {}", sha("a"));
    let all = [
        approval(
            format!("preview of #7 at {}", sha("a")),
            Answer::Cancelled,
            "its pull request is closed",
        ),
        approval(hostile, Answer::Failed, "GitHub answered 502 | twice"),
    ];
    let told = format!(
        "3 previews, nothing to do{}\n3 previews, nothing to do{}\n{}\n{}",
        ending(&[]),
        ending(&all),
        lines(&all).join("\n"),
        markdown(&all)
    );
    insta::assert_snapshot!(told, @r"
    3 previews, nothing to do
    3 previews, nothing to do; waiting for approval: 1 cancelled, 1 failed
    cancelled   run 12, preview of #7 at aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: its pull request is closed
    failed      run 12, preview of bob/shop:`@here`|#1 at aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: GitHub answered 502 | twice
    | | Run | Name | Why |
    |---|---|---|---|
    | cancelled | 12 | preview of #&#8203;7 at aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | its pull request is closed |
    | failed | 12 | preview of bob/shop:\`@&#8203;here\`\|#&#8203;1 at aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | GitHub answered 502 \| twice |
    ");
}

#[test]
fn its_pull_request_is_told_and_how_to_go_on() {
    let told = [
        Reason::Late {
            since: at("2025-12-01T09:00:00Z"),
        },
        Reason::Outdated { head: sha("c") },
        Reason::Closed,
    ]
    .map(|why| {
        let cancelled = Cancelled {
            head: sha("a"),
            why,
            page: run().page,
        };
        cancelled.to_string()
    });
    insta::assert_snapshot!(told.join("\n"), @r"
    [The run](https://github.com/acme/shop/actions/runs/12) that waited for the approval of aaaaaaa was cancelled: it has waited for more than 7 days, since 2025-12-01 09:00 UTC; run it again to ask once more.
    [The run](https://github.com/acme/shop/actions/runs/12) that waited for the approval of aaaaaaa was cancelled: the head of its pull request is ccccccc by now, which needs an approval of its own.
    [The run](https://github.com/acme/shop/actions/runs/12) that waited for the approval of aaaaaaa was cancelled: its pull request is closed.
    ");
}

#[test]
fn what_waits_for_an_earlier_head_of_this_pull_request_is_outdated() {
    let a = sha("a");
    let moved = PullRequest {
        head: sha("b"),
        ..pull(7)
    };
    let named = |id: u64, title: String| WaitingRun { id, title, ..run() };
    let waiting = [
        run(),
        named(
            13,
            format!("preview of acme/shop:{} at {a}", moved.head_ref),
        ),
        named(14, format!("preview of #7 at {}", sha("b"))),
        named(15, format!("preview of #8 at {a}")),
        named(16, format!("preview of {a}")),
        named(17, "anything".to_owned()),
        WaitingRun {
            branch: Some("feature".into()),
            ..named(18, run().title)
        },
    ];
    let now = at("2025-12-20T09:00:00Z");
    let found = outdated(&waiting, "preview-deploy.yml", &moved, now);
    let found: Vec<u64> = found.iter().map(|(run, _, _)| run.id).collect();
    assert_eq!(found, [12, 13]);
    assert!(outdated(&waiting, "other.yml", &moved, now).is_empty());
    assert_eq!(expires(run().since), at("2025-12-08T09:00:00Z"));
}
