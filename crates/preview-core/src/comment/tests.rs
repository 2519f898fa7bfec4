use super::*;
use crate::health::FailureClass;
use crate::outcome::ReceiptState;
use crate::slots::{Holder, Place};

mod answers;
mod approvals;
mod failed;

use failed::ended;

fn comment(state: State) -> Comment {
    Comment {
        state,
        url: Some("https://123.pr.example.com".into()),
        updated: "2025-12-19T14:32:59Z".parse().unwrap(),
        commit: format!("abc1234{}", "0".repeat(33)).parse().unwrap(),
        namespace: Some("preview-pr-123".parse().unwrap()),
        database: Some(Condition::Ready),
        components: ["web", "api"]
            .map(|name| {
                let replicas = Replicas::of(
                    &Rollout::Complete {
                        ready: 2,
                        desired: 2,
                    },
                    2,
                );
                (name.parse().unwrap(), replicas)
            })
            .to_vec(),
        notes: Vec::new(),
        run_url: Some("https://github.com/acme/shop/actions/runs/12".into()),
        preview_gone: false,
    }
}

#[test]
fn ready_is_exactly_what_the_team_asked_for() {
    insta::assert_snapshot!(comment(State::Ready).render(), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ✅ Ready
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
}

#[test]
fn deploying_tells_the_step() {
    let mut deploying = comment(State::Deploying {
        step: "rolling out".into(),
    });
    deploying.components[1].1 = Replicas::of(
        &Rollout::Waiting {
            ready: 1,
            desired: 2,
        },
        2,
    );
    insta::assert_snapshot!(deploying.render(), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⏳ Deploying — rolling out
    **URL**: https://123.pr.example.com
    **Last Updated**: 2025-12-19 14:32 UTC
    **Commit**: abc1234

    ---

    [The run and its log](https://github.com/acme/shop/actions/runs/12)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-123`
    - Database: Ready
    - Web: Ready (2/2 replicas)
    - API: Starting (1/2 replicas)

    </details>
    ");
}

#[test]
fn queued_tells_who_has_the_slots() {
    let holder = |subject: Option<&str>, since: Option<&str>| Holder {
        subject: subject.map(|subject| subject.parse().unwrap()),
        since: since.map(|since| since.parse().unwrap()),
    };
    let mut queued = comment(State::Queued(Waiting {
        capacity: 3,
        place: Some(Place { number: 1, of: 4 }),
        holders: vec![
            holder(Some("pr-7"), Some("2025-12-18T09:00:00Z")),
            holder(None, Some("2025-12-19T09:00:00Z")),
            holder(Some("pr-9"), None),
        ],
    }));
    queued.url = None;
    queued.database = None;
    queued.components.clear();
    insta::assert_snapshot!(queued.render(), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: 🚦 Queued — 1 of 4
    **Last Updated**: 2025-12-19 14:32 UTC
    **Commit**: abc1234

    ---

    All 3 slots for previews are taken. This one is number 1 of 4 in the queue. It is deployed by itself when its turn comes: closing a pull request frees its slot.

    - `pr-7` since 2025-12-18 09:00 UTC
    - a preview of another repository since 2025-12-19 09:00 UTC
    - `pr-9`

    [The run and its log](https://github.com/acme/shop/actions/runs/12)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-123`

    </details>
    ");
}

#[test]
fn a_refusal_for_want_of_quota_shows_who_needs_how_much() {
    let line = |object: &str, pods, cpu: &str| serde_json::json!({ "object": object, "pods": pods, "uses": { "limits.cpu": cpu } });
    let table = serde_json::json!({
        "lines": [line("StatefulSet/database", 1, "500m"), line("Deployment/web", 9, "4500m")],
        "hard": { "limits.cpu": "4" },
    });
    let refused = Comment {
        url: None,
        namespace: None,
        database: None,
        components: Vec::new(),
        ..comment(State::Refused {
            reasons: vec!["the preview does not fit its quota".into()],
            table: serde_json::from_value(table).unwrap(),
        })
    };
    insta::assert_snapshot!(refused.render(), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⛔ Refused
    **Last Updated**: 2025-12-19 14:32 UTC
    **Commit**: abc1234

    ---

    - the preview does not fit its quota

    | | limits.cpu |
    |---|---:|
    | `StatefulSet/database` | 500m |
    | `Deployment/web` × 9 | 4500m |
    | **Together** | **5** |
    | **Allowed** | **4** |

    [The run and its log](https://github.com/acme/shop/actions/runs/12)

    <details>
    <summary>Deployment Details</summary>

    - Nothing is deployed

    </details>
    ");
}

#[test]
fn refused_tells_each_reason() {
    let refused = Comment {
        url: None,
        namespace: None,
        database: None,
        components: Vec::new(),
        ..comment(State::Refused {
            reasons: vec![
                "pull request #123 comes from the fork mallory/shop".into(),
                "<b>no</b>\n# title".into(),
            ],
            table: None,
        })
    };
    insta::assert_snapshot!(refused.render(), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⛔ Refused
    **Last Updated**: 2025-12-19 14:32 UTC
    **Commit**: abc1234

    ---

    - pull request #&#8203;123 comes from the fork mallory/shop
    - &lt;b&gt;no&lt;/b&gt; # title

    [The run and its log](https://github.com/acme/shop/actions/runs/12)

    <details>
    <summary>Deployment Details</summary>

    - Nothing is deployed

    </details>
    ");
}

fn receipt(volume: ReceiptState) -> Vec<ReceiptItem> {
    vec![
        ReceiptItem {
            object: "Namespace/preview-pr-123".into(),
            state: ReceiptState::Gone,
            note: None,
        },
        ReceiptItem {
            object: "PersistentVolume/pvc-1".into(),
            state: volume,
            note: Some("finalizer kubernetes.io/pv-protection".into()),
        },
    ]
}

fn without_parts(state: State) -> Comment {
    Comment {
        url: None,
        database: None,
        components: Vec::new(),
        ..comment(state)
    }
}

#[test]
fn destroyed_shows_the_receipt() {
    let destroyed = without_parts(State::Destroyed {
        receipt: receipt(ReceiptState::Kept),
    });
    insta::assert_snapshot!(destroyed.render(), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: 🗑️ Destroyed
    **Last Updated**: 2025-12-19 14:32 UTC
    **Commit**: abc1234

    ---

    - ✅ `Namespace/preview-pr-123` gone
    - ⚠️ `PersistentVolume/pvc-1` kept: finalizer kubernetes.io/pv-protection

    [The run and its log](https://github.com/acme/shop/actions/runs/12)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-123`

    </details>
    ");
}

#[test]
fn what_is_not_gone_is_named_with_what_keeps_it() {
    let blocked = without_parts(State::NotDestroyed {
        receipt: receipt(ReceiptState::Blocked),
    });
    insta::assert_snapshot!(blocked.render(), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⚠️ Not destroyed yet
    **Last Updated**: 2025-12-19 14:32 UTC
    **Commit**: abc1234

    ---

    - ✅ `Namespace/preview-pr-123` gone
    - ❌ `PersistentVolume/pvc-1` still there: finalizer kubernetes.io/pv-protection

    **Who acts**: whoever operates the previews
    **Next**: `kubectl get namespace preview-pr-123 -o yaml`

    [The run and its log](https://github.com/acme/shop/actions/runs/12)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-123`

    </details>
    ");
}

#[test]
fn promoted_names_the_images_that_run() {
    let promoted = without_parts(State::Promoted {
        target: "production".into(),
        commit: "d".repeat(40).parse().unwrap(),
        images: BTreeMap::from([(
            "web".parse().unwrap(),
            format!("ghcr.io/acme/web@sha256:{}", "1".repeat(64))
                .parse()
                .unwrap(),
        )]),
    });
    insta::assert_snapshot!(promoted.render(), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: 🚀 Promoted — production
    **Last Updated**: 2025-12-19 14:32 UTC
    **Commit**: abc1234

    ---

    **Merged as**: ddddddd

    - Web: `ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111`

    [The run and its log](https://github.com/acme/shop/actions/runs/12)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-123`

    </details>
    ");
}

#[test]
fn a_refused_promotion_tells_each_reason() {
    let refused = without_parts(State::NotPromoted {
        target: "production".into(),
        reasons: vec!["the record is unsigned".into()],
    });
    insta::assert_snapshot!(refused.render(), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⛔ Not promoted — production
    **Last Updated**: 2025-12-19 14:32 UTC
    **Commit**: abc1234

    ---

    - the record is unsigned

    [The run and its log](https://github.com/acme/shop/actions/runs/12)

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-123`

    </details>
    ");
}

#[test]
fn promotion_and_cleanup_of_one_merge_end_in_the_same_comment_whichever_is_last() {
    let told = |state: State, preview_gone: bool| {
        Comment {
            preview_gone,
            ..without_parts(state)
        }
        .render()
    };
    let promoted = State::Promoted {
        target: "production".into(),
        commit: "d".repeat(40).parse().unwrap(),
        images: BTreeMap::new(),
    };
    let refused = State::NotPromoted {
        target: "production".into(),
        reasons: vec!["the record is unsigned".into()],
    };
    let destroyed = told(State::Destroyed { receipt: vec![] }, false);
    for state in [promoted, refused] {
        let before = told(state.clone(), false);
        let cleanup_last = with_destruction(&before).unwrap();
        let promote_last = told(state, tells_of_destruction(&destroyed));
        assert_eq!(cleanup_last, promote_last);
        assert!(!tells_of_destruction(&before) && tells_of_destruction(&promote_last));
        assert_eq!(with_destruction(&cleanup_last), Some(cleanup_last.clone()));
    }
    assert_eq!(with_destruction(&destroyed), None);
    assert_eq!(with_destruction(&told(State::Ready, false)), None);
}

#[test]
fn remarks_stand_below_what_the_state_tells() {
    use crate::database::{Divergence, Rebuild};
    let file = "api/migrations/0002_`</details>.sql".to_owned();
    let rewritten = Divergence::Rewritten { file };
    let noted = Comment {
        notes: vec![
            Note::DatabaseRebuilt(Rebuild::Migrations(rewritten)),
            Note::PreviousServes {
                commit: "d".repeat(40).parse().ok(),
            },
        ],
        ..comment(State::Ready)
    };
    insta::assert_snapshot!(noted.render(), @r"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ✅ Ready
    **URL**: https://123.pr.example.com
    **Last Updated**: 2025-12-19 14:32 UTC
    **Commit**: abc1234

    ---

    - The database was made afresh, and what was in it is gone: ``api/migrations/0002_`</details>.sql`` was applied with other content.
    - The previous version, ddddddd, still serves.

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-123`
    - Database: Ready
    - Web: Ready (2/2 replicas)
    - API: Ready (2/2 replicas)

    </details>
    ");
    let failed = Comment {
        notes: noted.notes,
        ..comment(State::OutsideFailed {
            class: FailureClass::GitHub,
            error: "no".into(),
            ended: ended(),
        })
    };
    let text = failed.render();
    let (_, below) = text.split_once("/runs/12)\n\n- The database").unwrap();
    assert!(below.contains("still serves.\n\n<details>"), "{text}");
}

#[test]
fn a_rebuild_tells_which_file_is_why() {
    use crate::database::{Divergence, Rebuild};
    let file = || "m/0002_b.sql".to_owned();
    let told = [
        Rebuild::Asked,
        Rebuild::Lost,
        Rebuild::Migrations(Divergence::Rewritten { file: file() }),
        Rebuild::Migrations(Divergence::Removed { file: file() }),
        Rebuild::Migrations(Divergence::Inserted {
            file: file(),
            before: "m/0003_c.sql".into(),
        }),
    ]
    .map(|why| why.to_string());
    insta::assert_snapshot!(told.join("\n"), @r"
    `--reset-database` asked for it
    its volume was not there any more
    `m/0002_b.sql` was applied with other content
    `m/0002_b.sql` was applied and is not there any more
    `m/0002_b.sql` now comes before `m/0003_c.sql`, which was applied without it
    ");
}

#[test]
fn components_are_named_as_people_write_them() {
    for (name, shown) in [
        ("web", "Web"),
        ("api", "API"),
        ("admin-ui", "Admin UI"),
        ("a--b", "A B"),
        ("db2", "Db2"),
        ("9p", "9p"),
    ] {
        assert_eq!(display_name(&name.parse().unwrap()), shown);
    }
}

#[test]
fn long_logs_and_lists_are_cut_to_their_ends() {
    let log: Vec<String> = (0..30)
        .map(|n| format!("{n} {}", "x".repeat(999)))
        .collect();
    let kept = last_lines(&log);
    assert_eq!((kept.len(), kept[0].len()), (20, 300));
    assert!(kept[19].starts_with("29 "));
    let mut out = String::new();
    list(&mut out, vec!["x".to_owned(); 60].into_iter());
    assert!(out.ends_with("- x\n- … and 10 more\n"));
}

#[test]
fn a_component_with_a_host_of_its_own_is_told_where() {
    let note = Note::AnswersAt {
        component: "api".parse().unwrap(),
        url: "https://7-api.pr.example.com".into(),
    };
    insta::assert_snapshot!(note, @"API answers at https://7-api.pr.example.com");
}

#[test]
fn remarks_on_manifests_name_files_images_and_variables() {
    let objects = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    let notes = [
        Note::ManifestsNotInPreview {
            files: vec!["deploy/base/web.yaml".into(), "preview.toml".into()],
            are_all: true,
        },
        Note::OtherImages(
            [(
                "redis:7".to_owned(),
                objects(&["Deployment/cache", "Deployment/web"]),
            )]
            .into(),
        ),
        Note::VariablesLeft([("F`OO".to_owned(), objects(&["ConfigMap/script"]))].into()),
        Note::ManifestsNotInPreview {
            files: (10..35).map(|n| format!("{n}")).collect(),
            are_all: true,
        },
        Note::ManifestsNotInPreview {
            files: Vec::new(),
            are_all: false,
        },
        Note::ManifestsNotInPreview {
            files: vec!["preview.toml".into()],
            are_all: false,
        },
    ];
    let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(notes.join("\n"), @"
    This preview is made of the base branch's manifests: what this pull request changes in `deploy/base/web.yaml`, `preview.toml` is not in it.
    Not built from this pull request: `redis:7` in Deployment/cache, Deployment/web.
    Left as they are, for they stand for nothing here: ``${F`OO}`` in ConfigMap/script.
    This preview is made of the base branch's manifests: what this pull request changes in `10`, `11`, `12`, `13`, `14`, `15`, `16`, `17`, `18`, `19`, `20`, `21`, `22`, `23`, `24`, `25`, `26`, `27`, `28`, `29` and 5 more is not in it.
    This preview is made of the base branch's manifests. GitHub lists 3000 files of this pull request and no more: what it changes in manifests beyond them is not in it either.
    This preview is made of the base branch's manifests: what this pull request changes in `preview.toml` is not in it. GitHub lists 3000 files of this pull request and no more: what it changes in manifests beyond them is not in it either.
    ");
}
