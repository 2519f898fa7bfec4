use super::*;
use crate::doctor::BranchRule;
use crate::pulls::PullRequest;
use crate::pulls::tests::pull;

const SETTINGS: &str = "https://github.com/acme/shop/settings/environments";

fn head(digit: char) -> CommitSha {
    digit.to_string().repeat(40).parse().unwrap()
}

fn now() -> Timestamp {
    "2025-12-19T14:32:00Z".parse().unwrap()
}

fn environment_of(name: &str, reviewers: &[&str], branches: BranchRule) -> Environment {
    Environment {
        name: name.to_owned(),
        has_reviewers: !reviewers.is_empty(),
        reviewers: reviewers.iter().map(|name| (*name).to_owned()).collect(),
        branches,
    }
}

fn secrets() -> Environment {
    environment_of("preview", &[], BranchRule::Protected)
}

fn guarded() -> Vec<Environment> {
    let gate = environment_of(
        "Preview-Approval",
        &["anna", "maintainers"],
        BranchRule::All,
    );
    vec![gate, secrets()]
}

fn open() -> Vec<Environment> {
    vec![environment_of(GATE, &[], BranchRule::All), secrets()]
}

fn by(login: &str) -> Review {
    Review {
        login: Some(login.to_owned()),
        approves: true,
        environments: vec![GATE.to_owned()],
    }
}

fn command(body: &str) -> Said {
    Said {
        login: Some("bob".into()),
        is_by_bot: false,
        may_write: true,
        number: PrNumber::new(7).unwrap(),
        body: body.to_owned(),
        at: now(),
        is_edited: false,
    }
}

fn approves() -> Said {
    command(&format!("/preview approve {}\nlooks good", head('a')))
}

fn kept(digit: char) -> Kept {
    Kept {
        approved: Approved {
            by: "carol".into(),
            at: now(),
            how: How::Review,
        },
        head: head(digit),
        images: BTreeMap::new(),
    }
}

/// Of pull request #7 at aaaaaaa.
fn with<T>(
    environments: &[Environment],
    started_by: &StartedBy,
    ask: impl Fn(&Facts<'_>) -> T,
) -> T {
    ask(&Facts {
        repository: &"acme/shop".parse().unwrap(),
        settings: SETTINGS,
        number: PrNumber::new(7).unwrap(),
        head: &head('a'),
        environments,
        started_by,
        now: now(),
    })
}

fn gate(environments: &[Environment], started_by: &StartedBy) -> String {
    match with(environments, started_by, |facts| facts.gate()) {
        Ok(Gate::Reviewers(who)) => format!("asks {}", who.join(", ")),
        Ok(Gate::Open(Some(approved))) => format!("open: {approved}"),
        Ok(Gate::Open(None)) => "open".to_owned(),
        Err(why) => format!("no: {why}"),
    }
}

fn reviewed<'a>(reviews: &'a [Review], kept: Option<&'a Kept>) -> Reviewed<'a> {
    Reviewed {
        reviews,
        before: None,
        attempt: 1,
        is_shown: true,
        kept,
    }
}

fn decided(
    environments: &[Environment],
    started_by: &StartedBy,
    reviewed: Reviewed<'_>,
) -> Result<String, NotApproved> {
    let decide = |facts: &Facts<'_>| facts.decide(reviewed);
    let kept = with(environments, started_by, decide)?;
    assert_eq!(kept.head, head('a'));
    Ok(kept.approved.to_string())
}

#[test]
fn the_configuration_says_whose_head_somebody_approves() {
    let fork = PullRequest {
        head_repository: Some("mallory/shop".parse().unwrap()),
        ..pull(7)
    };
    let bot = PullRequest {
        is_by_bot: true,
        ..pull(7)
    };
    let commit = Previewed {
        of: Of::Commit {
            tree: "7".repeat(40).parse().unwrap(),
        },
        ..pull(7).into()
    };
    let all: [(&str, Previewed); 4] = [
        ("branch", pull(7).into()),
        ("fork", fork.into()),
        ("bot", bot.into()),
        ("commit", commit),
    ];
    let mut told = Vec::new();
    for rule in [ApprovalOf::All, ApprovalOf::Forks, ApprovalOf::None] {
        let of = all
            .iter()
            .filter(|(_, previewed)| needs_approval(rule, previewed) == Need::Required);
        let of: Vec<&str> = of.map(|(name, _)| *name).collect();
        told.push(format!("{rule:?}: {}", of.join(", ")));
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    All: branch, fork, bot
    Forks: fork, bot
    None:
    ");
}

#[test]
fn who_may_approve_depends_on_the_environments_and_on_what_started_the_run() {
    let unlimited = vec![
        environment_of(GATE, &["anna"], BranchRule::All),
        environment_of("preview", &[], BranchRule::All),
    ];
    let environments = [
        ("guarded", guarded()),
        ("no reviewers", open()),
        ("no gate", vec![secrets()]),
        ("secrets from any branch", unlimited),
        ("nothing", vec![]),
    ];
    let starts = [
        ("CI", StartedBy::Ci),
        ("a writer", StartedBy::Writer("bob".into())),
        ("/preview approve", StartedBy::Command(approves())),
        (
            "/preview deploy",
            StartedBy::Command(command("/preview deploy")),
        ),
        ("its turn", StartedBy::Turn),
    ];
    let mut told = Vec::new();
    for (name, environments) in &environments {
        for (start, started_by) in &starts {
            let gate = gate(environments, started_by);
            told.push(format!("{name}, {start}: {gate}"));
        }
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    guarded, CI: asks anna, maintainers
    guarded, a writer: asks anna, maintainers
    guarded, /preview approve: asks anna, maintainers
    guarded, /preview deploy: asks anna, maintainers
    guarded, its turn: open
    no reviewers, CI: no: environment preview-approval: usable from any branch; nobody has to approve, so nobody could approve aaaaaaa; give it required reviewers on https://github.com/acme/shop/settings/environments; where the plan of acme/shop has none, let somebody who may write comment `/preview approve aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`
    no reviewers, a writer: open: `bob`, 2025-12-19 14:32 UTC, by starting the workflow with it
    no reviewers, /preview approve: open: `bob`, 2025-12-19 14:32 UTC, in a comment
    no reviewers, /preview deploy: no: environment preview-approval: usable from any branch; nobody has to approve, so nobody could approve aaaaaaa; give it required reviewers on https://github.com/acme/shop/settings/environments; where the plan of acme/shop has none, let somebody who may write comment `/preview approve aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`
    no reviewers, its turn: open
    no gate, CI: no: environment preview-approval: it is not there, and a workflow that names it creates it without protection, so nobody could approve aaaaaaa; give it required reviewers on https://github.com/acme/shop/settings/environments; where the plan of acme/shop has none, let somebody who may write comment `/preview approve aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`
    no gate, a writer: open: `bob`, 2025-12-19 14:32 UTC, by starting the workflow with it
    no gate, /preview approve: open: `bob`, 2025-12-19 14:32 UTC, in a comment
    no gate, /preview deploy: no: environment preview-approval: it is not there, and a workflow that names it creates it without protection, so nobody could approve aaaaaaa; give it required reviewers on https://github.com/acme/shop/settings/environments; where the plan of acme/shop has none, let somebody who may write comment `/preview approve aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`
    no gate, its turn: open
    secrets from any branch, CI: no: environment preview: usable from any branch; nobody has to approve; limit it to the default branch, and let it have no reviewers, on https://github.com/acme/shop/settings/environments
    secrets from any branch, a writer: no: environment preview: usable from any branch; nobody has to approve; limit it to the default branch, and let it have no reviewers, on https://github.com/acme/shop/settings/environments
    secrets from any branch, /preview approve: no: environment preview: usable from any branch; nobody has to approve; limit it to the default branch, and let it have no reviewers, on https://github.com/acme/shop/settings/environments
    secrets from any branch, /preview deploy: no: environment preview: usable from any branch; nobody has to approve; limit it to the default branch, and let it have no reviewers, on https://github.com/acme/shop/settings/environments
    secrets from any branch, its turn: no: environment preview: usable from any branch; nobody has to approve; limit it to the default branch, and let it have no reviewers, on https://github.com/acme/shop/settings/environments
    nothing, CI: no: environment preview: it is not there, and a workflow that names it creates it without protection; limit it to the default branch, and let it have no reviewers, on https://github.com/acme/shop/settings/environments
    nothing, a writer: no: environment preview: it is not there, and a workflow that names it creates it without protection; limit it to the default branch, and let it have no reviewers, on https://github.com/acme/shop/settings/environments
    nothing, /preview approve: no: environment preview: it is not there, and a workflow that names it creates it without protection; limit it to the default branch, and let it have no reviewers, on https://github.com/acme/shop/settings/environments
    nothing, /preview deploy: no: environment preview: it is not there, and a workflow that names it creates it without protection; limit it to the default branch, and let it have no reviewers, on https://github.com/acme/shop/settings/environments
    nothing, its turn: no: environment preview: it is not there, and a workflow that names it creates it without protection; limit it to the default branch, and let it have no reviewers, on https://github.com/acme/shop/settings/environments
    ");
}

#[test]
fn a_head_runs_by_a_review_of_this_very_run_of_the_gate_alone() {
    let told = |reviews: &[Review]| decided(&guarded(), &StartedBy::Ci, reviewed(reviews, None));
    insta::assert_snapshot!(told(&[by("anna")]).unwrap(), @"`anna`, 2025-12-19 14:32 UTC, in a review of the run");
    let none = Err(NotApproved::Nobody { head: head('a') });
    assert_eq!(told(&[]), none);
    let rejected = Review {
        approves: false,
        ..by("anna")
    };
    assert_eq!(told(&[rejected]), none);
    let of_another = Review {
        environments: vec!["production".into()],
        ..by("anna")
    };
    assert_eq!(told(&[of_another]), none);
    let deleted = Review {
        login: None,
        ..by("anna")
    };
    assert!(told(&[deleted]).is_ok());
    // Who may write and is no reviewer has one of them asked.
    for start in [
        StartedBy::Writer("bob".into()),
        StartedBy::Command(approves()),
    ] {
        assert_eq!(decided(&guarded(), &start, reviewed(&[], None)), none);
    }
    // Reviewers that were taken away approve nothing.
    let unguarded = decided(&open(), &StartedBy::Ci, reviewed(&[by("anna")], None));
    assert!(matches!(unguarded, Err(NotApproved::NoReviewers { .. })));
}

#[test]
fn an_approval_of_an_earlier_attempt_is_of_what_that_has_shown() {
    let told = |reviews: &[Review], before, attempt| {
        let reviewed = Reviewed {
            before,
            attempt,
            ..reviewed(reviews, None)
        };
        decided(&guarded(), &StartedBy::Ci, reviewed)
    };
    let nobody = NotApproved::Nobody { head: head('a') };
    let earlier = NotApproved::EarlierAttempt { head: head('a') };
    let (one, two) = ([by("anna")], [by("anna"), by("bob")]);
    assert!(told(&one, Some(0), 1).is_ok());
    // All of it was run again: what was shown may be another image.
    assert_eq!(told(&one, Some(1), 2), Err(nobody.clone()));
    assert!(told(&two, Some(1), 2).is_ok());
    // Only the deploy was run again: what was shown is what was approved.
    assert!(told(&one, Some(0), 2).is_ok());
    assert_eq!(told(&one, None, 2), Err(earlier.clone()));
    assert_eq!(told(&[], None, 2), Err(nobody.clone()));
    insta::assert_snapshot!(earlier, @"aaaaaaa was approved in an earlier attempt of this run, and what that showed may be another image; deploy with the output `approvals` of `preview-deploy ask` (the input `approvals-before`), or start a new run by `/preview deploy`");
    insta::assert_snapshot!(nobody, @"nobody has approved aaaaaaa in this run; let a job of its workflow wait in the environment preview-approval before it deploys, or comment `/preview deploy` to have somebody asked");
}

#[test]
fn an_approval_of_images_that_nobody_names_is_none() {
    let reviews = [by("anna")];
    let unshown = |kept| Reviewed {
        is_shown: false,
        ..reviewed(&reviews, kept)
    };
    let told = |kept| decided(&guarded(), &StartedBy::Ci, unshown(kept));
    insta::assert_snapshot!(told(None).unwrap_err(), @"aaaaaaa was approved, and which images were shown for that is not told; deploy with the output `images` of `preview-deploy ask`, or of `preview-deploy import` where that made them (the input `images`)");
    // Which images the Namespace keeps is told there.
    assert!(told(Some(&kept('a'))).unwrap().contains("carol"));
}

#[test]
fn a_command_approves_only_as_it_was_written_and_by_whom_it_may_be_given() {
    let start = |said: Said| gate(&open(), &StartedBy::Command(said));
    let bob = approves();
    insta::assert_snapshot!(start(bob.clone()), @"open: `bob`, 2025-12-19 14:32 UTC, in a comment");
    let other_head = format!("/preview approve {}", head('b'));
    let all = [
        command("/preview deploy"),
        command(&other_head),
        command(&format!("> /preview approve {}", head('a'))),
        Said {
            may_write: false,
            ..bob.clone()
        },
        Said {
            is_by_bot: true,
            ..bob.clone()
        },
        Said {
            login: None,
            ..bob.clone()
        },
        Said {
            number: PrNumber::new(8).unwrap(),
            ..bob.clone()
        },
        Said {
            is_edited: true,
            ..bob
        },
    ];
    for said in all {
        assert!(start(said.clone()).starts_with("no: "), "{said:?}");
    }
}

#[test]
fn what_the_namespace_keeps_stands_for_its_head_alone() {
    let reviews = [by("anna")];
    for (environments, start) in [
        (guarded(), StartedBy::Turn),
        (guarded(), StartedBy::Ci),
        (open(), StartedBy::Turn),
        (vec![secrets()], StartedBy::Ci),
    ] {
        let told = |kept: Kept| decided(&environments, &start, reviewed(&[], Some(&kept)));
        assert!(told(kept('a')).unwrap().contains("carol"));
        assert!(told(kept('b')).is_err());
    }
    // A new approval takes its place.
    let again = reviewed(&reviews, None);
    let again = Reviewed {
        kept: Some(&kept('a')),
        ..again
    };
    let told = decided(&guarded(), &StartedBy::Ci, again).unwrap();
    assert!(told.contains("anna"), "{told}");
    // Nothing stands where the secrets are open to all.
    let unlimited = [environment_of("preview", &[], BranchRule::All)];
    let told = decided(
        &unlimited,
        &StartedBy::Turn,
        reviewed(&[], Some(&kept('a'))),
    );
    assert!(matches!(told, Err(NotApproved::Secrets { .. })));
}

#[test]
fn what_is_kept_is_read_as_it_was_written() {
    let mut kept = kept('a');
    let image = format!("ghcr.io/acme/web@sha256:{}", "1".repeat(64));
    kept.images
        .insert("web".parse().unwrap(), image.parse().unwrap());
    insta::assert_snapshot!(kept.annotation(), @r#"{"approved":{"at":"2025-12-19T14:32:00Z","by":"carol","how":"review"},"head":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","images":{"web":"ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111"}}"#);
    assert_eq!(
        serde_json::from_str::<Kept>(&kept.annotation()).unwrap(),
        kept
    );
}
